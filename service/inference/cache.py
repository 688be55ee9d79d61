"""What the network keeps of supports that were sent before, by their content."""

import hashlib
import threading
from collections import OrderedDict

from model.executors.protocol import EncodedShots
from service.images.codec import Part


class PrototypeCache:
    """At most ``max_bytes`` of encodings, the least recently used given up; for any thread.

    One cache belongs to one network: its checkpoint, precision and input side are not in the keys.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.held_bytes = max_bytes, 0
        self._kept: OrderedDict[bytes, EncodedShots] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> EncodedShots | None:
        """The encoding kept under the key, which counts as its use."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def keep(self, key: bytes, shots: EncodedShots) -> None:
        """Keep an encoding where it fits; what is larger than the whole cache is not kept."""
        size = _bytes(shots)
        if size > self.max_bytes:
            return
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = shots
            self.held_bytes += size
            while self.held_bytes > self.max_bytes:
                _, oldest = self._kept.popitem(last=False)
                self.held_bytes -= _bytes(oldest)


def content_key(image: Part, mask: Part, mask_format: str = "auto") -> bytes:
    """Equal for equal bytes of both, read in the same way; 32 bytes of BLAKE2b."""
    digest = hashlib.blake2b(mask_format.encode(), digest_size=32)
    digest.update(len(image.content).to_bytes(8, "big"))
    digest.update(image.content)
    digest.update(mask.content)
    return digest.digest()


def _bytes(shots: EncodedShots) -> int:
    return sum(array.nbytes for array in shots)
