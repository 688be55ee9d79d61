"""Several classes in one picture: which class each pixel has, and how that is drawn."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from model.episode import Photograph
from service.giving_up import go_on
from service.images.render import Colour, png, tint_object
from service.images.shape import clean_mask
from service.options import Shaping

Indices = NDArray[np.uint8]
"""(H, W): 0 is background, n the n-th class."""


def assign_pixels(
    probabilities: Iterable[tuple[int, NDArray[np.float32]]],
    size: tuple[int, int],
    threshold: float,
) -> Indices:
    """Index and (H, W) probability of each class -> each pixel's likeliest class.

    A pixel stays 0 where none is above the threshold. The first of equally likely classes wins.
    Memory holds one probability at a time.
    """
    indices = np.zeros(size, np.uint8)
    surest = np.full(size, threshold, np.float32)
    for index, probability in probabilities:
        go_on()
        indices[probability > surest] = index
        np.maximum(surest, probability, out=surest)
    return indices


def clean_classes(indices: Indices, shaping: Shaping) -> None:
    """Shape each class's mask as ``clean_mask`` does; only background is filled.

    It drops the small parts of every class before it fills holes, so that the holes that they
    leave are filled too.
    """
    without_filling = shaping.model_copy(update={"fill_holes": False})
    for step in (without_filling, Shaping(fill_holes=shaping.fill_holes)):
        for index in range(1, int(indices.max()) + 1):
            go_on()
            mask = indices == index
            cleaned = clean_mask(mask, step)
            if cleaned is not mask:
                indices[mask & ~cleaned] = 0
                indices[cleaned & (indices == 0)] = index


def class_colour(index: int) -> Colour:
    """PASCAL VOC's colour: the index's bits go in turn to R, G and B, highest bit first."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    red, green, blue = channels
    return red, green, blue


def hexadecimal(index: int) -> str:
    """The class's colour as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(index))


def index_png(indices: Indices, classes: int, legend: str = "") -> bytes:
    """An indexed PNG in the classes' colours; any ``legend`` (ASCII) is in a text chunk."""
    image = Image.fromarray(indices)
    image.putpalette([level for index in range(classes + 1) for level in class_colour(index)])
    return png(image, _texts(legend) if legend else None)


def classes_overlay_png(
    photograph: Photograph, indices: Indices, classes: int, legend: str
) -> bytes:
    """(H, W, 3) uint8 -> an RGB PNG, each class tinted in its colour and outlined."""
    picture = photograph.copy()
    for index in range(1, classes + 1):
        go_on()
        tint_object(picture, indices == index, class_colour(index))
    return png(Image.fromarray(picture), _texts(legend))


def _texts(legend: str) -> PngInfo:
    texts = PngInfo()
    texts.add_text("legend", legend)
    return texts
