"""What runs a network: the steps that every executor takes, and what goes in and comes out."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from model.episode import Fusion
from model.transforms import Logits, Pixels, TransformConfig

EncodedShots = tuple[NDArray[np.float32], ...]
"""What the network keeps of K supports, each array (1, K, ...)."""
ImageFeatures = Any
"""An image behind the backbone, in the form of the executor that has read it."""


class PreparedSupport(NamedTuple):
    """(3, h, w) uint8 image and (h, w) float32 mask in [0, 1], at the network's size."""

    image: Pixels
    mask: NDArray[np.float32]


class Sighting(NamedTuple):
    """What a query shows of an object: where, and whether it is there at all.

    ``presence`` is a probability, calibrated where the network has a branch for it.
    """

    logits: Logits
    presence: float


class Executor(Protocol):
    """A checkpoint's network on a device; forward passes belong to one thread at a time.

    ``precision`` is the name of the type that products are computed in; ``name`` and ``device``
    are for people.
    """

    name: str
    device: str
    precision: str
    transform: TransformConfig

    def read(self, image: Pixels, once: bool = False) -> ImageFeatures:
        """Take an image of any size through the backbone.

        With ``once``, it is used a single time: an executor may put off reading it until then.
        """

    def encode(self, support: PreparedSupport, features: ImageFeatures) -> EncodedShots:
        """One support, read before -> what is kept of it, arrays (1, 1, ...)."""

    def find(
        self, features: ImageFeatures, size: tuple[int, int], shots: EncodedShots, fusion: Fusion
    ) -> Sighting:
        """A query, read before, and K shots -> (2, h, w) logits at the query's network size, and
        the object's presence.
        """

    def memory_bytes(self) -> int:
        """Bytes held on the device; 0 on CPU, where the process's own memory tells."""

    def close(self) -> None:
        """Free what was compiled or recorded; nothing runs here any more."""


def stack_shots(shots: Iterable[EncodedShots]) -> EncodedShots:
    """Encodings of a few shots each -> the encoding of all of them, in order."""
    return tuple(np.concatenate(parts, axis=1) for parts in zip(*shots, strict=True))


def split_shots(shots: EncodedShots) -> list[EncodedShots]:
    """The encoding of K shots -> one of each, in order."""
    count = shots[0].shape[1]
    return [tuple(array[:, [number]] for array in shots) for number in range(count)]
