"""What a file is by its first bytes: the images that are read, and what people send instead."""

import binascii
import re
from base64 import b64decode
from typing import NamedTuple

from model.images.tags import TIFF_SIGNATURES

Signature = bytes | tuple[bytes, ...]
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
# Of the text's beginning, a multiple of four.
_BASE64_BYTES = 64
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
# Of the brands that a file is compatible with.
_MAX_BRANDS_BYTES = 256


class Kind(NamedTuple):
    """``name`` as errors say it after "is", Pillow's ``format``, and the type on the wire."""

    name: str
    format: str
    media_type: str


HEIC = Kind("HEIC", "HEIF", "image/heic")
_AVIF = Kind("AVIF", "AVIF", "image/avif")
_JPEG_2000 = Kind("JPEG 2000", "JPEG2000", "image/jp2")
_READ: tuple[tuple[Signature, Kind], ...] = (
    (b"\xff\xd8\xff", Kind("JPEG", "JPEG", "image/jpeg")),
    (b"\x89PNG", Kind("PNG", "PNG", "image/png")),
    (b"RIFF", Kind("WebP", "WEBP", "image/webp")),
    (b"BM", Kind("BMP", "BMP", "image/bmp")),
    (TIFF_SIGNATURES, Kind("TIFF", "TIFF", "image/tiff")),
    ((b"\0\0\0\x0cjP  \r\n", b"\xff\x4f\xff\x51"), _JPEG_2000),
)
KINDS = (*(kind for _, kind in _READ), _AVIF, HEIC)
"""All that are read; HEIC where pillow-heif is installed."""
_FOREIGN: tuple[tuple[Signature, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\1\0", "an icon"),
    ((b"\xff\x0a", b"\0\0\0\x0cJXL "), "JPEG XL"),
    (b"v/1\x01", "OpenEXR"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"version https://git-lfs", "a Git LFS pointer; send the file that it names"),
    ((b"<svg", b"<?xml"), "SVG or XML"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
)


def kind_of(content: bytes) -> Kind | None:
    """The kind of a file that is read, or looks so; None for any other."""
    for signature, kind in _READ:
        if content.startswith(signature):
            return kind
    if content[4:8] == b"ftyp":
        return _kind_of_boxes(content)
    return None


def foreign_kind(content: bytes) -> str:
    """What else it is, as the end of "is ..."; nothing where that cannot be told."""
    start = content[:_MAX_BRANDS_BYTES].lstrip()
    if start.startswith(b"data:"):
        return "a data: URL; send the bytes that it stands for"
    if _is_base64(start):
        return "base64 text; send the bytes themselves"
    if content[4:8] == b"ftyp":
        return "a video"
    return next((name for signature, name in _FOREIGN if start.startswith(signature)), "")


def _kind_of_boxes(content: bytes) -> Kind | None:
    """AVIF and HEIC have boxes and one brand of both, which the compatible ones tell apart."""
    length = min(int.from_bytes(content[:4], "big"), _MAX_BRANDS_BYTES)
    major = content[8:12]
    brands = {content[place : place + 4] for place in range(16, length, 4)} | {major}
    if brands & _AVIF_BRANDS and major not in _HEIC_BRANDS - {b"mif1", b"msf1"}:
        return _AVIF
    return HEIC if brands & _HEIC_BRANDS else None


def _is_base64(start: bytes) -> bool:
    """Whether it is text that decodes to the beginning of an image."""
    found = _BASE64.match(b"".join(start.split())[:_BASE64_BYTES])
    if found is None:
        return False
    letters = found.group().translate(bytes.maketrans(b"-_", b"+/"))
    try:
        decoded = b64decode(letters[: len(letters) // 4 * 4], validate=True)
    except binascii.Error:
        return False
    return kind_of(decoded) is not None
