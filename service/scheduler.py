"""When work runs: a bounded queue in front of one inference thread, first come, first served."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Generic, TypeVar

from service.errors import NotReadyError, QueueFullError, ShuttingDownError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Share of the newest batch in the running mean of seconds an item: about the last ten count.
_NEWEST_SHARE = 0.2
# Between two looks at a full queue.
_PAUSE_SECONDS = 0.05
_ENDED = "the inference thread has ended; restart the service"


class Place(Generic[Item, Result]):
    """A place in the queue: held from admission until its work starts or its client goes."""

    def __init__(self) -> None:
        self.future: Future[Result] = Future()
        self.waiting = True
        self.item: Item
        self.queued_at = 0.0
        self.queue_seconds = 0.0


class Scheduler(Generic[Item, Result]):
    """Runs ``run_batch`` on one thread, over at most ``max_batch`` items that wait anyway.

    ``run_batch`` gives one result or one exception for each item, in order. Cancelled items never
    run. Every future is settled when ``close`` returns.
    """

    def __init__(
        self,
        run_batch: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        max_queue: int,
        max_batch: int = 1,
    ) -> None:
        self.max_queue = max_queue
        self.waiting = 0
        self.draining = False
        self._run_batch = run_batch
        self._max_batch = max_batch
        self._queue: deque[Place[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._ended = False
        self._admitted = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._seconds_per_item = 0.0
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def check_ready(self) -> None:
        """Raise ShuttingDownError or NotReadyError unless work is taken, a full queue aside."""
        if self.draining:
            raise ShuttingDownError(
                "the service is shutting down; send the request again in a moment"
            )
        if self._ended:
            raise NotReadyError(_ENDED)

    @contextmanager
    def admit(self) -> Iterator[Place[Item, Result]]:
        """Hold a place from before decoding on, so that what is decoded is bounded too.

        Raises QueueFullError, ShuttingDownError or NotReadyError.
        """
        self.check_ready()
        place = self._take_place()
        try:
            yield place
        finally:
            place.future.cancel()
            self._leave_queue(place)
            self._admitted -= 1
            if not self._admitted:
                self._idle.set()

    @asynccontextmanager
    async def queue_up(self) -> AsyncIterator[Place[Item, Result]]:
        """``admit`` for work that has been accepted before: a full queue is waited for.

        Raises ShuttingDownError or NotReadyError.
        """
        while self.waiting >= self.max_queue:
            self.check_ready()
            await asyncio.sleep(_PAUSE_SECONDS)
        with self.admit() as place:
            yield place

    async def run(self, place: Place[Item, Result], item: Item) -> Result:
        """Wait for the turn of ``place`` and return its result; cancelling it gives up the turn."""
        place.item = item
        place.queued_at = time.perf_counter()
        with self._changed:
            if self._ended:
                raise NotReadyError(_ENDED)
            self._queue.append(place)
            self._changed.notify()
        return await asyncio.wrap_future(place.future)

    def drain(self) -> None:
        """Refuse new work from now on; admitted work still finishes. Safe in a signal handler."""
        self.draining = True

    async def close(self) -> None:
        """Drain, finish what is admitted and end the thread."""
        self.drain()
        await self._idle.wait()
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _take_place(self) -> Place[Item, Result]:
        with self._changed:
            if self.waiting >= self.max_queue:
                seconds = max(1, math.ceil(self.waiting * self._seconds_per_item))
                raise QueueFullError(
                    f"{self.waiting} requests are waiting; try again in {seconds} s",
                    headers={"Retry-After": str(seconds)},
                )
            self.waiting += 1
        self._admitted += 1
        self._idle.clear()
        return Place()

    def _leave_queue(self, place: Place[Item, Result]) -> None:
        with self._changed:
            if place.waiting:
                place.waiting = False
                self.waiting -= 1
                if place in self._queue:
                    self._queue.remove(place)

    def _work(self) -> None:
        batch: list[Place[Item, Result]] = []
        try:
            while batch := self._next_batch():
                started = [p for p in batch if p.future.set_running_or_notify_cancel()]
                if started:
                    self._settle(started)
        finally:
            self._refuse(batch)

    def _next_batch(self) -> list[Place[Item, Result]]:
        """Wait for work; empty at the end of the thread's life."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            count = min(len(self._queue), self._max_batch)
            batch = [self._queue.popleft() for _ in range(count)]
        for place in batch:
            self._leave_queue(place)
        return batch

    def _settle(self, batch: list[Place[Item, Result]]) -> None:
        started = time.perf_counter()
        for place in batch:
            place.queue_seconds = started - place.queued_at
        results = self._results(batch)
        self._measure((time.perf_counter() - started) / len(batch))
        for place, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                place.future.set_exception(result)
            else:
                place.future.set_result(result)

    def _results(self, batch: list[Place[Item, Result]]) -> Sequence[Result | Exception]:
        try:
            return self._run_batch([place.item for place in batch])
        except Exception as error:  # whatever it is, its requests must hear of it
            return [error] * len(batch)

    def _measure(self, seconds: float) -> None:
        mean = self._seconds_per_item
        self._seconds_per_item = mean + _NEWEST_SHARE * (seconds - mean) if mean else seconds

    def _refuse(self, batch: list[Place[Item, Result]]) -> None:
        """Settle what runs and what waits, so that nobody waits for a thread that has ended."""
        with self._changed:
            self._ended = True
        for place in (*batch, *self._queue):
            with suppress(InvalidStateError):
                place.future.set_exception(NotReadyError(_ENDED))
