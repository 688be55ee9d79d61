"""Files about all masks, such as COCO's. A journal keeps the masks until the sweep ends."""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from service.errors import SettingsError
from service.folders.outputs import Found, write_whole
from service.folders.photographs import Query
from service.formats.catalogue import Writer
from service.formats.record import Record, describe, read_line

JOURNAL = "annotations.jsonl"


class Annotations:
    """The results of all sweeps into ``out``: the journal has a line for each query."""

    def __init__(self, out: Path) -> None:
        self._out = out
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
        record = describe(_name(query), found.mask, found.presence, found.score)
        with self._lock, self._journal.open("ab") as journal:
            journal.write(record.line())
            self._records[record.file_name] = record

    def finish(self, writer: Writer) -> None:
        """Write all that the journal has as the writer's documents, in the order of names."""
        records = [record for _, record in sorted(self._records.items())]
        for document in writer.documents:
            write_whole(self._out / document.path, b"".join(writer.write(document, records)))

    def _rewrite(self) -> None:
        write_whole(self._journal, b"".join(record.line() for record in self._records.values()))


def _read(journal: Path) -> dict[str, Record]:
    """The records by name. A process that was killed may have cut off the last line."""
    if not journal.is_file():
        return {}
    lines: Sequence[bytes] = journal.read_bytes().splitlines(keepends=True)
    try:
        records = [read_line(line) for line in lines if line.endswith(b"\n")]
    except ValueError as error:
        raise SettingsError(
            f"{journal} is broken ({str(error).splitlines()[0]}); remove it, or choose another "
            "--out"
        ) from error
    return {record.file_name: record for record in records}


def _name(query: Query) -> str:
    """What is not UTF-8 in it is shown by its bytes: readers of JSON refuse it otherwise."""
    return str(query.name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
