"""The waiting line between the event loop and the inference thread: first come, first served."""

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


class Place(Generic[Item, Result]):
    """A place in the line: held from admission until its work starts or is given up.

    ``queue_seconds`` is how long its item has waited, from when it was ready. ``given_up`` ends
    work that has started.
    """

    def __init__(self) -> None:
        self.future: Future[Result] = Future()
        self.given_up = threading.Event()
        self.item: Item
        self.queued_at = 0.0
        self.queue_seconds = 0.0


class WaitingLine(Generic[Item, Result]):
    """Places, of which those whose item is ready leave in order, one at a time. For any thread."""

    def __init__(self) -> None:
        self._held: set[Place[Item, Result]] = set()
        self._ready: deque[Place[Item, Result] | None] = deque()
        self._changed = threading.Condition()
        self._refusal: Callable[[], ServiceError] | None = None

    @property
    def waiting(self) -> int:
        """Places that are held."""
        return len(self._held)

    def take_place(self) -> Place[Item, Result]:
        """A place behind all others."""
        place: Place[Item, Result] = Place()
        with self._changed:
            self._held.add(place)
        return place

    def check_open(self) -> None:
        """Raise what ``refuse_all`` was told."""
        if self._refusal:
            raise self._refusal()

    def join(self, place: Place[Item, Result], item: Item) -> None:
        """The item of ``place`` is ready; raises what ``refuse_all`` was told."""
        with self._changed:
            self.check_open()
            place.item, place.queued_at = item, time.perf_counter()
            self._ready.append(place)
            self._changed.notify()

    def leave(self, place: Place[Item, Result]) -> None:
        """Give up a place; nothing happens where its work has started."""
        with self._changed:
            self._held.discard(place)
            if place in self._ready:
                self._ready.remove(place)

    def next(self) -> Place[Item, Result] | None:
        """Wait for work; None once the line is closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            place = self._ready.popleft()
            if place is not None:
                self._held.discard(place)
            return place

    def close(self) -> None:
        """Let ``next`` end."""
        with self._changed:
            self._ready.append(None)
            self._changed.notify()

    def refuse_all(self, refusal: Callable[[], ServiceError]) -> None:
        """Fail what waits and what will come, since nothing will run any more."""
        with self._changed:
            self._refusal = refusal
            waiting = [place for place in self._ready if place is not None]
        for place in waiting:
            fail(place, refusal())


def fail(place: Place[Item, Result], error: Exception) -> None:
    """Settle a place whose work did not come to its end."""
    with suppress(InvalidStateError):
        place.future.set_exception(error)
