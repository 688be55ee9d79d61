"""A network's input where any will do."""

import numpy as np
from numpy.typing import NDArray

SEED = 7


def draw(size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(3, h, w) noise, and an (h, w) mask of its middle."""
    height, width = size
    image = np.random.default_rng(SEED).integers(0, 256, (3, height, width), np.uint8)
    mask = np.zeros(size, np.float32)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return image, mask
