"""Regions as COCO writes them, polygons or run lengths, to its compressed run lengths."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pycocotools import mask as masks
from pydantic import Field

Coordinate = Annotated[float, Field(ge=-1e5, le=1e5)]
"""In pixels; pycocotools crashes the process on numbers that are huge or not finite."""

_COMPRESSED = re.compile("([P-o]{0,6}[0-O])*")
"""Five bits a character; the sixth says that more follow, which pycocotools takes on trust."""


@dataclass(slots=True)
class GivenRuns:
    """Column by column, background first; ``size`` is height, width."""

    size: tuple[int, int]
    counts: str | list[int]


def encode_region(segmentation: list[list[float]] | GivenRuns, size: tuple[int, int]) -> bytes:
    """Empty where the region has no pixel; ValueError or OverflowError where it is broken."""
    encoded = (
        _outline(segmentation, size)
        if isinstance(segmentation, list)
        else _compress(segmentation, size)
    )
    return bytes(encoded["counts"]) if masks.area(encoded) else b""


def _outline(polygons: list[list[float]], size: tuple[int, int]) -> Any:
    """Two points have no area, and pycocotools would take them for a box."""
    if any(len(points) % 2 for points in polygons):
        raise ValueError("an outline with an odd number of coordinates")
    solid = [points for points in polygons if len(points) >= 6]
    return masks.merge(masks.frPyObjects(solid, *size) if solid else [])


def _compress(given: GivenRuns, size: tuple[int, int]) -> Any:
    """ValueError or OverflowError unless they decode to a mask of the image's size."""
    if given.size != size:
        raise ValueError(f"of size {given.size}, the image {size}")
    if isinstance(given.counts, list):
        encoded, pixels = masks.frPyObjects(dataclasses.asdict(given), *size), sum(given.counts)
    elif _COMPRESSED.fullmatch(given.counts):
        counts = given.counts.encode()
        encoded, pixels = {"size": size, "counts": counts}, _total(counts)
    else:
        raise ValueError("not in COCO's compression")
    masks.decode(encoded)
    if pixels != size[0] * size[1]:  # pycocotools fills what is missing with background
        raise ValueError(f"of {pixels} pixels, the image has {size[0] * size[1]}")
    return encoded


def _total(counts: bytes) -> int:
    """Pixels of COCO's compressed run lengths, all runs together.

    Five bits a character, the lowest first, with a sign at the end; from the fourth run on, a
    number is the difference from the run before the last.
    """
    bits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(bits):
        return 0
    ends = np.flatnonzero(bits < 32)
    starts = np.concatenate(([0], ends[:-1] + 1))
    places = np.arange(len(bits)) - np.repeat(starts, ends - starts + 1)
    numbers = np.add.reduceat((bits & 31) << (5 * places), starts)
    numbers -= np.where(bits[ends] & 16, np.int64(32) << (5 * (ends - starts)), 0)
    return int(numbers[0] + numbers[1::2].cumsum().sum() + numbers[2::2].cumsum().sum())
