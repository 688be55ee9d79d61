"""Image files to upright Pillow images, for everybody who opens one: its bounds and its errors.

What is accepted is written for users in docs/reference/images.md; the two change together.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from model.errors import BrokenImageError, ImageFileError, ImageTooLargeError, NotAnImageError
from model.images.kinds import HEIC, Kind, foreign_kind, kind_of
from model.images.structure import check_structure, ends_early
from model.images.tiff import describe_tiff

ACCEPTED = "JPEG, PNG, WebP, BMP, TIFF, AVIF or JPEG 2000"
# Above it Pillow warns of a decompression bomb, above twice it refuses: its own limit stays in
# force, since changing it would change it for the whole process.
PILLOW_MAX_PIXELS = 89_478_485
_END_OF_JPEG = b"\xff\xd9"
# Share of a cut JPEG's rows.
_MAY_BE_MISSING = 1 / 20
_MODES = frozenset(
    {*("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "I", "F"), "I;16", "I;16B"}
)
_BROKEN_EXIF = (SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error)


def _go_ahead(_: int) -> None:
    pass


def open_upright(
    content: bytes,
    max_pixels: int = PILLOW_MAX_PIXELS,
    before_pixels: Callable[[int], None] = _go_ahead,
) -> Image.Image:
    """The first frame of a file, decoded and turned as its EXIF orientation says.

    The type is that of the content, whatever the file is called. Pixels, scans, chunks and tags are
    counted before anything is decoded; ``before_pixels`` is told how many pixels there will be.
    Raises NotAnImageError, BrokenImageError or ImageTooLargeError, whose messages begin with the
    verb: the caller says which file it is.
    """
    if not content:
        raise BrokenImageError(f"is empty; send {ACCEPTED}")
    check_structure(content)
    try:
        return _decode(content, max_pixels, before_pixels)
    except ImageFileError:
        raise
    # Pillow answers a broken file with whatever its parsers meet: OSError, SyntaxError, ValueError,
    # struct.error, KeyError, OverflowError and others. Here each means the same.
    except Exception as error:
        raise BrokenImageError(
            f"is broken, truncated or of a rare kind; save it again as {ACCEPTED}"
        ) from error


def _decode(content: bytes, max_pixels: int, before_pixels: Callable[[int], None]) -> Image.Image:
    if ended := ends_early(content):
        content += _END_OF_JPEG
    try:
        image = Image.open(BytesIO(content), formats=[_readable_kind(content).format])
    except UnidentifiedImageError as error:
        if described := describe_tiff(content):
            raise BrokenImageError(
                f"is a TIFF of {described}, which is not read; save it as 8 or 16 bits, RGB or grey"
            ) from error
        raise NotAnImageError(f"is not an image of an accepted type; send {ACCEPTED}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("far too many", max_pixels) from error
    _check_pixels(image, max_pixels)
    before_pixels(image.width * image.height)
    image.load()
    _check_pixels(image, max_pixels)  # a HEIC's own size is known for certain only now
    if ended:
        _check_rows(image)
    with suppress(*_BROKEN_EXIF):  # a photograph with a broken tag is still a photograph
        ImageOps.exif_transpose(image, in_place=True)
    return image if image.mode in _MODES else _as_rgb(image)


def _readable_kind(content: bytes) -> Kind:
    """Raises NotAnImageError, which names what is no image or cannot be read here."""
    kind = kind_of(content)
    if kind is None:
        what = foreign_kind(content)
        told = f"is {what}" if what else "is not an image of an accepted type"
        raise NotAnImageError(told if ";" in told else f"{told}; send {ACCEPTED}")
    if kind is HEIC and not reads_heic():
        raise NotAnImageError(
            f"is HEIC, which is not read here; send {ACCEPTED}, or install "
            "sg-one-service[heic] where it is to be read"
        )
    return kind


@cache
def reads_heic() -> bool:
    """Whether pillow-heif is installed, by which Pillow reads HEIC from then on."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return True


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise _too_large(f"{image.width}x{image.height}", max_pixels)


def _check_rows(image: Image.Image) -> None:
    """Refuse a JPEG that is cut off: its decoder fills missing rows with mid-grey. A few may be."""
    width, height = image.size
    tail = image.crop((0, int(height * (1 - _MAY_BE_MISSING)) - 1, width, height))
    if all(band == (128, 128) for band in tail.convert("RGB").getextrema()):
        raise BrokenImageError(f"is cut off; save it again as {ACCEPTED}")


def _as_rgb(image: Image.Image) -> Image.Image:
    """Modes that nobody else needs to know, such as LAB."""
    converted = image.convert("RGB")
    converted.format = image.format
    return converted


def _too_large(size: str, max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(f"has {size} pixels, the limit is {max_pixels}; send a smaller image")
