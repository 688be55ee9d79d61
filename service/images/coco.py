"""A mask as numbers, in the terms of the COCO data set: box, run lengths, polygons."""

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as run_lengths

from model.episode import ObjectMask
from service.giving_up import go_on
from service.schemas import RunLengths

# Pixels that a polygon may be off the mask's edge; a mask's staircase is half a pixel off its line.
TOLERANCE = 0.75

Box = tuple[int, int, int, int]


def encode_run_lengths(mask: ObjectMask) -> RunLengths:
    """(H, W) bool -> COCO's compressed run lengths."""
    encoded = run_lengths.encode(np.asfortranarray(mask, dtype=np.uint8))
    height, width = mask.shape
    return RunLengths(size=(height, width), counts=encoded["counts"].decode("ascii"))


def bounding_box(mask: ObjectMask) -> Box | None:
    """(H, W) bool -> left, top, width and height in pixels; None for an empty mask."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return (left, top, width, height) if width else None


def trace_polygons(mask: ObjectMask) -> list[list[float]]:
    """(H, W) bool -> the outline of each part as x1, y1, x2, y2, ... along the pixels' edges.

    It leaves out holes: a COCO polygon cannot have any.
    """
    box = bounding_box(mask)
    if box is None:
        return []
    left, top, width, height = box
    crop = mask[top : top + height, left : left + width]
    # OpenCV traces through the centres of pixels. Doubled, each pixel has four quarters, and their
    # centres round to its four corners. numpy's repeat would keep the interpreter's lock meanwhile.
    doubled = cv2.resize(
        crop.astype(np.uint8), (2 * width, 2 * height), interpolation=cv2.INTER_NEAREST
    )
    outlines, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = ((outline + 1) // 2 + (left, top) for outline in outlines)
    return [_simplify(outline.astype(np.int32)) for outline in corners]


def _simplify(outline: NDArray[np.int32]) -> list[float]:
    """(N, 1, 2) corners -> x1, y1, ... of fewer corners; a part of a few pixels keeps all."""
    go_on()  # noise has a million parts
    kept = cv2.approxPolyDP(outline, TOLERANCE, closed=True)
    if len(kept) < 3:
        kept = cv2.approxPolyDP(outline, 0, closed=True)
    return [float(number) for number in kept.ravel()]
