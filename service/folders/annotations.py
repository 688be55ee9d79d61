"""Masks as one COCO file. A journal keeps them until the sweep ends, and survives a stop."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from service.errors import SettingsError
from service.folders.outputs import Found, write_whole
from service.folders.photographs import Query
from service.images.coco import bounding_box, encode_run_lengths

FILE, JOURNAL = "annotations.json", "annotations.jsonl"
CATEGORY_ID = 1


class Annotations:
    """The results of all sweeps into ``out``: the journal has a line for each query."""

    def __init__(self, out: Path) -> None:
        self._file = out / FILE
        self._journal = out / JOURNAL
        self._records = _read(self._journal)
        self._lock = threading.Lock()
        self._rewrite()  # else the next line would be appended to one that was cut off

    def has(self, query: Query) -> bool:
        """Whether the journal has the query."""
        return _name(query) in self._records

    def forget(self, queries: Iterable[Query]) -> None:
        """Take their lines out of the journal."""
        for query in queries:
            self._records.pop(_name(query), None)
        self._rewrite()

    def write(self, query: Query, found: Found) -> None:
        """Append a line to the journal."""
        record = _describe(_name(query), found)
        with self._lock, self._journal.open("a", encoding="utf-8") as journal:
            journal.write(_line(record))
            self._records[record["file_name"]] = record

    def finish(self, label: str) -> None:
        """Write all that the journal has as COCO's file. ``label`` is its only category."""
        write_whole(self._file, json.dumps(_coco(self._records, label)).encode())

    def _rewrite(self) -> None:
        write_whole(self._journal, "".join(map(_line, self._records.values())).encode())


def _read(journal: Path) -> dict[str, dict[str, Any]]:
    """The records by name. A process that was killed may have cut off the last line."""
    if not journal.is_file():
        return {}
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    try:
        records = [json.loads(line) for line in lines if line.endswith("\n")]
        return {record["file_name"]: record for record in records}
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{journal} is broken ({error}); remove it, or choose another --out"
        ) from error


def _name(query: Query) -> str:
    """What is not UTF-8 in it is shown by its bytes: readers of JSON refuse it otherwise."""
    return str(query.name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"


def _describe(name: str, found: Found) -> dict[str, Any]:
    height, width = found.mask.shape
    return {
        "file_name": name,
        "height": height,
        "width": width,
        "bbox": bounding_box(found.mask),
        "area": int(found.mask.sum()),
        "presence": found.presence,
        "score": found.score,
        "segmentation": encode_run_lengths(found.mask).model_dump(),
    }


def _coco(records: dict[str, dict[str, Any]], label: str) -> dict[str, Any]:
    """Ids count from 1 in the order of names. An image without an object has no annotation.

    ``presence`` stands with each image, and again with its annotation, whose score it explains.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (_, record) in enumerate(sorted(records.items()), start=1):
        images.append({"id": image_id} | _pick(record, "file_name", "height", "width", "presence"))
        if record["area"]:
            ids = {"id": len(annotations) + 1, "image_id": image_id, "category_id": CATEGORY_ID}
            mask = _pick(record, "bbox", "area", "presence", "score", "segmentation")
            annotations.append(ids | {"iscrowd": 0} | mask)
    return {
        "info": {"description": "sgone segment"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": CATEGORY_ID, "name": label}],
    }


def _pick(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of the names that the record has: one of an older release knows no presence."""
    return {name: record[name] for name in names if record.get(name) is not None}
