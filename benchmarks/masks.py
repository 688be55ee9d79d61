"""Whether a reply is the mask that it should be."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]


class Judge:
    """Compares replies with the references beside the bodies; a reply seen before costs nothing."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.body"), key=lambda path: int(path.stem))
        self.bodies = [path.read_bytes() for path in paths]
        self._references = [read_mask(path.with_suffix(".png").read_bytes()) for path in paths]
        self._known: dict[tuple[int, bytes], float] = {}

    def iou(self, number: int, png: bytes) -> float:
        """Of a reply to request ``number`` with its reference."""
        place = number % len(self.bodies)
        if (place, png) not in self._known:
            self._known[place, png] = iou(self._references[place], png)
        return self._known[place, png]


def read_mask(png: bytes) -> Mask:
    """PNG of mode L -> (H, W) bool; ValueError for another."""
    with Image.open(BytesIO(png), formats=["PNG"]) as image:
        if image.mode != "L":
            raise ValueError(f"the mask is of mode {image.mode}, not L")
        return np.asarray(image) > 127


def iou(reference: Mask, png: bytes) -> float:
    """IoU in [0, 1]; 0 for what is no 8-bit grey image of the reference's size."""
    try:
        mask = read_mask(png)
    except (OSError, ValueError):
        return 0.0
    if mask.shape != reference.shape:
        return 0.0
    union = np.count_nonzero(mask | reference)
    return float(np.count_nonzero(mask & reference) / union) if union else 1.0
