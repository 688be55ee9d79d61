"""Photographs, masks and marks as programs have them: files, bytes, Pillow images, arrays."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.episode import ObjectMask, Photograph, Support, check_photograph
from model.errors import AmbiguousMaskError
from model.images.masks import MaskFormat, read_mask
from model.images.pixels import photograph_pixels
from service.errors import InvalidImageError, UnclearMaskError, UndecodableImageError
from service.images.codec import Part, decode_mask, decode_photograph, support_of
from service.images.drawing import read_drawing

Picture = str | Path | bytes | Part | Image.Image | NDArray[np.uint8]
"""An array is (H, W, 3). A Pillow image is taken as it lies in memory, a file by its EXIF tag."""
MaskOrMark = Picture | ObjectMask | Mapping[str, Any]
"""A mask, an array being (H, W); or a rough mark, as a mapping or the path of a .json file."""


def read_part(path: Path) -> Part:
    """Read a file for the codec. Raises UndecodableImageError where it cannot be read."""
    try:
        return Part(str(path), path.read_bytes())
    except OSError as error:
        raise UndecodableImageError(f"{path} cannot be read ({error.strerror})") from error


def read_shown(path: Path) -> Part:
    """``read_part`` of a mask or, from a .json file, of a rough mark."""
    return read_part(path)._replace(is_mark=path.suffix.lower() == ".json")


def photograph_of(picture: Picture, name: str, max_pixels: int) -> Photograph:
    """(H, W, 3) uint8. Raises the codec's errors, which call what has no path ``name``."""
    if isinstance(picture, np.ndarray):
        check_photograph(picture)
        return picture
    if isinstance(picture, Image.Image):
        return photograph_pixels(picture)
    return decode_photograph(_part(picture, name), max_pixels)


def support_from(
    image: Picture, shown: MaskOrMark, name: str, max_pixels: int, mask_format: MaskFormat = "auto"
) -> Support:
    """One shot. Raises the codec's errors, or ImageShapeError for an array of another shape."""
    photograph = photograph_of(image, name, max_pixels)
    mark = mark_of(shown, name)
    if mark is not None:
        mask = read_drawing(mark.content, mark.field, photograph).mask
        return support_of(photograph, mask, mark.field)
    mask, field = _mask_of(shown, f"the mask of {name}", max_pixels, mask_format)
    return support_of(photograph, mask, field)


def mark_of(shown: MaskOrMark, name: str) -> Part | None:
    """The rough mark, where it is one."""
    if isinstance(shown, Mapping):
        content = json.dumps(shown, default=_plain).encode()
        return Part(f"the mark of {name}", content, is_mark=True)
    if isinstance(shown, str | Path):
        path = Path(shown)
        return read_shown(path) if path.suffix.lower() == ".json" else None
    return shown if isinstance(shown, Part) and shown.is_mark else None


def _mask_of(
    shown: Any, name: str, max_pixels: int, mask_format: MaskFormat
) -> tuple[ObjectMask, str]:
    """(H, W) bool, and what errors call it."""
    if isinstance(shown, np.ndarray):
        return _bool_mask(shown, name), name
    if isinstance(shown, Image.Image):
        try:
            return read_mask(shown, mask_format).mask, name
        except AmbiguousMaskError as error:
            raise UnclearMaskError(f"{name} {error}; choose by mask_format") from error
    part = _part(shown, name)
    return decode_mask(part, max_pixels, mask_format).mask, part.field


def _bool_mask(array: NDArray[Any], name: str) -> ObjectMask:
    levels = set(np.unique(array).tolist()) if array.dtype in (np.bool_, np.uint8) else {-1}
    if array.ndim != 2 or not (levels <= {0, 1} or levels <= {0, 255}):
        raise InvalidImageError(
            f"{name} is an array of shape {array.shape} and type {array.dtype}; give (H, W) bool, "
            "or uint8 of 0 and 1 or 255"
        )
    return array > 0


def _part(picture: Any, name: str) -> Part:
    match picture:
        case Part():
            return picture
        case bytes():
            return Part(name, picture)
        case str() | Path():
            return read_part(Path(picture))
    raise TypeError(f"{name} is {type(picture).__name__}; give a path, bytes, image or array")


def _plain(value: Any) -> Any:
    """Numbers of NumPy as JSON has them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no part of a rough mark; give numbers and lists")
