"""A small picture of a support, for lists."""

import numpy as np
from PIL import Image

from model.episode import Support
from service.images.render import overlay_png

SIDE = 256


def thumbnail_png(support: Support) -> bytes:
    """At most SIDE pixels a side, the object tinted and outlined: an RGB PNG.

    A pixel is object where any of the object falls on it, so that a tiny object shows.
    """
    image = Image.fromarray(support.image)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    stencil = Image.fromarray(support.mask.astype(np.uint8) * np.uint8(255))
    mask = np.array(stencil.resize(image.size, Image.Resampling.BOX)) > 0
    return overlay_png(np.array(image), mask)
