"""An object cut out by what is roughly known of its place (GrabCut, Rother et al. 2004)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.episode import ObjectMask, Photograph

CUT_SIDE = 400
"""Pixels of the longer side in which objects are cut out; 240 cost unseen objects five points."""
ROUNDS = 2
LEAST_KEPT = 0.05
"""Of a frame: where less differs from what lies beyond it, there is no object to cut out."""
NEAR, RIM = 0.15, 0.02
"""Shares of the longer side: within it of a point the object is likely; there it is not."""


def cut_out(photograph: Photograph, frame: ObjectMask, certain: ObjectMask) -> ObjectMask:
    """(H, W, 3) uint8 RGB and twice (H, W) bool -> the part of the frame that is the object.

    It is what differs from all that lies beyond the frame, and what is like the ``certain`` part.
    The frame itself where nothing lies beyond it, or hardly anything within it differs.
    """
    framed = _reduced(frame) > 0
    labels = np.where(framed, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[_reduced(certain) > 0] = cv2.GC_FGD
    kept = _separate(photograph, labels) & frame
    enough = np.count_nonzero(kept) >= LEAST_KEPT * np.count_nonzero(frame)
    return np.asarray(kept) if enough else frame


def grow(
    photograph: Photograph, points: ObjectMask, certain: ObjectMask, background: ObjectMask
) -> ObjectMask:
    """(H, W, 3) uint8 RGB and three times (H, W) bool -> the object that the points lie on.

    It is what is like all that is ``certain``, rather than like the ``background`` or the
    photograph's rim, and what lies near the points rather than far away. What is certain is part
    of it; alone, where nothing else is left.
    """
    dots = _reduced(points) > 0
    distance = cv2.distanceTransform((~dots).astype(np.uint8), cv2.DIST_L2, 5)
    near = distance <= NEAR * max(dots.shape)
    labels = np.where(near, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    rim = max(1, round(RIM * max(dots.shape)))
    outer = np.ones_like(dots)
    outer[rim:-rim, rim:-rim] = False
    labels[outer | (_reduced(background) > 0)] = cv2.GC_BGD
    labels[_reduced(certain) > 0] = cv2.GC_FGD
    return np.asarray((_separate(photograph, labels) | certain) & ~background)


def _separate(photograph: Photograph, labels: NDArray[np.uint8]) -> ObjectMask:
    """GrabCut's labels, reduced -> (H, W) bool; nothing, where all of them are of one kind."""
    height, width = photograph.shape[:2]
    is_object = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if is_object.all() or not is_object.any():
        return np.zeros((height, width), np.bool_)
    cv2.setRNGSeed(0)  # the same object at every request
    models = np.zeros((2, 1, 65))
    cv2.grabCut(
        _reduced(photograph),
        labels,
        (0, 0, 1, 1),
        models[0],
        models[1],
        ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    is_object = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return np.asarray(cv2.resize(is_object.astype(np.float32), (width, height)) > 0.5)


def _reduced(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """At most CUT_SIDE pixels a side; a mask is above 0 wherever some of it was true."""
    height, width = pixels.shape[:2]
    scale = min(1.0, CUT_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    levels = pixels * np.uint8(255) if pixels.dtype == np.bool_ else pixels
    return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA))
