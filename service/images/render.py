"""Masks and probabilities as PNG, for programs and as pictures for people."""

from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from model.episode import ObjectMask, Photograph
from service.giving_up import go_on

# zlib's fastest.
PNG_COMPRESS_LEVEL = 1
# A mask is long runs of two values, so run lengths without filters suit it: 12 megapixels take
# 23 ms and 19 kB. Pillow, which tries filters that cannot help, takes 82 ms and 75 kB.
MASK_PNG = (
    *(cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESS_LEVEL),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)
# libpng, with which OpenCV writes, refuses longer sides.
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

    The alpha is the mask, blurred by a thousandth or two of the side. The probability would be a
    bad alpha: in a large photograph its ramp is tens of pixels wide, and shows as a halo.
    """
    spread = max(0.5, max(mask.shape) * FEATHER_SHARE)
    alpha = cv2.GaussianBlur(_stencil(mask), (0, 0), spread)
    return png(Image.fromarray(np.dstack([photograph, alpha])))


def tint_object(picture: Photograph, mask: ObjectMask, colour: Colour) -> None:
    """Tint one object in ``picture`` (H, W, 3), and draw a line inside its edge."""
    painted = cv2.addWeighted(picture, 1 - TINT_SHARE, np.full_like(picture, colour), TINT_SHARE, 0)
    outlines, _ = cv2.findContours(_stencil(mask), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(mask.shape) * LINE_SHARE))
    rim = max(1, width // 2)
    # OpenCV centres lines on the edge pixels; the mask keeps their inner halves.
    cv2.drawContours(painted, outlines, -1, RIM, 2 * (width + rim) - 1, cv2.LINE_AA)
    cv2.drawContours(painted, outlines, -1, LINE, 2 * width - 1, cv2.LINE_AA)
    np.copyto(picture, painted, where=mask[..., None])


def png(image: Image.Image, texts: PngInfo | None = None) -> bytes:
    """Write the file quickly rather than small."""
    go_on()
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=PNG_COMPRESS_LEVEL, pnginfo=texts)
    return buffer.getvalue()


def _stencil(mask: ObjectMask) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(255)
