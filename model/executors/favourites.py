"""Keeps what was made for the keys that are asked for most, such as graphs for sizes of images."""

import math
from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")

RECURS = 2
"""Times that a key is asked for before something is made for it."""
PREFERRED = 2
"""A key takes the place of another when it is asked for this many times as often."""


class Favourites(Generic[Key, Made]):
    """Keeps the values of at most ``limit`` keys; the caller makes each value and hands it over.

    Any thread may call ``get``, only one at a time ``keep``.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: dict[Key, Made] = {}
        self._asked: Counter[Key] = Counter()

    def get(self, key: Key) -> Made | None:
        """The value, if there is one. Every call counts in the key's favour."""
        self._asked[key] += 1
        return self.kept.get(key)

    def deserves(self, key: Key) -> bool:
        """Whether a value is to be made for a key that has none."""
        if len(self.kept) < self.limit:
            return self._asked[key] >= RECURS
        least = min((self._asked[kept] for kept in self.kept), default=math.inf)
        return self._asked[key] >= PREFERRED * least

    def keep(self, key: Key, value: Made) -> None:
        """Keep a value. If ``limit`` are kept already, the one asked for least goes."""
        if len(self.kept) >= self.limit:
            del self.kept[min(self.kept, key=self._asked.__getitem__)]
        self.kept[key] = value

    def stop(self) -> None:
        """Keep no further keys, for example because memory has run out."""
        self.limit = len(self.kept)
