"""TIFF files whose pixels Pillow gives wrong, without a word: refused, with what else to save.

Found by writing each kind with tifffile and reading it again: layouts, depths, byte orders,
compressions and predictors.
"""

from typing import NamedTuple

from model.errors import BrokenImageError
from model.images.tags import check_tags, read_tags, values_of

_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR = 258, 259, 262, 284
_SAMPLE_FORMAT, _SUBSAMPLING = 339, 530
_RAW, _SEPARATE, _UNSIGNED = 1, 2, 1
_WHITE_IS_ZERO, _YCBCR, _LAB = 0, 6, 8
# What Pillow unpacks as the format says.
_DEPTHS = frozenset({1, 2, 4, 8, 16, 32})


class _Layout(NamedTuple):
    """How the first page's samples lie."""

    depth: int
    raw: bool
    separate: bool
    signed_or_float: bool
    photometric: int
    subsampling: tuple[int, ...]
    big_endian: bool


def check_tiff(content: bytes) -> None:
    """Raise BrokenImageError, whose message begins with the verb."""
    check_tags(content)
    layout = _layout(content)
    if layout is not None and (what := _misread(layout)):
        raise BrokenImageError(f"is a TIFF with {what}, which is not read right; save it as PNG")


def describe_tiff(content: bytes) -> str:
    """Channels and depth, as "5 channels of 16 bits"; nothing for other files."""
    bits = next((values_of(content, tag) for tag in read_tags(content) if tag.number == _BITS), ())
    if not bits:
        return ""
    channels = f"{len(bits)} channels" if len(bits) > 1 else "1 channel"
    return f"{channels} of {max(bits)} bits"


def _misread(layout: _Layout) -> str:
    """What makes the pixels wrong, or nothing."""
    deep = layout.depth > 8
    if layout.depth not in _DEPTHS:
        return f"{layout.depth} bits a sample"
    if deep and layout.separate and layout.raw:
        return f"planes of {layout.depth} bits, uncompressed"
    if deep and layout.photometric == _WHITE_IS_ZERO:
        return f"white as 0 in {layout.depth} bits"
    if deep and layout.signed_or_float and layout.big_endian and not layout.raw:
        return "signed or floating-point samples, big-endian and compressed"
    if layout.photometric == _YCBCR and layout.raw and layout.subsampling != (1, 1):
        return "subsampled colours, uncompressed"
    if layout.photometric >= _LAB:
        return "Lab or other rare colours"
    return ""


def _layout(content: bytes) -> _Layout | None:
    """None where there is no directory, of which the decoder says more."""
    values = {tag.number: values_of(content, tag) for tag in read_tags(content) if tag.length < 99}
    if not values:
        return None
    bits = values.get(_BITS) or (1,)
    formats = values.get(_SAMPLE_FORMAT) or (_UNSIGNED,)
    return _Layout(
        depth=max(bits),
        raw=(values.get(_COMPRESSION) or (_RAW,))[0] == _RAW,
        separate=(values.get(_PLANAR) or (1,))[0] == _SEPARATE and len(bits) > 1,
        signed_or_float=any(kind != _UNSIGNED for kind in formats),
        photometric=(values.get(_PHOTOMETRIC) or (_WHITE_IS_ZERO,))[0],
        subsampling=values.get(_SUBSAMPLING) or (2, 2),
        big_endian=content.startswith(b"MM"),
    )
