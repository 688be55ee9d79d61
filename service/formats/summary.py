"""What was found in each photograph, a line each: for spreadsheets, and for programs."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from service.formats.record import Export, Record

COLUMNS = ("file", "presence", "area", "left", "top", "width", "height", "score")


def csv_summary(records: Iterable[Record], _: Export) -> Iterator[str]:
    """A heading, and a row for each photograph; what is not known or not there is blank."""
    yield _row(COLUMNS)
    for record in records:
        box = record.bbox or ("",) * 4
        yield _row((record.file_name, record.presence, record.area, *box, record.score))


def json_summary(records: Iterable[Record], _: Export) -> Iterator[str]:
    """An object for each photograph; ``box`` is left, top, width and height."""
    for record in records:
        told = {
            "file": record.file_name,
            "presence": record.presence,
            "area": record.area,
            "box": record.bbox,
            "score": record.score,
        }
        yield json.dumps(told) + "\n"


def _row(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
