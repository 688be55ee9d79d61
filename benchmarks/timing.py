"""Ways of doing the same, timed in turn."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from figures import spread

WARM_UP = 3
"""Runs of each way before those that count: what is made for a size is made by then."""

Way = Callable[[], Any]


def interleave(ways: Mapping[str, Way], rounds: int) -> dict[str, Any]:
    """Milliseconds of each way, taken in turn; every round begins with the next of them."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-WARM_UP, rounds):
        names = list(ways)
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            started = time.perf_counter()
            ways[name]()
            if number >= 0:
                taken[name].append((time.perf_counter() - started) * 1e3)
    return {name: spread(values) for name, values in taken.items()}
