"""Files that hold more scans, chunks or tags than a picture needs are refused unread."""

import struct
import time
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from model.errors import BrokenImageError
from model.images.opening import open_upright
from model.images.structure import MAX_CHUNKS, MAX_SCANS, MAX_SEGMENTS, check_structure, is_modest
from model.images.tags import MAX_STRIPS
from model.images.tiff import describe_tiff
from pictures import encode, photograph

PNG_HEADER_BYTES = 33


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_with_segments(count: int, marker: int) -> bytes:
    content = encode(photograph(), "JPEG")
    return content[:2] + segment(marker) * count + content[2:]


def jpeg_of_scans(count: int) -> bytes:
    """Grey and progressive: a scan of averages, and then scans of nothing."""
    scan = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + b"\x00\x7f"
    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + b"\x01" * 64)
        + segment(0xC2, struct.pack(">BHHB", 8, 8, 8, 1) + b"\x01\x11\x00")
        + segment(0xC4, b"\x00\x01" + bytes(15) + b"\x00")
        + segment(0xC4, b"\x10\x01" + bytes(15) + b"\xe0")
        + segment(0xDA, b"\x01\x01\x00\x00\x00\x00")
        + b"\x7f"
        + scan * (count - 1)
        + b"\xff\xd9"
    )


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_with(chunks: bytes) -> bytes:
    content = encode(photograph())
    return content[:PNG_HEADER_BYTES] + chunks + content[PNG_HEADER_BYTES:]


def webp_with_chunks(count: int) -> bytes:
    content = encode(photograph(), "WEBP")
    return content + struct.pack("<4sI", b"junk", 0) * count


def tags(entries: list[tuple[int, int, int, int]], rest: bytes = b"") -> bytes:
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + directory + bytes(4) + rest


def tiff_of_strips(count: int) -> bytes:
    entries = [(256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, count, 200), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, count, 200)]
    return tags(entries, bytes(8 * count + 64 * 48))


def overlapping_tags(size: int) -> bytes:
    return tags([(0x9000 + place, 7, size, 8) for place in range(900)], bytes(size))


def run_lengths(size: int) -> bytes:
    content = bytearray(encode(Image.new("P", (64, 48)), "BMP"))
    content[30:34] = struct.pack("<I", 1)
    return bytes(content) + b"\0\2\0\0" * (size // 4)


def tiles(across: int) -> bytes:
    return b"\xff\x4f\xff\x51" + struct.pack(">HH8I", 47, 0, across, across, 0, 0, 1, 1, 0, 0)


BEYOND = {
    "JPEG scans": lambda: jpeg_of_scans(MAX_SCANS + 1),
    "many JPEG scans": lambda: jpeg_of_scans(300_000),
    "JPEG segments": lambda: jpeg_with_segments(MAX_SEGMENTS, 0xE0),
    "JPEG comments": lambda: jpeg_with_segments(1_000_000, 0xFE),
    "PNG chunks": lambda: png_with(chunk(b"prVt") * (MAX_CHUNKS + 1)),
    "empty PNG pixels": lambda: png_with(chunk(b"IDAT") * 100_000),
    "PNG frames": lambda: png_with(chunk(b"fcTL", bytes(26)) * 100_000),
    "EXIF of a PNG": lambda: png_with(chunk(b"eXIf", overlapping_tags(300_000))),
    "EXIF of a JPEG": lambda: (
        b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + overlapping_tags(50_000)) + jpeg_of_scans(1)[2:]
    ),
    "WebP chunks": lambda: webp_with_chunks(MAX_CHUNKS + 1),
    "TIFF strips": lambda: tiff_of_strips(MAX_STRIPS + 1),
    "overlapping TIFF tags": lambda: overlapping_tags(1_000_000),
    "BMP run lengths": lambda: run_lengths(6_000_000),
    "JPEG 2000 tiles": lambda: tiles(30_000),
    "boxes": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 8, b"free") * 2_000,
}
WITHIN = {
    "JPEG scans": lambda: jpeg_of_scans(MAX_SCANS),
    "progressive JPEG": lambda: encode(photograph(480, 640), "JPEG", progressive=True),
    "JPEG profile": lambda: encode(photograph(), "JPEG", icc_profile=bytes(1_000_000)),
    "PNG chunks": lambda: png_with(chunk(b"prVt") * (MAX_CHUNKS // 2)),
    "TIFF": lambda: encode(photograph(), "TIFF"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_file_beyond_a_bound_is_refused_at_once(name: str) -> None:
    content = BEYOND[name]()
    started = time.process_time()
    with pytest.raises(BrokenImageError, match=r"^has "):
        open_upright(content)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("name", WITHIN)
def test_a_file_within_the_bounds_is_opened(name: str) -> None:
    assert open_upright(WITHIN[name]()).width > 0


@pytest.mark.parametrize(
    "content", [b"\xff" * 5_000_000, b"\xff\xd8\xff" + b"\xd0\xff" * 1_000_000]
)
def test_a_run_of_markers_takes_no_longer_than_its_bytes(content: bytes) -> None:
    started = time.process_time()
    check_structure(content)
    assert time.process_time() - started < 1


def tagged(kind: str, **options: object) -> bytes:
    """With an orientation and a text."""
    picture = Image.fromarray(photograph(24, 32))
    exif = picture.getexif()
    exif[0x0112], exif[0x010E] = 3, "text" * 10
    return encode(picture, kind, exif=exif, **options)


KINDS = {
    **{kind: tagged(kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")},
    "BigTIFF": tagged("TIFF", big_tiff=True),
    "progressive JPEG": tagged("JPEG", progressive=True),
    "JPEG 2000": encode(Image.fromarray(photograph(24, 32)), "JPEG2000"),
    "BMP": encode(Image.fromarray(photograph(24, 32)), "BMP"),
}
EXTREMES = (
    bytes(8),
    b"\xff" * 8,
    b"\x7f" + b"\xff" * 7,
    b"\xff" * 7 + b"\x7f",
    b"\xff\xd8\xff\xda",
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_counted_of_a_cut_or_twisted_file_is_refused_or_passes(kind: str) -> None:
    content = KINDS[kind]
    cut_anywhere = [content[:end] for end in range(len(content))]
    twisted = [
        content[:place] + extreme[:width] + content[place + width :]
        for place in range(min(len(content), 2000))
        for extreme in EXTREMES
        for width in (4, 8)
    ]
    for broken in [*cut_anywhere, *twisted]:
        is_modest(broken)
        describe_tiff(broken)
        with suppress(BrokenImageError):
            check_structure(broken)


def cut(content: bytes, missing: int) -> Any:
    return np.asarray(open_upright(content[:-missing])).astype(int)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [1, 2, 10, 100])
def test_a_jpeg_cut_by_a_few_bytes_is_shown(missing: int, progressive: bool) -> None:
    content = encode(photograph(480, 640), "JPEG", quality=95, progressive=progressive)
    whole = np.asarray(open_upright(content)).astype(int)
    assert np.abs(cut(content, missing)[:440] - whole[:440]).mean() < 4


def test_a_jpeg_cut_in_its_middle_is_refused() -> None:
    content = encode(photograph(480, 640), "JPEG", quality=95)
    with pytest.raises(BrokenImageError, match="cut off"):
        cut(content, len(content) // 2)


def test_a_whole_jpeg_is_not_taken_for_a_cut_one() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    assert_array_equal(np.asarray(open_upright(encode(grey, "JPEG"))), grey)
