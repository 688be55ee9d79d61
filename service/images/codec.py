"""Upload bytes to photographs and object masks: types, limits, EXIF orientation.

What is accepted is written for users in docs/reference/images.md; the two change together.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import NamedTuple, TypeVar

from PIL import Image, ImageOps, UnidentifiedImageError

from model.episode import ObjectMask, Photograph, Support
from model.errors import InputError
from model.pixels import mask_pixels, photograph_pixels
from service.errors import (
    ServiceError,
    TooManyPixelsError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
    unusable,
)

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MEDIA_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
ACCEPTED = "JPEG, PNG, WebP, BMP or TIFF"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_FOREIGN = (b"GIF8", b"%PDF", b"PK\x03\x04", b"8BPS", b"\0\0\1\0", b"<", b"{", b"\x93NUMPY")
# Declared types that leave the question to the content: accepted ones and "some bytes".
_OPEN_TYPES = frozenset(f"image/{name.lower()}" for name in FORMATS) | {
    *("", "application/octet-stream", "binary/octet-stream", "image/*"),
    *("image/jpg", "image/pjpeg", "image/x-png", "image/x-bmp", "image/x-ms-bmp"),
}
_BROKEN_EXIF = (SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error)

Pixels = TypeVar("Pixels")


class Part(NamedTuple):
    """One file of a form: ``field`` as errors name it, its bytes, and the type it declares."""

    field: str
    content: bytes
    media_type: str = ""

    def read(self, _max_bytes: int) -> "Part":
        """Itself; a part that is kept on disk has this too."""
        return self


def decode_photograph(part: Part, max_pixels: int) -> Photograph:
    """Part -> (H, W, 3) uint8 RGB, upright; what is transparent lies on white.

    Raises UndecodableImageError, UnsupportedMediaTypeError or TooManyPixelsError.
    """
    return _decode(part, max_pixels, photograph_pixels)


def decode_mask(part: Part, max_pixels: int) -> ObjectMask:
    """Part -> (H, W) bool, upright by its own EXIF tag. Raises as decode_photograph does."""
    return _decode(part, max_pixels, mask_pixels)


def decode_support(image: Part, mask: Part, max_pixels: int) -> Support:
    """One shot; raises the errors of its two parts, EmptyMaskError or MaskSizeMismatchError."""
    photograph = decode_photograph(image, max_pixels)
    try:
        return Support(photograph, decode_mask(mask, max_pixels))
    except InputError as error:
        raise unusable(error, mask.field) from error


def media_type(content: bytes) -> str:
    """The type of an image that has been decoded before: by its content, whatever was declared."""
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        # A JPEG with further pictures behind the first is MPO to Pillow, and a JPEG to browsers.
        return "image/jpeg" if image.format == "MPO" else f"image/{image.format}".lower()


def _decode(part: Part, max_pixels: int, read: Callable[[Image.Image], Pixels]) -> Pixels:
    try:
        return read(_open(part, max_pixels))
    except ServiceError:
        raise
    # Pillow answers a broken file with whatever its parsers meet: OSError, SyntaxError, ValueError,
    # struct.error, KeyError, OverflowError and others. Here each means the same.
    except Exception as error:
        raise UndecodableImageError(
            f"{part.field} is broken, truncated or of a rare kind; save it again as {ACCEPTED}",
            field=part.field,
        ) from error


def _open(part: Part, max_pixels: int) -> Image.Image:
    """The first frame, upright; its pixels are counted from the header, before decoding."""
    if not part.content:
        raise UndecodableImageError(f"{part.field} is empty; send {ACCEPTED}", field=part.field)
    try:
        image = Image.open(BytesIO(part.content), formats=FORMATS)
    except UnidentifiedImageError:
        _refuse_foreign(part)
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(part, "far too many", max_pixels) from error
    if image.width * image.height > max_pixels:
        raise _too_many_pixels(part, f"{image.width}x{image.height}", max_pixels)
    image.load()
    with suppress(*_BROKEN_EXIF):  # a photograph with a broken tag is still a photograph
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _refuse_foreign(part: Part) -> None:
    """Raise where the content, or else the declared type, is of another kind."""
    if part.content.startswith(_SIGNATURES):
        return
    foreign = part.content.lstrip().startswith(_FOREIGN) or part.content[4:8] == b"ftyp"
    declared = part.media_type.partition(";")[0].strip().lower()
    if foreign or declared not in _OPEN_TYPES:
        raise UnsupportedMediaTypeError(
            f"{part.field} is not an image of an accepted type; send {ACCEPTED}", field=part.field
        )


def _too_many_pixels(part: Part, size: str, max_pixels: int) -> TooManyPixelsError:
    return TooManyPixelsError(
        f"{part.field} has {size} pixels, the limit is {max_pixels}; send a smaller image",
        field=part.field,
    )
