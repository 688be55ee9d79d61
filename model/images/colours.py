"""The colours of a mask: grounds of black or white, what lies on them, and known palettes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

# A pixel whose channels differ by less has no colour.
CHROMA = 32
# Shares of the picture that are noise: fringes of a smoothed or compressed edge.
_NOISE = 0.005


class Colours(NamedTuple):
    """Whether a picture holds black, white and colours; the share that is nearly pure of both."""

    black: bool
    white: bool
    coloured: bool
    extreme: float


def sort_colours(pixels: NDArray[np.uint8], exact: bool = False) -> Colours:
    """(H, W, 3) -> what there is; only an ``exact`` picture's single pixels are no noise."""
    most, least = pixels.max(axis=2), pixels.min(axis=2)
    colourless = most - least < CHROMA
    black, white = colourless & (most <= 127), colourless & (least > 127)
    noise = 0.0 if exact else _NOISE
    extreme = colourless & ((most < 16) | (least > 239))
    return Colours(
        bool(black.mean() > noise),
        bool(white.mean() > noise),
        bool(1 - black.mean() - white.mean() > noise),
        float(extreme.mean()),
    )


def _voc_colour(index: int) -> Colour:
    """Bits 0, 1 and 2 of the index go to red, green and blue, from the top down."""
    red = green = blue = 0
    for bit in range(8):
        red |= (index & 1) << (7 - bit)
        green |= (index >> 1 & 1) << (7 - bit)
        blue |= (index >> 2 & 1) << (7 - bit)
        index >>= 3
    return red, green, blue


VOC: tuple[Colour, ...] = tuple(_voc_colour(index) for index in range(256))
"""PASCAL VOC's palette (VOCdevkit, VOClabelcolormap.m)."""
VOC_VOID = VOC[255]
# fmt: off
CITYSCAPES: tuple[Colour, ...] = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
    (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
    (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
    (0, 80, 100), (0, 0, 230), (119, 11, 32), *((0, 0, 0),) * 237,
)
# fmt: on
"""Cityscapes' colours of its 19 train ids (cityscapesscripts/helpers/labels.py)."""
