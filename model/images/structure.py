"""What a file promises before a pixel is decoded: bounded numbers of scans, chunks and tags.

Decoders take time for each of them, and a small file can hold millions. Every scan here is of one
pass over the file's own lengths and ends at its bound.
"""

import re
import struct
from collections.abc import Callable

import numpy as np

from model.errors import BrokenImageError
from model.images.tags import TIFF_SIGNATURES, check_tags
from model.images.tiff import check_tiff

# Progressive encoders write 10 to 20.
MAX_SCANS = 64
# Segments before the pixels: a profile or a depth map in pieces of 64 KiB takes hundreds.
MAX_SEGMENTS = 2_000
# Of other bytes before a segment, which decoders skip.
MAX_GAP_BYTES = 64 * 1024
# Encoders cut the pixels of a PNG into pieces of 8 KiB and more.
MAX_PIXEL_CHUNKS = 65_536
MAX_CHUNKS = 2_000
# Of an animation, each with up to five chunks.
MAX_FRAMES = 4_000
# Pillow reads run lengths of a BMP by a loop in Python.
MAX_RUN_LENGTH_BYTES = 4 * 1024 * 1024
MAX_BOXES = 1_000
# Of a HEIC or AVIF: a photograph of 48 megapixels is a grid of 200, with thumbnails and maps.
MAX_ITEMS = 1_000
MAX_TILES = 16_384

# Files that are decoded in no time worth ending, whatever they hold.
MODEST_BYTES = 1024 * 1024
MODEST_PIXELS = 1024 * 1024

_PNG = b"\x89PNG\r\n\x1a\n"
# Starts of baseline, extended and progressive frames.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})
_EXIF = b"Exif\0\0"
_END_OF_IMAGE, _START_OF_SCAN, _APP1 = 0xD9, 0xDA, 0xE1


def check_structure(content: bytes) -> None:
    """Raise BrokenImageError, whose message begins with the verb, for a file beyond a bound."""
    for signature, check in _CHECKS:
        if content.startswith(signature):
            check(content)
            return
    if content[4:8] == b"ftyp":
        _check_boxes(content)


def is_modest(content: bytes) -> bool:
    """Whether the time that decoding takes is bounded by the file's size: a small JPEG or PNG.

    A JPEG's time is that of its pixels in each scan, at most MODEST_PIXELS x MAX_SCANS; a PNG's is
    that of its pixels, of texts, of which Pillow inflates 64 MiB at most, and of one profile, of
    which it inflates 1 MiB. A file that says its size twice, or not first, is none.
    """
    if len(content) > MODEST_BYTES:
        return False
    width, height = _png_size(content) if content.startswith(_PNG) else _jpeg_size(content)
    return 0 < width * height <= MODEST_PIXELS


def _png_size(content: bytes) -> tuple[int, int]:
    """Of the header; nothing where it is not the first chunk and the only one of its kind."""
    headers, profiles = content.count(b"IHDR"), content.count(b"iCCP")
    if len(content) < 24 or content[12:16] != b"IHDR" or headers > 1 or profiles > 1:
        return 0, 0
    return struct.unpack_from(">II", content, 16)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """The sides of the only frame; (0, 0) if there is none, as in other files, or another one."""
    sizes: list[tuple[int, int]] = []
    place = 2
    for _ in range(MAX_SEGMENTS if content.startswith(b"\xff\xd8\xff") else 0):
        found = _MARKER.search(content, place, place + MAX_GAP_BYTES)
        if found is None or content[found.end() - 1] == _START_OF_SCAN:
            break
        if content[found.end() - 1] in _FRAMES and len(content) > found.end() + 7:
            height, width = struct.unpack_from(">HH", content, found.end() + 3)
            sizes.append((width, height))
        place = found.end() + _segment_bytes(content, found.end(), content[found.end() - 1])
    return sizes[0] if len(sizes) == 1 else (0, 0)


def ends_early(content: bytes) -> bool:
    """Whether a JPEG has begun its pixels and lacks its end."""
    begun = content.startswith(b"\xff\xd8\xff") and content.find(b"\xff\xda")
    return begun > 0 and content.rfind(b"\xff\xd9", begun) < 0


def _check_jpeg(content: bytes) -> None:
    """Segments up to the pixels, and scans: in pixels no byte 0xff stands before a marker's."""
    exif: list[bytes] = []
    place = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(content, place, place + MAX_GAP_BYTES)
        if found is None:
            break
        marker, start = content[found.end() - 1], found.end()
        place = start + _segment_bytes(content, start, marker)
        if marker == _START_OF_SCAN:
            if _scans_at_most(content, place) >= MAX_SCANS:
                _count_scans(content, place)
            break
        if marker == _APP1 and content.startswith(_EXIF, start + 2):
            exif.append(content[start + 2 + len(_EXIF) : place])
    else:
        raise _too_complex(f"over {MAX_SEGMENTS} segments")
    check_tags(b"".join(exif))


def _scans_at_most(content: bytes, place: int) -> int:
    """Further pictures and thumbnails included; ten times as fast as bytes.count."""
    pixels = np.frombuffer(content, np.uint8)[place:]
    return int(np.count_nonzero((pixels[1:] == _START_OF_SCAN) & (pixels[:-1] == 0xFF)))


def _count_scans(content: bytes, place: int) -> None:
    """Check the first picture alone: those behind it are not decoded."""
    scans = 1
    while (found := _MARKER.search(content, place)) is not None:
        marker = content[found.end() - 1]
        if marker == _END_OF_IMAGE:
            return
        scans += marker == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise _too_complex(f"over {MAX_SCANS} scans")
        place = found.end() + _segment_bytes(content, found.end(), marker)


def _segment_bytes(content: bytes, start: int, marker: int) -> int:
    if marker in _ALONE or len(content) < start + 2:
        return 0
    return max(2, int.from_bytes(content[start : start + 2], "big"))


def _check_png(content: bytes) -> None:
    pixel_chunks = chunks = 0
    place = 8
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind in (b"IDAT", b"fdAT"):
            pixel_chunks += 1
        else:
            chunks += kind != b"fcTL"
            pixel_chunks += kind == b"fcTL"
        if pixel_chunks > MAX_PIXEL_CHUNKS or chunks > MAX_CHUNKS:
            raise _too_complex(f"over {MAX_CHUNKS} chunks, or {MAX_PIXEL_CHUNKS} with pixels")
        if kind == b"eXIf":
            check_tags(content[place + 8 : place + 8 + length])
        place += length + 12


def _check_webp(content: bytes) -> None:
    frames = chunks = 0
    place = 12
    while place + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, place)
        frames += kind == b"ANMF"
        chunks += kind != b"ANMF"
        if frames > MAX_FRAMES or chunks > MAX_CHUNKS:
            raise _too_complex(f"over {MAX_FRAMES} frames or {MAX_CHUNKS} chunks")
        if kind == b"EXIF":
            check_tags(content[place + 8 : place + 8 + length].removeprefix(_EXIF))
        place += 8 + length + length % 2


def _check_bmp(content: bytes) -> None:
    run_lengths = content[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if run_lengths and len(content) > MAX_RUN_LENGTH_BYTES:
        raise _too_complex(f"run lengths of over {MAX_RUN_LENGTH_BYTES} bytes")


def _check_boxes(content: bytes) -> None:
    """AVIF, HEIC and JPEG 2000: boxes at the top, and the tiles of a JPEG 2000 codestream."""
    boxes = place = 0
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        boxes += 1
        if boxes > MAX_BOXES:
            raise _too_complex(f"over {MAX_BOXES} boxes")
        if kind == b"jp2c":
            _check_codestream(content[place + 8 : place + 64])
        if kind == b"meta":
            _check_items(content[place + 12 : place + length])
        if length == 1 and place + 16 <= len(content):
            length = int.from_bytes(content[place + 8 : place + 16], "big")
        if length < 8:
            break
        place += length


def _check_items(boxes: bytes) -> None:
    """The list of items, one of the boxes of a HEIC's or AVIF's description."""
    place = 0
    while place + 16 <= len(boxes):
        length, kind, version = struct.unpack_from(">I4sB", boxes, place)
        if kind == b"iinf":
            (items,) = struct.unpack_from(">I" if version else ">H", boxes, place + 12)
            if items > MAX_ITEMS:
                raise _too_complex(f"{items} items")
        place += max(length, 8)


def _check_codestream(content: bytes) -> None:
    """JPEG 2000: its size marker comes first, with the picture's and the tiles' sizes."""
    if len(content) < 40:
        return
    right, bottom, left, top, width, height, tiles_left, tiles_top = struct.unpack_from(
        ">8I", content, 8
    )
    if not width or not height:
        raise _too_complex("tiles without an area")
    across = -(-(right - min(left, tiles_left)) // width)
    down = -(-(bottom - min(top, tiles_top)) // height)
    if across * down > MAX_TILES:
        raise _too_complex(f"over {MAX_TILES} tiles")


def _too_complex(what: str) -> BrokenImageError:
    return BrokenImageError(f"has {what}, more than a picture needs; save it again")


_CHECKS: tuple[tuple[bytes | tuple[bytes, ...], Callable[[bytes], None]], ...] = (
    (b"\xff\xd8\xff", _check_jpeg),
    (_PNG, _check_png),
    (b"RIFF", _check_webp),
    (b"BM", _check_bmp),
    (TIFF_SIGNATURES, check_tiff),
    (b"\0\0\0\x0cjP  ", _check_boxes),
    (b"\xff\x4f\xff\x51", _check_codestream),
)
