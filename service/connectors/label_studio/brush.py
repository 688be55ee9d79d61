"""Label Studio's run lengths of brushes: RGBA of each pixel, row by row, in packs of bits.

The format is @thi.ng/rle-pack's. First 32 bits: how many bytes it is unpacked. 5 bits: a value's
bits, less one. Four times 4 bits: the bits of a run's length, less one, for each of four kinds.
Then runs: 1 bit, whether one value repeats; 2 bits, the kind; the length, less one; the values.
"""

import numpy as np
from numpy.typing import NDArray

from service.client import Mask

_CHANNELS = 4
_VALUE_BITS = 8
_LENGTHS = 4


def decode_brush(runs: list[int], height: int, width: int) -> Mask:
    """(H, W) bool, true where the brush covers at least half of a pixel.

    ValueError for what is cut off, or of another size.
    """
    bits = _Bits(bytes(runs))
    count = bits.read(32)
    if count != height * width * _CHANNELS:
        raise ValueError(f"a brush of {count} bytes is not one of {width}x{height} pixels")
    value_bits = bits.read(5) + 1
    length_bits = [bits.read(4) + 1 for _ in range(_LENGTHS)]
    values = np.zeros(count, np.uint8)
    place = 0
    while place < count:
        repeats = bits.read(1)
        length = bits.read(length_bits[bits.read(2)]) + 1
        end = place + length
        if end > count:
            raise ValueError("a brush has more pixels than its photograph")
        values[place:end] = bits.read(value_bits) if repeats else bits.read_many(length, value_bits)
        place = end
    return values[_CHANNELS - 1 :: _CHANNELS].reshape(height, width) > 127


class _Bits:
    """Numbers of any count of bits out of bytes, the highest bit first."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    def read(self, count: int) -> int:
        first = self._place // 8
        self._place += count
        last = -(-self._place // 8)
        if last > len(self._content):
            raise ValueError("a brush is cut off")
        window = int.from_bytes(self._content[first:last], "big")
        return window >> (last * 8 - self._place) & ((1 << count) - 1)

    def read_many(self, length: int, count: int) -> NDArray[np.uint8]:
        """``length`` numbers of ``count`` bits each, of at most 8."""
        if count != _VALUE_BITS:
            raise ValueError(f"a brush has values of {count} bits; Label Studio writes 8")
        packed = self.read(length * count)
        return np.frombuffer(packed.to_bytes(length, "big"), np.uint8)
