"""What is kept of one photograph's mask until the files about all of them are written."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from model.episode import ObjectMask, Photograph
from service.images.coco import Box, bounding_box, encode_run_lengths
from service.images.marks import MarkedRuns
from service.schemas import RunLengths

UNNAMED = "object"
"""The class where it has no label."""


@dataclass(frozen=True)
class Export:
    """What all files of an export are told: the class, and whether parts are annotations each.

    Masks that are ``by_hand`` were made or corrected by a person, and are no predictions.
    """

    label: str = UNNAMED
    instances: bool = False
    by_hand: bool = False


@dataclass(frozen=True)
class Labelled:
    """A photograph's (H, W) bool mask, and a function that decodes the photograph."""

    mask: ObjectMask
    photograph: Callable[[], Photograph]


class Record(BaseModel):
    """A mask as numbers, a line of JSON; ``presence`` and ``score`` are None where none is known.

    ``segmentation`` holds all of it.
    """

    file_name: str
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
    file_name: str, mask: ObjectMask, presence: float | None = None, score: float | None = None
) -> Record:
    """(H, W) bool -> its record."""
    height, width = mask.shape
    return Record(
        file_name=file_name,
        height=height,
        width=width,
        bbox=bounding_box(mask),
        area=int(np.count_nonzero(mask)),
        presence=presence,
        score=score,
        segmentation=encode_run_lengths(mask),
    )


def read_line(line: bytes) -> Record:
    """Raises ValueError for what is none."""
    return Record.model_validate_json(line)
