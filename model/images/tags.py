"""TIFF's tags, in TIFF files and in EXIF: how many bytes they ask a reader to read and keep."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from model.errors import BrokenImageError

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
MAX_TAGS = 1_000
# Strips or tiles of a page, and values of any other tag of numbers: a palette has 196,608.
MAX_STRIPS = 65_536
MAX_VALUES = 200_000
# Tags may overlap: the sum of what they point to, beyond the file's own size.
MAX_EXTRA_BYTES = 16 * 1024 * 1024

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TYPE_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
# Text and bytes, which readers keep as one object.
_OPAQUE = frozenset({1, 2, 6, 7})
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}
# Of unpacking beyond the file's end, and of 64-bit places beyond any file's.
_OUTSIDE = (struct.error, OverflowError)
_LAYOUTS = frozenset({273, 279, 324, 325})  # offsets and byte counts of strips and of tiles


class Tag(NamedTuple):
    """One entry of a directory: ``length`` values that lie at ``place`` in the file."""

    number: int
    kind: int
    length: int
    place: int

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return _TYPE_BYTES.get(self.kind, 0) * self.length


def check_tags(content: bytes) -> None:
    """Raise BrokenImageError for a TIFF file, or for EXIF, whose first directory is beyond a bound.

    EXIF has the bytes of a TIFF file without pixels.
    """
    asked = 0
    for number, tag in enumerate(read_tags(content), 1):
        asked += min(tag.size, len(content))
        if tag.number in _LAYOUTS and tag.length > MAX_STRIPS:
            raise _too_many(f"{tag.length} strips or tiles")
        if tag.kind not in _OPAQUE and tag.length > MAX_VALUES:
            raise _too_many(f"{tag.length} values in one tag")
        if asked > len(content) + MAX_EXTRA_BYTES or number > MAX_TAGS:
            raise _too_many(f"tags of {asked} bytes")


def read_tags(content: bytes) -> Iterator[Tag]:
    """The tags of the first directory; none where there is no TIFF header."""
    if not content.startswith(TIFF_SIGNATURES):
        return
    order = "<" if content.startswith(b"II") else ">"
    big = 0x2B in content[2:4]
    directory, entry = (f"{order}Q", f"{order}HHQQ") if big else (f"{order}H", f"{order}HHII")
    try:
        pointer, start = ("Q", 8) if big else ("I", 4)
        (offset,) = struct.unpack_from(order + pointer, content, start)
        (count,) = struct.unpack_from(directory, content, offset)
        place = offset + struct.calcsize(directory)
        for _ in range(min(count, MAX_TAGS + 1)):
            number, kind, length, where = struct.unpack_from(entry, content, place)
            inline = place + struct.calcsize(entry) - (8 if big else 4)
            small = _TYPE_BYTES.get(kind, 0) * length <= (8 if big else 4)
            yield Tag(number, kind, length, inline if small else where)
            place += struct.calcsize(entry)
    except _OUTSIDE:
        return


def values_of(content: bytes, tag: Tag) -> tuple[int, ...]:
    """A tag's whole numbers; none where it has other values or the file ends before them."""
    order = "<" if content.startswith(b"II") else ">"
    try:
        return struct.unpack_from(f"{order}{tag.length}{_FORMATS[tag.kind]}", content, tag.place)
    except (*_OUTSIDE, KeyError):
        return ()


def _too_many(what: str) -> BrokenImageError:
    return BrokenImageError(f"has {what}, more than a picture needs; save it again")
