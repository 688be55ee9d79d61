"""Something made for those keys that are asked for most, such as graphs for the sizes of images."""

import math
from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

RECURS = 2
"""Times that a key is asked for before something is made for it."""
PREFERRED = 2
"""Times as often as another must a key be asked for to take its place."""


class Favourites(Generic[Key, Value]):
    """Values of at most ``limit`` keys; to make them, and to ``keep`` them, is the caller's part.

    Each thread may ask; one at a time may keep.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: dict[Key, Value] = {}
        self._asked: Counter[Key] = Counter()

    def get(self, key: Key) -> Value | None:
        """The value, if there is one; the question counts."""
        self._asked[key] += 1
        return self.kept.get(key)

    def deserves(self, key: Key) -> bool:
        """Whether a value is to be made for a key that has none."""
        if len(self.kept) < self.limit:
            return self._asked[key] >= RECURS
        least = min((self._asked[kept] for kept in self.kept), default=math.inf)
        return self._asked[key] >= PREFERRED * least

    def keep(self, key: Key, value: Value) -> None:
        """Where there are ``limit`` others, in the place of the one that is asked for least."""
        if len(self.kept) >= self.limit:
            del self.kept[min(self.kept, key=self._asked.__getitem__)]
        self.kept[key] = value

    def stop(self) -> None:
        """Keep no more than there are, for want of memory, say."""
        self.limit = len(self.kept)
