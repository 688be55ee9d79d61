"""What is kept of one photograph's mask until the files about all of them are written."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from pydantic import BaseModel

from model.episode import ObjectMask, Photograph
from service.images.classes import Indices
from service.images.coco import Box, bounding_box, encode_run_lengths
from service.images.marks import MarkedRuns
from service.schemas import RunLengths

UNNAMED = "object"
"""The class where it has no label."""


@dataclass(frozen=True)
class Export:
    """What all files of an export are told: the classes, and whether parts are annotations each.

    Masks that are ``by_hand`` were made or corrected by a person, and are no predictions.
    """

    labels: Sequence[str] = (UNNAMED,)
    instances: bool = False
    by_hand: bool = False


@dataclass(frozen=True)
class Labelled:
    """A photograph's (H, W) class numbers, 0 being background, and a function that decodes it."""

    classes: Indices
    photograph: Callable[[], Photograph]

    @classmethod
    def of_object(cls, mask: ObjectMask, photograph: Callable[[], Photograph]) -> "Labelled":
        """(H, W) bool: one class."""
        return cls(mask.astype(np.uint8), photograph)

    @property
    def mask(self) -> ObjectMask:
        """(H, W) bool: any class."""
        return np.asarray(self.classes > 0)

    def masks(self, export: Export) -> Iterator[tuple[int, ObjectMask]]:
        """Number and (H, W) bool of each class."""
        for number in range(1, len(export.labels) + 1):
            yield number, self.classes == number


class Record(BaseModel):
    """A mask as numbers, a line of JSON; ``presence`` and ``score`` are None where none is known.

    ``segmentation`` holds all of it. A photograph has a record of each class, one after the other.
    """

    file_name: str
    number: int = 1
    height: int
    width: int
    bbox: Box | None
    area: int
    presence: float | None = None
    score: float | None = None
    segmentation: RunLengths

    def mask(self) -> ObjectMask:
        """(H, W) bool."""
        runs = MarkedRuns(size=self.segmentation.size, counts=self.segmentation.counts)
        return np.ascontiguousarray(runs.mask())

    def line(self) -> bytes:
        """As ``read_line`` takes it."""
        return self.model_dump_json().encode() + b"\n"

    @property
    def surety(self) -> dict[str, float]:
        """Presence and score, where they are known."""
        told = {"presence": self.presence, "score": self.score}
        return {name: value for name, value in told.items() if value is not None}


def describe(
    file_name: str,
    mask: ObjectMask,
    presence: float | None = None,
    score: float | None = None,
    number: int = 1,
) -> Record:
    """(H, W) bool -> its record, as the class of this number."""
    height, width = mask.shape
    return Record(
        file_name=file_name,
        number=number,
        height=height,
        width=width,
        bbox=bounding_box(mask),
        area=int(np.count_nonzero(mask)),
        presence=presence,
        score=score,
        segmentation=encode_run_lengths(mask),
    )


def by_photograph(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records of each photograph."""
    for _, group in groupby(records, key=lambda record: record.file_name):
        yield list(group)


def read_line(line: bytes) -> Record:
    """Raises ValueError for what is none."""
    return Record.model_validate_json(line)
