"""Masks and probabilities as PNG: for programs, and as pictures on the photograph."""

from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from model.episode import ObjectMask, Photograph

# zlib's fastest.
PNG_COMPRESS_LEVEL = 1
# A mask is long runs of two values: run lengths of the pixels as they are. A mask of 12 megapixels
# takes 23 ms and 19 kB, by Pillow 82 ms and 75 kB, as it tries filters that cannot help.
MASK_PNG = (
    *(cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESS_LEVEL),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)
# libpng, which OpenCV writes with, refuses longer ones.
MAX_LIBPNG_SIDE = 1_000_000
Colour = tuple[int, int, int]
MAGENTA: Colour = (255, 0, 180)  # rare in photographs
TINT_SHARE = 0.4
# White stands out on dark photographs, its dark rim on light ones.
LINE: Colour = (255, 255, 255)
RIM: Colour = (0, 0, 0)
# Of the longer side: 2 pixels of line on 500, with a rim of 1.
LINE_SHARE = 1 / 250
FEATHER_SHARE = 1 / 500


def mask_png(mask: ObjectMask) -> bytes:
    """(H, W) bool -> an 8-bit grey PNG of the same size, 255 on the object and 0 elsewhere."""
    if max(mask.shape) > MAX_LIBPNG_SIDE:
        return png(Image.fromarray(_stencil(mask)))
    _, content = cv2.imencode(".png", _stencil(mask), MASK_PNG)
    return content.tobytes()


def probability_png(probability: NDArray[np.float32], depth: int) -> bytes:
    """(H, W) in [0, 1] -> a grey PNG of 8 or 16 bits, whose white is 1."""
    white = 2**depth - 1
    levels = np.rint(probability * white)
    return png(Image.fromarray(levels.astype(np.uint8 if depth == 8 else np.uint16)))


def overlay_png(photograph: Photograph, mask: ObjectMask) -> bytes:
    """(H, W, 3) uint8 and (H, W) bool -> an RGB PNG, the object tinted and outlined."""
    picture = photograph.copy()
    tint_object(picture, mask, MAGENTA)
    return png(Image.fromarray(picture))


def cutout_png(photograph: Photograph, mask: ObjectMask) -> bytes:
    """(H, W, 3) uint8 and (H, W) bool -> an RGBA PNG, transparent around the object.

    The edge is the mask's, blurred by a thousandth or two of the side. The probability itself is
    no alpha: its ramp is tens of pixels wide in a large photograph and shows as a halo.
    """
    spread = max(0.5, max(mask.shape) * FEATHER_SHARE)
    alpha = cv2.GaussianBlur(_stencil(mask), (0, 0), spread)
    return png(Image.fromarray(np.dstack([photograph, alpha])))


def tint_object(picture: Photograph, mask: ObjectMask, colour: Colour) -> None:
    """Paint one object into ``picture`` (H, W, 3): its colour, and a line inside its edge."""
    painted = cv2.addWeighted(picture, 1 - TINT_SHARE, np.full_like(picture, colour), TINT_SHARE, 0)
    outlines, _ = cv2.findContours(_stencil(mask), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(mask.shape) * LINE_SHARE))
    rim = max(1, width // 2)
    # Lines are drawn around the edge pixels, and the mask lets their inner halves through.
    cv2.drawContours(painted, outlines, -1, RIM, 2 * (width + rim) - 1, cv2.LINE_AA)
    cv2.drawContours(painted, outlines, -1, LINE, 2 * width - 1, cv2.LINE_AA)
    np.copyto(picture, painted, where=mask[..., None])


def png(image: Image.Image, texts: PngInfo | None = None) -> bytes:
    """The file's bytes, quickly rather than tightly packed."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=PNG_COMPRESS_LEVEL, pnginfo=texts)
    return buffer.getvalue()


def _stencil(mask: ObjectMask) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(255)
