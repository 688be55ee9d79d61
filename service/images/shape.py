"""From a probability to a mask: applies the threshold, drops parts and fills holes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from model.episode import ObjectMask
from service.options import Shaping


def shape_mask(probability: NDArray[np.float32], threshold: float, shaping: Shaping) -> ObjectMask:
    """(H, W) probability -> (H, W) bool."""
    return clean_mask(probability > threshold, shaping)


def clean_mask(mask: ObjectMask, shaping: Shaping) -> ObjectMask:
    """(H, W) bool -> (H, W) bool. Parts are dropped first: a filled hole makes none larger."""
    if shaping.largest_component or shaping.min_area > 1:
        mask = _drop_parts(mask, shaping.min_area, only_largest=shaping.largest_component)
    return _fill_holes(mask) if shaping.fill_holes else mask


def _drop_parts(mask: ObjectMask, min_area: int, *, only_largest: bool) -> ObjectMask:
    """Pixels that touch, if only at corners, are one part. Of equal parts the top one stays."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    kept = areas >= max(min_area, 1)
    if only_largest:
        kept &= np.arange(len(areas)) == areas.argmax()
    dropped_or_kept: ObjectMask = kept[parts]
    return dropped_or_kept


def _fill_holes(mask: ObjectMask) -> ObjectMask:
    """Flood the background from a frame around the image; what stays dry is object."""
    flooded = np.pad(mask, 1).astype(np.uint8)
    cv2.floodFill(flooded, None, (0, 0), 2)
    filled: ObjectMask = flooded[1:-1, 1:-1] != 2
    return filled
