"""The connected parts of a mask, each in COCO's terms; pixels that touch at corners are one part.

All run lengths are found in one pass over the mask: many parts take no longer than few.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as run_lengths

from model.episode import ObjectMask
from service.giving_up import go_on
from service.images.coco import Box, trace_polygons
from service.schemas import RunLengths

MAX_PARTS = 1000
"""Of one mask; of more, the smallest are left out."""

Numbers = NDArray[np.uint16]
"""(H, W): 0 is background, n the n-th part."""
Runs = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Where each run of pixels begins, and its length, in a mask that is laid out as one line."""


class ConnectedPart(NamedTuple):
    """One part: ``area`` in pixels, ``bbox`` as left, top, width, height."""

    area: int
    bbox: Box
    segmentation: RunLengths


def number_parts(mask: ObjectMask, most: int = MAX_PARTS) -> Numbers:
    """(H, W) bool -> parts numbered from 1 on, the topmost first; the largest ``most`` alone."""
    count, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    kept = np.sort(np.argsort(-areas, kind="stable")[:most])
    order = np.zeros(count, np.uint16)
    order[kept + 1] = np.arange(1, len(kept) + 1)
    ordered: Numbers = order[numbers]
    return ordered


def runs_of_parts(line: Numbers) -> Iterator[Runs]:
    """(N,) numbers -> the runs of each part, the first part's first."""
    starts = np.flatnonzero(np.diff(line, prepend=np.uint16(0), append=np.uint16(0)))
    owners = np.append(line, np.uint16(0))[starts]
    lengths = np.diff(starts, append=len(line))
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(1, int(line.max(initial=0)) + 2))
    for first, end in pairwise(bounds.tolist()):
        go_on()
        own = order[first:end]
        yield starts[own], lengths[own]


def connected_parts(mask: ObjectMask) -> list[ConnectedPart]:
    """(H, W) bool -> its parts, the topmost first; at most MAX_PARTS, the largest."""
    numbers, (height, width) = number_parts(mask), mask.shape
    return [_part(runs, height, width) for runs in runs_of_parts(numbers.T.ravel())]


def outline_parts(mask: ObjectMask) -> list[list[float]]:
    """The outline of each of ``connected_parts``, in their order, as x1, y1, x2, y2, ..."""
    numbers = number_parts(mask)
    boxes = [part.bbox for part in connected_parts(mask)]
    return [_outline(numbers, number, box) for number, box in enumerate(boxes, start=1)]


def _outline(numbers: Numbers, number: int, box: Box) -> list[float]:
    left, top, width, height = box
    crop = numbers[top : top + height, left : left + width] == number
    (outline,) = trace_polygons(crop)
    shift = (left, top)
    return [value + shift[place % 2] for place, value in enumerate(outline)]


def _part(runs: Runs, height: int, width: int) -> ConnectedPart:
    """Of its runs in the mask's columns."""
    starts, lengths = runs
    ends = starts + lengths
    counts = np.column_stack([starts - np.concatenate([[0], ends[:-1]]), lengths]).ravel().tolist()
    if ends[-1] < height * width:
        counts.append(int(height * width - ends[-1]))
    told = run_lengths.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    segmentation = RunLengths(size=(height, width), counts=told["counts"].decode("ascii"))
    return ConnectedPart(int(lengths.sum()), _box(starts, ends - 1, height), segmentation)


def _box(firsts: NDArray[np.intp], lasts: NDArray[np.intp], height: int) -> Box:
    """Of runs in columns: one that goes on into the next column touches both ends."""
    left, right = int(firsts.min()) // height, int(lasts.max()) // height
    over = bool((firsts // height != lasts // height).any())
    top = 0 if over else int((firsts % height).min())
    bottom = height - 1 if over else int((lasts % height).max())
    return left, top, right - left + 1, bottom - top + 1
