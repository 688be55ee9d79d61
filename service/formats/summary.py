"""What was found in each photograph, a line each: for spreadsheets, and for programs."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from service.formats.record import Export, Record

COLUMNS = ("file", "presence", "area", "left", "top", "width", "height", "score")


def csv_summary(records: Iterable[Record], export: Export) -> Iterator[str]:
    """A heading, and a row for each photograph; what is not known or not there is blank.

    Of several classes each has a row, which ends with its label.
    """
    yield _row((*COLUMNS, *_label(export, "label")))
    for record in records:
        box = record.bbox or ("",) * 4
        told = (record.file_name, record.presence, record.area, *box, record.score)
        yield _row((*told, *_label(export, export.labels[record.number - 1])))


def json_summary(records: Iterable[Record], export: Export) -> Iterator[str]:
    """An object for each photograph, or each class of it; ``box`` is left, top, width, height."""
    for record in records:
        told = {
            "file": record.file_name,
            "presence": record.presence,
            "area": record.area,
            "box": record.bbox,
            "score": record.score,
        }
        label = _label(export, export.labels[record.number - 1])
        yield json.dumps(told | dict(zip(("label",), label, strict=False))) + "\n"


def _label(export: Export, label: str) -> tuple[str, ...]:
    """The label where there are several to be told apart."""
    return (label,) if len(export.labels) > 1 else ()


def _row(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
