"""When work runs: bounded admission in front of one inference thread, first come, first served."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic

from service.errors import InternalError, NotReadyError, QueueFullError, ShuttingDownError
from service.giving_up import until
from service.inference.line import Item, Place, Result, WaitingLine, fail
from service.inference.thread import InferenceThread

# Between two looks at a full queue.
_PAUSE_SECONDS = 0.05
# Share of the newest item in the running mean of seconds an item: about the last ten count.
_NEWEST_SHARE = 0.2


def _nothing() -> None:
    pass


class Rate:
    """How long an item takes, measured."""

    def __init__(self) -> None:
        self._seconds_per_item = 0.0

    def measure(self, seconds: float) -> None:
        """An item took so long."""
        mean = self._seconds_per_item
        self._seconds_per_item = mean + _NEWEST_SHARE * (seconds - mean) if mean else seconds

    def whole_seconds(self, items: int) -> int:
        """What ``items`` will take, rounded up; at least 1."""
        return max(1, math.ceil(items * self._seconds_per_item))


class InferenceQueue(Generic[Item, Result]):
    """Runs ``compute`` on one thread, over one item after the other.

    Cancelled items never run, or end at their next ``go_on``. Every future is settled when
    ``close`` returns. A crash of the thread fails the item that it had; those that wait go to the
    next thread, until crashes are too many: ``on_end``. The methods belong to the event loop.
    """

    def __init__(
        self,
        compute: Callable[[Item], Result],
        max_queue: int,
        on_crash: Callable[[], object] = _nothing,
        on_end: Callable[[], object] = _nothing,
    ) -> None:
        self.draining = False
        self._compute = compute
        self._max_queue = max_queue
        self._line: WaitingLine[Item, Result] = WaitingLine()
        self._running: Place[Item, Result] | None = None
        self._rate = Rate()
        self._admitted = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._on_crash = on_crash
        self._on_end = on_end
        self._thread = InferenceThread(self._work, self._crashed, self._end)

    @property
    def waiting(self) -> int:
        """Places that are held by work that has not started."""
        return self._line.waiting

    def check_ready(self) -> None:
        """Raise ShuttingDownError or NotReadyError unless work is taken and done."""
        self._check_open()
        if not self._thread.up:
            raise _no_thread()

    @contextmanager
    def admit(self) -> Iterator[Place[Item, Result]]:
        """Hold a place from before decoding on, so that what is decoded is bounded too.

        Raises QueueFullError, ShuttingDownError or NotReadyError.
        """
        self._check_open()
        self._check_room()
        with self.hold() as place:
            yield place

    @contextmanager
    def hold(self) -> Iterator[Place[Item, Result]]:
        """``admit`` for the service's own work, even where the queue is full.

        Raises ShuttingDownError or NotReadyError.
        """
        self._check_open()
        place = self._line.take_place()
        self._admitted += 1
        self._idle.clear()
        try:
            yield place
        finally:
            place.future.cancel()
            place.given_up.set()
            self._line.leave(place)
            self._admitted -= 1
            if not self._admitted:
                self._idle.set()

    @asynccontextmanager
    async def queue_up(self) -> AsyncIterator[Place[Item, Result]]:
        """``admit`` for work that has been accepted before: a full queue is waited for.

        Raises ShuttingDownError or NotReadyError.
        """
        while self.waiting >= self._max_queue:
            self._check_open()
            await asyncio.sleep(_PAUSE_SECONDS)
        with self.admit() as place:
            yield place

    async def run(self, place: Place[Item, Result], item: Item) -> Result:
        """Wait for the turn of ``place`` and return its result; cancelling it gives up the turn."""
        self._line.join(place, item)
        return await asyncio.wrap_future(place.future)

    def drain(self) -> None:
        """Refuse new work from now on; admitted work still finishes. Safe in a signal handler."""
        self.draining = True

    async def close(self) -> None:
        """Drain, finish what is admitted and end the thread."""
        self.drain()
        await self._idle.wait()
        self._line.close()
        await asyncio.to_thread(self._thread.join)

    def _check_open(self) -> None:
        """While a crashed thread is replaced, work is taken: it has only to wait."""
        if self.draining:
            raise ShuttingDownError(
                "the service is shutting down; send the request again in a moment"
            )
        self._line.check_open()

    def _check_room(self) -> None:
        waiting = self.waiting
        if waiting >= self._max_queue:
            seconds = self._rate.whole_seconds(waiting + (self._running is not None))
            raise QueueFullError(
                f"{waiting} requests are waiting; try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        place = self._line.next()
        if place is not None and place.future.set_running_or_notify_cancel():
            self._running = place
            self._settle(place)
            self._running = None
        return place is not None

    def _settle(self, place: Place[Item, Result]) -> None:
        started = time.perf_counter()
        place.queue_seconds = started - place.queued_at
        with until(place.given_up):
            result = self._result(place.item)
        self._rate.measure(time.perf_counter() - started)
        if isinstance(result, Exception):
            place.future.set_exception(result)
        else:
            place.future.set_result(result)

    def _result(self, item: Item) -> Result | Exception:
        try:
            return self._compute(item)
        except Exception as error:  # whatever it is, its request must hear of it
            return error

    def _crashed(self) -> None:
        if self._running is not None:
            error = InternalError("the service failed over this request; report its id")
            fail(self._running, error)
        self._running = None
        self._on_crash()

    def _end(self) -> None:
        self._line.refuse_all(_no_thread)
        self._on_end()


def _no_thread() -> NotReadyError:
    return NotReadyError("the inference thread has crashed; wait for /readyz")
