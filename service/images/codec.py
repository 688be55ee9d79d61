"""Upload bytes to photographs and object masks: types, limits, errors that name the part.

What is accepted is written for users in docs/reference/images.md; the two change together.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.episode import ObjectMask, Photograph, Support
from model.errors import (
    AmbiguousMaskError,
    EmptyMaskError,
    ImageFileError,
    ImageTooLargeError,
    InputError,
    MaskFormatError,
    MaskSizeError,
    NotAnImageError,
)
from model.images.kinds import HEIC, KINDS, foreign_kind, kind_of
from model.images.masks import MaskFormat, MaskReading
from service.errors import (
    BlankMaskError,
    ImageError,
    InvalidImageError,
    InvalidOptionError,
    MaskSizeMismatchError,
    ServiceError,
    TooManyPixelsError,
    UnclearMaskError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
)
from service.images.decoders import decoding
from service.images.drawing import read_drawing

_ANY_BYTES = "application/octet-stream"
MEDIA_TYPES = tuple(kind.media_type for kind in KINDS)
# Declared types that leave the question to the content: accepted ones and "some bytes".
_OPEN_TYPES = frozenset(MEDIA_TYPES) | {
    *("", _ANY_BYTES, "binary/octet-stream", "image/*"),
    *("image/jpg", "image/pjpeg", "image/x-png", "image/x-bmp", "image/x-ms-bmp"),
    *("image/heif", "image/jpx", "image/j2c", "image/x-jp2"),
}


class Part(NamedTuple):
    """One file of a form: ``field`` as errors name it, its bytes, and the type it declares.

    One that ``is_mark`` is a rough mark in place of a mask.
    """

    field: str
    content: bytes
    media_type: str = ""
    is_mark: bool = False

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


def decode_classes(part: Part, max_pixels: int) -> NDArray[np.uint8]:
    """Part -> its (H, W) class numbers, 0 being background.

    Raises as decode_photograph does, or InvalidImageError where the file holds no numbers.
    """
    try:
        return decoding().classes(part.content, max_pixels)
    except ImageFileError as error:
        raise _named(error, part) from error
    except MaskFormatError as error:
        raise InvalidImageError(f"{part.field} {error}", field=part.field) from error


def decode_support(
    image: Part, mask: Part, max_pixels: int, mask_format: MaskFormat = "auto"
) -> Support:
    """One shot; raises the errors of its two parts, BlankMaskError or MaskSizeMismatchError."""
    return decode_shot(image, mask, max_pixels, mask_format)[0]


def decode_shot(
    image: Part, mask: Part, max_pixels: int, mask_format: MaskFormat = "auto"
) -> tuple[Support, MaskReading]:
    """``decode_support``, and how its mask was read; a rough mark is drawn, and its box cut out.

    Raises what ``read_drawing`` does, too.
    """
    photograph = decode_photograph(image, max_pixels)
    if mask.is_mark:
        reading = read_drawing(mask.content, mask.field, photograph)
    else:
        reading = decode_mask(mask, max_pixels, mask_format)
    return support_of(photograph, reading.mask, mask.field), reading


def support_of(photograph: Photograph, mask: ObjectMask, field: str) -> Support:
    """One shot; BlankMaskError or MaskSizeMismatchError, which call its mask ``field``."""
    try:
        return Support(photograph, mask)
    except InputError as error:
        raise _unusable(error, field) from error


def media_type(content: bytes) -> str:
    """The type of an image that has been decoded before, by its first bytes alone."""
    kind = kind_of(content)
    return kind.media_type if kind else _ANY_BYTES


def _named(error: ImageFileError, part: Part) -> ServiceError:
    """The same as a reply, which names the part."""
    if isinstance(error, ImageTooLargeError):
        return TooManyPixelsError(f"{part.field} {error}", field=part.field)
    if isinstance(error, NotAnImageError) and _is_of_another_kind(part):
        return UnsupportedMediaTypeError(f"{part.field} {error}", field=part.field)
    return UndecodableImageError(f"{part.field} {error}", field=part.field)


def _is_of_another_kind(part: Part) -> bool:
    """Whether the content, or else the declared type, is recognisably no accepted image."""
    kind = kind_of(part.content)
    if kind is not None:
        return kind is HEIC
    declared = part.media_type.partition(";")[0].strip().lower()
    return bool(foreign_kind(part.content)) or declared not in _OPEN_TYPES


def _unusable(error: InputError, field: str) -> ImageError:
    """Turn the model's error about an image or mask into the reply about its part, ``field``."""
    kinds: dict[type[InputError], type[ImageError]] = {
        EmptyMaskError: BlankMaskError,
        MaskSizeError: MaskSizeMismatchError,
    }
    return kinds.get(type(error), InvalidImageError)(str(error), field=field)
