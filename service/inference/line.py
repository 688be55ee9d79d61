"""The waiting line before the inference thread: bounded, first come first served, in batches."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

from service.errors import ServiceError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Share of the newest batch in the running mean of seconds an item: about the last ten count.
_NEWEST_SHARE = 0.2


class Rate:
    """How long an item takes, measured."""

    def __init__(self) -> None:
        self._seconds_per_item = 0.0

    def measure(self, seconds: float, items: int) -> None:
        """A batch of ``items`` took so long."""
        mean, newest = self._seconds_per_item, seconds / items
        self._seconds_per_item = mean + _NEWEST_SHARE * (newest - mean) if mean else newest

    def whole_seconds(self, items: int) -> int:
        """What ``items`` will take, rounded up; at least 1."""
        return max(1, math.ceil(items * self._seconds_per_item))


class Place(Generic[Item, Result]):
    """A place in the line: held from admission until its work starts or is given up."""

    def __init__(self) -> None:
        self.future: Future[Result] = Future()
        self.waiting = True
        self.item: Item
        self.queued_at = 0.0
        self.queue_seconds = 0.0


class WaitingLine(Generic[Item, Result]):
    """At most ``max_places`` places; those whose item is ready leave in batches, in order.

    For any thread. ``window_seconds`` is how long the first item of a batch waits for others, and
    only for those whose place is held already: an item that is alone goes at once.
    """

    def __init__(self, max_places: int, max_batch: int, window_seconds: float) -> None:
        self.max_places = max_places
        self.waiting = 0
        self._max_batch = max_batch
        self._window_seconds = window_seconds
        self._ready: deque[Place[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._refusal: Callable[[], ServiceError] | None = None

    @property
    def ready(self) -> int:
        """Places whose item is ready and has not left yet."""
        return len(self._ready)

    def take_place(self) -> Place[Item, Result] | None:
        """None where all places are held."""
        with self._changed:
            if self.waiting >= self.max_places:
                return None
            self.waiting += 1
        return Place()

    def check_open(self) -> None:
        """Raise what ``refuse_all`` was told."""
        if self._refusal:
            raise self._refusal()

    def join(self, place: Place[Item, Result]) -> None:
        """The item of ``place`` is ready; raises what ``refuse_all`` was told."""
        with self._changed:
            self.check_open()
            place.queued_at = time.perf_counter()
            self._ready.append(place)
            self._changed.notify_all()

    def leave(self, place: Place[Item, Result]) -> None:
        """Give up a place; nothing happens where its work has started."""
        with self._changed:
            self._let_go(place)
            if place in self._ready:
                self._ready.remove(place)
            self._changed.notify_all()

    def next_batch(self) -> list[Place[Item, Result]]:
        """Wait for work; empty once the line is closed and nothing is left."""
        with self._changed:
            self._wait_for_more()
            while not self._ready and not self._closed:
                self._changed.wait()
                self._wait_for_more()
            batch = [self._ready.popleft() for _ in range(min(len(self._ready), self._max_batch))]
            for place in batch:
                self._let_go(place)
        return batch

    def close(self) -> None:
        """Let ``next_batch`` end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def refuse_all(self, refusal: Callable[[], ServiceError]) -> None:
        """Fail what waits and what will come, since nothing will run any more."""
        with self._changed:
            self._refusal = refusal
            waiting = list(self._ready)
        for place in waiting:
            fail(place, refusal())

    def _wait_for_more(self) -> None:
        if self._ready and self._window_seconds:
            left = self._ready[0].queued_at + self._window_seconds - time.perf_counter()
            self._changed.wait_for(self._is_batch, left)

    def _is_batch(self) -> bool:
        expected = min(self._max_batch, self.waiting)
        return not self._ready or len(self._ready) >= expected or self._closed

    def _let_go(self, place: Place[Item, Result]) -> None:
        if place.waiting:
            place.waiting = False
            self.waiting -= 1


def fail(place: Place[Item, Result], error: Exception) -> None:
    """Settle a place whose work did not come to its end."""
    with suppress(InvalidStateError):
        place.future.set_exception(error)
