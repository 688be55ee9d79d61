"""Pillow images of any mode to photographs."""

import numpy as np
from PIL import Image

from model.episode import Photograph
from model.images.levels import grey_levels, is_deep, straight_alpha


def photograph_pixels(image: Image.Image) -> Photograph:
    """Any Pillow mode -> (H, W, 3) uint8; deep greys are scaled, not clipped."""
    if is_deep(image) and (levels := grey_levels(image)):
        grey = np.rint(levels.values * np.float32(255 / levels.full)).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = straight_alpha(image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))
