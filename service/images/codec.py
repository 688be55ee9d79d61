"""Upload bytes to photographs and object masks: types, limits, errors that name the part.

What is accepted is written for users in docs/reference/images.md; the two change together.
"""

from typing import NamedTuple

from model.episode import Photograph, Support
from model.errors import (
    AmbiguousMaskError,
    ImageFileError,
    ImageTooLargeError,
    InputError,
    MaskFormatError,
    NotAnImageError,
)
from model.images.masks import MaskFormat, MaskReading
from model.images.opening import FORMATS
from model.images.tags import TIFF_SIGNATURES
from service.errors import (
    InvalidOptionError,
    ServiceError,
    TooManyPixelsError,
    UnclearMaskError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
    unusable,
)
from service.images.decoders import decoding

MEDIA_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
_TYPES: tuple[tuple[bytes | tuple[bytes, ...], str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"RIFF", "image/webp"),
    (b"BM", "image/bmp"),
    (TIFF_SIGNATURES, "image/tiff"),
    (b"", "application/octet-stream"),
)
_SIGNATURES = tuple(start for start, kind in _TYPES if isinstance(start, bytes) and start)
_FOREIGN = (b"GIF8", b"%PDF", b"PK\x03\x04", b"8BPS", b"\0\0\1\0", b"<", b"{", b"\x93NUMPY")
# Declared types that leave the question to the content: accepted ones and "some bytes".
_OPEN_TYPES = frozenset(MEDIA_TYPES) | {
    *("", "application/octet-stream", "binary/octet-stream", "image/*"),
    *("image/jpg", "image/pjpeg", "image/x-png", "image/x-bmp", "image/x-ms-bmp"),
}


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
    try:
        return decoding().photograph(part.content, max_pixels)
    except ImageFileError as error:
        raise _named(error, part) from error


def decode_mask(part: Part, max_pixels: int, mask_format: MaskFormat = "auto") -> MaskReading:
    """Part -> its (H, W) object pixels, upright by its own EXIF tag.

    Raises as decode_photograph does, UnclearMaskError or InvalidOptionError.
    """
    try:
        return decoding().mask(part.content, max_pixels, mask_format)
    except ImageFileError as error:
        raise _named(error, part) from error
    except AmbiguousMaskError as error:
        either = " or ".join(f"mask_format={name}" for name in error.formats)
        raise UnclearMaskError(
            f"{part.field} {error}; send {either}, or save it as grey with 0 and 255",
            field=part.field,
        ) from error
    except MaskFormatError as error:
        raise InvalidOptionError(
            f"mask_format is {mask_format!r}, but {part.field} {error}", field="mask_format"
        ) from error


def decode_support(
    image: Part, mask: Part, max_pixels: int, mask_format: MaskFormat = "auto"
) -> Support:
    """One shot; raises the errors of its two parts, EmptyMaskError or MaskSizeMismatchError."""
    return decode_shot(image, mask, max_pixels, mask_format)[0]


def decode_shot(
    image: Part, mask: Part, max_pixels: int, mask_format: MaskFormat = "auto"
) -> tuple[Support, MaskReading]:
    """``decode_support``, and how its mask was read."""
    photograph = decode_photograph(image, max_pixels)
    reading = decode_mask(mask, max_pixels, mask_format)
    try:
        return Support(photograph, reading.mask), reading
    except InputError as error:
        raise unusable(error, mask.field) from error


def media_type(content: bytes) -> str:
    """The type of an image that has been decoded before, by its first bytes alone."""
    return next(kind for start, kind in _TYPES if content.startswith(start))


def _named(error: ImageFileError, part: Part) -> ServiceError:
    """The same as a reply, which names the part."""
    if isinstance(error, ImageTooLargeError):
        return TooManyPixelsError(f"{part.field} {error}", field=part.field)
    if isinstance(error, NotAnImageError) and _is_of_another_kind(part):
        return UnsupportedMediaTypeError(f"{part.field} {error}", field=part.field)
    return UndecodableImageError(f"{part.field} {error}", field=part.field)


def _is_of_another_kind(part: Part) -> bool:
    """Whether the content, or else the declared type, is recognisably no accepted image."""
    if part.content.startswith((*_SIGNATURES, *TIFF_SIGNATURES)):
        return False
    declared = part.media_type.partition(";")[0].strip().lower()
    foreign = part.content.lstrip().startswith(_FOREIGN) or part.content[4:8] == b"ftyp"
    return foreign or declared not in _OPEN_TYPES
