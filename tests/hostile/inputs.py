"""Requests that no client means well, each made from a seed and a number alone."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from model.images.opening import reads_heic
from pictures import grey_mask, photograph

BOUNDARY = b"XXBOUNDARYXX"
HEIC = "HEIF"
"""Pillow's name of it, where the extra ``heic`` is installed."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000")
FORMATS += (HEIC,) if reads_heic() else ()
PATHS = (
    *("/segment", "/segment/kshot", "/segment/multiclass", "/segment/batch"),
    *("/supports", "/mask", "/segment/complete", "/annotations"),
)


class Hostile(NamedTuple):
    """A POST request, and what it tries."""

    path: str
    content_type: str
    body: bytes
    what: str


def hostile(seed: int, number: int) -> Hostile:
    """The number-th request of a seed."""
    chance = random.Random(f"{seed} {number}")
    kind = chance.choices(list(KINDS), weights=[weight for weight, _ in KINDS.values()])[0]
    path = chance.choice(PATHS)
    body, content_type = KINDS[kind][1](chance, path)
    return Hostile(path, content_type, body, f"{kind} to {path}, number {number} of seed {seed}")


def form(*parts: tuple[str, bytes]) -> bytes:
    """File parts, and text parts where a name begins with a full stop."""
    lines = b"".join(_part(name, content) for name, content in parts)
    return lines + b"--" + BOUNDARY + b"--\r\n"


def _part(name: str, content: bytes) -> bytes:
    file = b"" if name.startswith(".") else b'; filename="a.png"'
    disposition = b'form-data; name="' + name.lstrip(".").encode() + b'"' + file
    head = b"--" + BOUNDARY + b"\r\nContent-Disposition: " + disposition + b"\r\n\r\n"
    return head + content + b"\r\n"


def _send(path: str, image: bytes, mask: bytes, query: bytes, *more: tuple[str, bytes]) -> bytes:
    """A form that ``path`` would take if its images were good."""
    parts = [("support_image", image), ("support_mask", mask), *more]
    if path == "/mask":
        return form(("mask", mask))
    if path == "/annotations":
        return form(("mask", mask), ("image", image), *(more or [(".format", b"voc,cutouts")]))
    if path == "/supports":
        return form(*parts, (".name", zlib.crc32(image).to_bytes(4, "big").hex().encode()))
    if path == "/segment/complete":
        return form(*parts)
    if path == "/segment/multiclass":
        parts.append((".support_label", b"cat"))
    return form(*parts, ("query_image", query))


MULTIPART = "multipart/form-data; boundary=" + BOUNDARY.decode()
Made = tuple[bytes, str]


def _pictures(chance: random.Random, bad: bytes, path: str) -> Made:
    """The bad bytes as photograph, mask or query, the others good."""
    parts = [_encoded(photograph(), "PNG"), grey_mask(), _encoded(photograph(seed=1), "PNG")]
    parts[chance.randrange(3)] = bad
    return _send(path, *parts), MULTIPART


def _encoded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _whole(chance: random.Random, kinds: Sequence[str] = FORMATS) -> bytes:
    kind = chance.choice(kinds)
    height, width = chance.randrange(1, 80), chance.randrange(1, 80)
    options: dict[str, object] = {"progressive": True} if kind == "JPEG" else {}
    if kind == "TIFF":
        options["compression"] = chance.choice(["raw", "tiff_lzw", "tiff_deflate", "packbits"])
    return _encoded(photograph(height, width, chance.randrange(9)), kind, **options)


def mutated(chance: random.Random, path: str, kinds: Sequence[str] = FORMATS) -> Made:
    """Bytes flipped, cut out, doubled or set to extremes."""
    content = bytearray(_whole(chance, kinds))
    for _ in range(chance.choice((1, 1, 3, 10, 100))):
        at = chance.randrange(max(1, min(len(content), chance.choice((64, 1 << 30)))))
        match chance.randrange(5):
            case 0 if content:
                content[at] ^= 1 << chance.randrange(8)
            case 1 if content:
                content[at] = chance.choice((0, 0x7F, 0x80, 0xFF))
            case 2:
                del content[at : at + chance.choice((1, 4, 100))]
            case 3:
                content[at:at] = content[at : at + chance.choice((1, 4, 100))]
            case _:
                number = chance.getrandbits(32)
                content[at : at + 4] = struct.pack(chance.choice("<>") + "I", number)
    return _pictures(chance, bytes(content), path)


def cut(chance: random.Random, path: str) -> Made:
    """The beginning of a file, or its end."""
    content = _whole(chance)
    at = chance.randrange(len(content))
    return _pictures(chance, content[:at] if chance.random() < 0.8 else content[at:], path)


def lying(chance: random.Random, path: str) -> Made:
    """A header that promises another size than there are pixels."""
    width, height = (chance.choice((0, 1, 65535, 1 << 20, 2**31 - 1, 2**32 - 1)) for _ in range(2))
    png = bytearray(_encoded(photograph(), "PNG"))
    png[16:24] = struct.pack(">II", width, height)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    bmp = bytearray(_encoded(photograph(), "BMP"))
    bmp[18:26] = struct.pack("<II", width, height)
    tiff = _encoded(photograph(), "TIFF").replace(
        struct.pack("<HHIHH", 256, 4, 1, 64, 0), struct.pack("<HHII", 256, 4, 1, width)
    )
    return _pictures(chance, chance.choice((bytes(png), bytes(bmp), tiff)), path)


def bomb(chance: random.Random, path: str) -> Made:
    """A small file that asks for much memory or much time."""
    make = chance.choice((_flat_png, _many_chunks, _many_scans, _many_strips, _many_segments))
    return _pictures(chance, make(), path)


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def _flat_png(side: int = 7000) -> bytes:
    row = bytes(side + 1)
    squeeze = zlib.compressobj(9)
    pixels = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND")
    )


def _many_chunks(count: int = 100_000) -> bytes:
    png = _encoded(photograph(), "PNG")
    return png[:33] + _chunk(b"prVt") * count + png[33:]


def _many_segments(count: int = 100_000) -> bytes:
    jpeg = _encoded(photograph(), "JPEG")
    return jpeg[:2] + b"\xff\xe1\x00\x02" * count + jpeg[2:]


def _many_scans(count: int = 5_000) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    jpeg = _encoded(photograph(480, 640), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * count + jpeg[-2:]


def _many_strips(count: int = 500_000) -> bytes:
    """A TIFF whose one strip is listed half a million times."""
    height, width = 48, 64
    pixels = bytes(height * width)
    tables = 8 + len(pixels) + 2 + 9 * 12 + 4
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, count, tables), (277, 3, 1, 1), (278, 4, 1, 1),
        (279, 4, count, tables + 4 * count),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    offsets = struct.pack("<I", 8) * count + struct.pack("<I", width) * count
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory + offsets


def framed(chance: random.Random, path: str) -> Made:
    """A form whose framing is broken, or which is no form."""
    image = _encoded(photograph(), "PNG")
    body = _send(path, image, grey_mask(), image)
    match chance.randrange(10):
        case 0:
            return body[: chance.randrange(len(body))], MULTIPART
        case 1:
            return body.replace(b"form-data;", b"attachment;"), MULTIPART
        case 2:
            return body.replace(b'name="', b'name*="'), MULTIPART
        case 3:
            return body, "multipart/form-data"
        case 4:
            return body, "multipart/form-data; boundary=" + "x" * chance.choice((0, 70, 5000))
        case 5:
            charset = chance.choice(("punycode", "utf-7", "utf-16", "idna", "nothing", "zlib"))
            return body + b"a" * 50_000, f"{MULTIPART}; charset={charset}"
        case 6:
            return b"--" * chance.randrange(1, 50_000), MULTIPART
        case 7:
            return form(*[(f".n{number}", b"x") for number in range(3000)]), MULTIPART
        case 8:
            return body, chance.choice(("application/json", "text/plain", "", "a/b; c"))
        case _:
            name = chance.choice((b"\xff\xfe", b"\x00", b"a" * 100_000, b"\xed\xa0\x80", b"[]"))
            return body.replace(b"query_image", name), MULTIPART


def optioned(chance: random.Random, path: str) -> Made:
    """Options with values that nobody means."""
    names = ("threshold", "min_area", "output", "depth", "label", "fusion", "largest_component")
    names += ("format", "instances")
    values = (
        b"",
        b"nan",
        b"-1",
        b"1e999",
        b"9" * 5000,
        b"\x00",
        b"\xf0\x9f\x92\xa9",
        b"true",
        b"0",
    )
    image = _encoded(photograph(), "PNG")
    chosen = [("." + chance.choice(names), chance.choice(values)) for _ in range(3)]
    return _send(path, image, grey_mask(), image, *chosen), MULTIPART


Make = Callable[[random.Random, str], Made]
KINDS: dict[str, tuple[int, Make]] = {
    "a mutated file": (50, mutated),
    "a cut file": (15, cut),
    "a lying header": (10, lying),
    "a bomb": (3, bomb),
    "broken framing": (12, framed),
    "odd options": (10, optioned),
}
