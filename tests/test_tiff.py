"""TIFF kinds that are decoded to other pixels than they hold are refused; the others are right."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from model.errors import BrokenImageError
from model.images.opening import open_upright
from model.images.pixels import photograph_pixels
from pictures import photograph

RAW, DEFLATE = 1, 8
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, YCBCR, LAB = 0, 1, 2, 5, 6, 8
PIXELS = photograph(20, 30)
GREY = PIXELS[:, :, 0]


def tiff(
    samples: np.ndarray,
    order: str = "<",
    photometric: int = RGB,
    compression: int = RAW,
    **more: Any,
) -> bytes:
    """One strip, or one for each plane, of (H, W, C) samples in their own type."""
    height, width, channels = samples.shape
    separate = more.get("separate", False)
    planes = list(np.moveaxis(samples, 2, 0)) if separate else [samples]
    strips = [plane.astype(plane.dtype.newbyteorder(order)).tobytes() for plane in planes]
    strips = [zlib.compress(strip) if compression == DEFLATE else strip for strip in strips]
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    bits = more.get("bits", samples.dtype.itemsize * 8)
    fields = {256: [width], 257: [height], 258: [bits] * channels, 259: [compression]}
    fields |= {262: [photometric], 277: [channels], 278: [height], 284: [2 if separate else 1]}
    fields |= {339: [kind] * channels}
    if "subsampling" in more:
        fields[530] = more["subsampling"]
    offsets = np.cumsum([8, *map(len, strips)])
    fields |= {273: offsets[:-1].tolist(), 279: [len(strip) for strip in strips]}
    data = b"".join(strips)
    entries = b""
    for number, values in sorted(fields.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > 4:
            data, packed = data + packed, struct.pack(f"{order}I", 8 + len(data))
        entries += struct.pack(f"{order}HHI", number, 4, len(values)) + packed
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return start + data + struct.pack(f"{order}H", len(fields)) + entries + bytes(4)


def read(content: bytes) -> np.ndarray:
    return photograph_pixels(open_upright(content))


def deep(values: np.ndarray, kind: str = "uint16") -> np.ndarray:
    return values.astype(kind) * 257


GREYS = np.dstack([GREY] * 3)
RIGHT = {
    "8 bits": (tiff(PIXELS), PIXELS),
    "planes of 8 bits": (tiff(PIXELS, separate=True), PIXELS),
    "16 bits": (tiff(deep(PIXELS)), PIXELS),
    "16 bits, big-endian": (tiff(deep(PIXELS), ">"), PIXELS),
    "16 bits, compressed": (tiff(deep(PIXELS), compression=DEFLATE), PIXELS),
    "16 bits, big-endian and compressed": (tiff(deep(PIXELS), ">", compression=DEFLATE), PIXELS),
    "compressed planes of 16 bits": (
        tiff(deep(PIXELS), compression=DEFLATE, separate=True),
        PIXELS,
    ),
    "deep grey, big-endian and compressed": (
        tiff(deep(GREY)[:, :, None], ">", BLACK_IS_ZERO, DEFLATE),
        GREYS,
    ),
    "white is 0": (tiff(255 - GREY[:, :, None], photometric=WHITE_IS_ZERO), GREYS),
    "floats": (tiff((GREY / np.float32(255))[:, :, None], photometric=BLACK_IS_ZERO), GREYS),
    "floats, big-endian": (
        tiff((GREY / np.float32(255))[:, :, None], ">", BLACK_IS_ZERO),
        GREYS,
    ),
    "CMYK": (tiff(np.dstack([255 - PIXELS, GREY * 0]), photometric=CMYK), PIXELS),
}
MISREAD = {
    "planes of 16 bits": tiff(deep(PIXELS), separate=True),
    "planes of 16 bits, big-endian": tiff(deep(PIXELS), ">", separate=True),
    "deep white is 0": tiff(deep(255 - GREY)[:, :, None], photometric=WHITE_IS_ZERO),
    "floats, big-endian and compressed": tiff(
        (GREY / np.float32(255))[:, :, None], ">", BLACK_IS_ZERO, DEFLATE
    ),
    "signed, big-endian and compressed": tiff(
        GREY.astype(np.int16)[:, :, None], ">", BLACK_IS_ZERO, DEFLATE
    ),
    "12 bits": tiff(deep(GREY)[:, :, None], photometric=BLACK_IS_ZERO, bits=12),
    "subsampled colours": tiff(PIXELS, photometric=YCBCR, subsampling=[2, 2]),
    "colours subsampled by default": tiff(PIXELS, photometric=YCBCR),
    "Lab": tiff(PIXELS, photometric=LAB),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_read_is_what_the_file_holds(name: str) -> None:
    content, expected = RIGHT[name]
    assert_allclose(read(content).astype(int), expected, atol=1)


@pytest.mark.parametrize("name", MISREAD)
def test_what_would_be_read_wrong_is_refused(name: str) -> None:
    with pytest.raises(BrokenImageError, match="save it as PNG"):
        read(MISREAD[name])
