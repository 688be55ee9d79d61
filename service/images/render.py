"""Masks and probabilities as PNG, for programs and as pictures for people."""

from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from model.episode import ObjectMask, Photograph
from service.giving_up import go_on
from service.images.coco import bounding_box

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

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
# Grey levels: white stands out on dark photographs, its dark rim on light ones.
LINE, RIM = 255, 0
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
    """Tint one object in ``picture`` (H, W, 3), and draw a line inside its edge.

    The line is found by each pixel's distance from the edge, in the time of the pixels: to draw it
    around each of a million parts takes minutes.
    """
    box = bounding_box(mask)
    if box is None:
        return
    left, top, width, height = box
    whole = slice(top, top + height), slice(left, left + width)
    picture, line = picture[whole], max(1, round(max(mask.shape) * LINE_SHARE))
    mask, rim = mask[whole], max(1, line // 2)
    levels = (1 - TINT_SHARE) * np.arange(256)[:, None] + TINT_SHARE * np.array(colour)
    painted = np.asarray(cv2.LUT(picture, np.rint(levels[None]).astype(np.uint8)), np.uint8)
    framed = cv2.copyMakeBorder(_stencil(mask), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    for grey, most in ((RIM, line + rim), (LINE, line)):
        cv2.copyTo(np.full_like(painted, grey), cv2.inRange(depth, 0, most), painted)
    np.copyto(picture, painted, where=mask[..., None])


def png(image: Image.Image, texts: PngInfo | None = None) -> bytes:
    """Write the file quickly rather than small."""
    buffer = _Growing()
    image.save(buffer, "PNG", compress_level=PNG_COMPRESS_LEVEL, pnginfo=texts)
    return buffer.getvalue()


class _Growing(BytesIO):
    """A file that is written no further once nobody waits for it."""

    def write(self, content: "ReadableBuffer", /) -> int:
        go_on()
        return super().write(content)


def _stencil(mask: ObjectMask) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(255)
