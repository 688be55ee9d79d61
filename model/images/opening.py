"""Image files to upright Pillow images, for everybody who opens one: its bounds and its errors.

What is accepted is written for users in docs/reference/images.md; the two change together.
"""

import struct
from contextlib import suppress
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from model.errors import BrokenImageError, ImageTooLargeError, NotAnImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
ACCEPTED = "JPEG, PNG, WebP, BMP or TIFF"
# Above it Pillow warns of a decompression bomb, above twice it refuses: its own limit stays in
# force, since changing it would change it for the whole process.
PILLOW_MAX_PIXELS = 89_478_485
_MODES = frozenset(
    {*("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "I", "F"), "I;16", "I;16B"}
)
_BROKEN_EXIF = (SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error)


def open_upright(content: bytes, max_pixels: int = PILLOW_MAX_PIXELS) -> Image.Image:
    """The first frame of a file, decoded and turned as its EXIF orientation says.

    The type is that of the content, whatever the file is called. Pixels are counted before they
    are decoded. Raises NotAnImageError, BrokenImageError or ImageTooLargeError, whose messages
    begin with the verb: the caller says which file it is.
    """
    if not content:
        raise BrokenImageError(f"is empty; send {ACCEPTED}")
    try:
        return _decode(content, max_pixels)
    except (ImageTooLargeError, NotAnImageError):
        raise
    # Pillow answers a broken file with whatever its parsers meet: OSError, SyntaxError, ValueError,
    # struct.error, KeyError, OverflowError and others. Here each means the same.
    except Exception as error:
        raise BrokenImageError(
            f"is broken, truncated or of a rare kind; save it again as {ACCEPTED}"
        ) from error


def _decode(content: bytes, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise NotAnImageError(f"is not an image of an accepted type; send {ACCEPTED}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("far too many", max_pixels) from error
    if image.width * image.height > max_pixels:
        raise _too_large(f"{image.width}x{image.height}", max_pixels)
    image.load()
    with suppress(*_BROKEN_EXIF):  # a photograph with a broken tag is still a photograph
        ImageOps.exif_transpose(image, in_place=True)
    return image if image.mode in _MODES else _as_rgb(image)


def _as_rgb(image: Image.Image) -> Image.Image:
    """Modes that nobody else needs to know, such as LAB."""
    converted = image.convert("RGB")
    converted.format = image.format
    return converted


def _too_large(size: str, max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(f"has {size} pixels, the limit is {max_pixels}; send a smaller image")
