"""Pillow images of any mode to photographs and object masks: the mask rules.

The rules are written for users in docs/reference/images.md; the two change together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.episode import VOID, ObjectMask, Photograph

_OPAQUE_HALF = 127


def photograph_pixels(image: Image.Image) -> Photograph:
    """Any Pillow mode -> (H, W, 3) uint8; deep greys are scaled, not clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        values, full = _grey(image)
        grey = np.rint(values * np.float32(255 / full)).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = _straight_alpha(image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))


def mask_pixels(image: Image.Image) -> ObjectMask:
    """Any Pillow mode -> (H, W) bool by the mask rules.

    Palette: index non-zero, 255 being VOC's void where other indices are there too. Alpha, where
    it varies: above half. Colour: the brightest channel, then as grey. Grey: non-zero if it holds
    only 0 and 1, else above half of its range.
    """
    if image.mode == "P":
        return _labelled(np.array(image))
    if image.has_transparency_data:
        rgba = _straight_alpha(image).convert("RGBA")
        alpha = np.array(rgba.getchannel("A"))
        if alpha.min() != alpha.max():
            return np.asarray(alpha > _OPAQUE_HALF)
        image = rgba.convert("RGB")
    values, full = _grey(image)
    half = full / 2 if values.max() > 1 else 0.5
    return np.asarray(values > half)


def _labelled(indices: NDArray[np.uint8]) -> ObjectMask:
    marked = indices != 0
    labelled = marked & (indices != VOID)
    return np.asarray(labelled if labelled.any() else marked)


def _grey(image: Image.Image) -> tuple[NDArray[Any], float]:
    """(H, W) values from 0 and the full range they are on; of colour, the brightest channel."""
    if image.mode in ("1", "L"):
        return np.array(image.convert("L")), 255
    if image.mode.startswith("I;16"):
        return np.array(image), 65535
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.array(image, dtype=np.float32), posinf=0, neginf=0).clip(0)
        top = float(values.max())
        return values, next((full for full in (1, 255, 65535) if top <= full), top)
    return np.array(image.convert("RGB")).max(axis=2), 255


def _straight_alpha(image: Image.Image) -> Image.Image:
    """Pillow converts premultiplied grey to nothing but straight grey."""
    return image.convert("LA") if image.mode == "La" else image
