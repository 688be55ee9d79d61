"""When work runs: bounded admission in front of one inference thread, first come, first served."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Generic

from service.errors import InternalError, NotReadyError, QueueFullError, ShuttingDownError
from service.inference.line import Item, Place, Rate, Result, WaitingLine, fail
from service.inference.thread import InferenceThread

RunBatch = Callable[[Sequence[Item]], Sequence[Result | Exception]]

# Between two looks at a full queue.
_PAUSE_SECONDS = 0.05


def _nothing() -> None:
    pass


class Scheduler(Generic[Item, Result]):
    """Runs ``run_batch`` on one thread, over at most ``max_batch`` items.

    ``run_batch`` gives one result or one exception for each item, in order. Cancelled items never
    run. Every future is settled when ``close`` returns. A crash of the thread fails the items that
    it had; those that wait go to the next thread, until crashes are too many: ``on_end``.
    """

    def __init__(
        self,
        run_batch: RunBatch[Item, Result],
        max_queue: int,
        max_batch: int = 1,
        window_seconds: float = 0.0,
        on_crash: Callable[[], object] = _nothing,
        on_end: Callable[[], object] = _nothing,
    ) -> None:
        self.draining = False
        self._run_batch = run_batch
        self._line: WaitingLine[Item, Result] = WaitingLine(max_queue, max_batch, window_seconds)
        self._running: Sequence[Place[Item, Result]] = ()
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

    @property
    def ready(self) -> int:
        """Of these, the items that are decoded."""
        return self._line.ready

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
        place = self._take_place()
        try:
            yield place
        finally:
            place.future.cancel()
            self._line.leave(place)
            self._admitted -= 1
            if not self._admitted:
                self._idle.set()

    @asynccontextmanager
    async def queue_up(self) -> AsyncIterator[Place[Item, Result]]:
        """``admit`` for work that has been accepted before: a full queue is waited for.

        Raises ShuttingDownError or NotReadyError.
        """
        while self._line.waiting >= self._line.max_places:
            self._check_open()
            await asyncio.sleep(_PAUSE_SECONDS)
        with self.admit() as place:
            yield place

    async def run(self, place: Place[Item, Result], item: Item) -> Result:
        """Wait for the turn of ``place`` and return its result; cancelling it gives up the turn."""
        place.item = item
        self._line.join(place)
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

    def _take_place(self) -> Place[Item, Result]:
        place = self._line.take_place()
        if place is None:
            waiting = self._line.waiting
            seconds = self._rate.whole_seconds(waiting + len(self._running))
            raise QueueFullError(
                f"{waiting} requests are waiting; try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
        self._admitted += 1
        self._idle.clear()
        return place

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        batch = self._line.next_batch()
        self._running = [place for place in batch if place.future.set_running_or_notify_cancel()]
        if self._running:
            self._settle(self._running)
        return bool(batch)

    def _settle(self, batch: Sequence[Place[Item, Result]]) -> None:
        started = time.perf_counter()
        for place in batch:
            place.queue_seconds = started - place.queued_at
        results = self._results(batch)
        self._rate.measure(time.perf_counter() - started, len(batch))
        for place, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                place.future.set_exception(result)
            else:
                place.future.set_result(result)
        self._running = ()

    def _results(self, batch: Sequence[Place[Item, Result]]) -> Sequence[Result | Exception]:
        try:
            return self._run_batch([place.item for place in batch])
        except Exception as error:  # whatever it is, its requests must hear of it
            return [error] * len(batch)

    def _crashed(self) -> None:
        for place in self._running:
            fail(place, InternalError("the service failed over this request; report its id"))
        self._running = ()
        self._on_crash()

    def _end(self) -> None:
        self._line.refuse_all(_no_thread)
        self._on_end()


def _no_thread() -> NotReadyError:
    return NotReadyError("the inference thread has crashed; wait for /readyz")
