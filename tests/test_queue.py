"""Admission, order, cancellation and the end of the queue before the inference thread."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.errors import InternalError, NotReadyError, QueueFullError, ShuttingDownError
from service.inference.queue import InferenceQueue, Rate

TIMEOUT = 20


class Network:
    """Stands for the network: doubles numbers, once its gate is open; remembers what it ran."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.running = threading.Event()
        self.ran: list[int] = []

    def __call__(self, item: int) -> int:
        self.running.set()
        assert self.gate.wait(TIMEOUT)
        self.ran.append(item)
        if item % 2:
            raise ValueError(f"{item} is odd")
        return item * 2


def run(
    test: Callable[[InferenceQueue[int, int], Network], Awaitable[None]],
    max_queue: int = 8,
    network: Network | None = None,
) -> None:
    """Run a test against a queue whose network waits at a closed gate; then close it."""
    network = network or Network()

    async def body() -> None:
        queue: InferenceQueue[int, int] = InferenceQueue(network, max_queue)
        try:
            await asyncio.wait_for(test(queue, network), TIMEOUT)
        finally:
            network.gate.set()
            await asyncio.wait_for(queue.close(), TIMEOUT)

    asyncio.run(body())


async def submit(queue: InferenceQueue[int, int], item: int) -> int:
    with queue.admit() as place:
        return await queue.run(place, item)


async def fill(
    queue: InferenceQueue[int, int], network: Network, *items: int
) -> list[asyncio.Task[int]]:
    """Submit items in order; the first is running and the others wait when this returns."""
    tasks = [asyncio.create_task(submit(queue, items[0]))]
    await asyncio.to_thread(network.running.wait, TIMEOUT)
    for item in items[1:]:
        tasks.append(asyncio.create_task(submit(queue, item)))
        await asyncio.sleep(0)
    return tasks


def test_an_item_gets_its_result() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        network.gate.set()
        assert await submit(queue, 4) == 8

    run(test)


def test_items_run_first_come_first_served() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        tasks = await fill(queue, network, 2, 8, 4, 6)
        network.gate.set()
        assert await asyncio.gather(*tasks) == [4, 16, 8, 12]
        assert network.ran == [2, 8, 4, 6]

    run(test)


def test_a_bad_item_fails_alone() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        tasks = await fill(queue, network, 2, 4, 5, 6)
        network.gate.set()
        _, before, bad, after = await asyncio.gather(*tasks, return_exceptions=True)
        assert (before, after) == (8, 12)
        assert isinstance(bad, ValueError)

    run(test)


def test_beyond_the_limit_of_waiting_items_admission_is_refused() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        tasks = await fill(queue, network, 2, 4, 6)
        with pytest.raises(QueueFullError) as caught:
            await submit(queue, 8)
        assert int(caught.value.headers["Retry-After"]) >= 1
        network.gate.set()
        assert await asyncio.gather(*tasks) == [4, 8, 12]
        assert await submit(queue, 8) == 16

    run(test, max_queue=2)


def test_an_item_that_is_still_being_decoded_holds_its_place() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        with queue.admit(), queue.admit(), pytest.raises(QueueFullError):
            await submit(queue, 2)
        assert queue.waiting == 0

    run(test, max_queue=2)


def test_retry_after_counts_what_waits_and_what_runs_at_the_measured_rate() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        asyncio.get_running_loop().call_later(0.6, network.gate.set)
        await submit(queue, 2)
        network.gate.clear()
        network.running.clear()
        tasks = await fill(queue, network, 2, 4)
        with pytest.raises(QueueFullError, match="try again in 2 s") as caught:
            await submit(queue, 6)
        assert caught.value.headers == {"Retry-After": "2"}
        network.gate.set()
        await asyncio.gather(*tasks)

    run(test, max_queue=1)


def test_a_cancelled_item_is_never_computed_and_gives_up_its_place() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        first, second, third = await fill(queue, network, 2, 4, 6)
        second.cancel()
        await asyncio.wait([second])
        assert queue.waiting == 1
        network.gate.set()
        assert await asyncio.gather(first, third) == [4, 12]
        assert network.ran == [2, 6]

    run(test)


def test_a_cancelled_item_is_let_go_at_once() -> None:
    class Pixels:
        """What an item holds."""

    async def test(queue: InferenceQueue[Any, int], network: Network) -> None:
        (first,) = await fill(queue, network, 2)
        pixels = Pixels()
        held = weakref.ref(pixels)
        waiting = asyncio.create_task(submit(queue, pixels))
        del pixels
        await asyncio.sleep(0)
        assert held() is not None
        waiting.cancel()
        await asyncio.wait([waiting])
        del waiting
        gc.collect()
        assert held() is None
        network.gate.set()
        await first

    run(test)


def test_what_has_run_is_let_go_while_the_thread_waits_for_more() -> None:
    class Pixels:
        """What an item holds."""

    async def body() -> None:
        queue: InferenceQueue[Any, int] = InferenceQueue(lambda item: 0, max_queue=8)
        pixels = Pixels()
        held = weakref.ref(pixels)
        assert await submit(queue, pixels) == 0
        del pixels
        while held():  # the thread is on its way back
            gc.collect()
            await asyncio.sleep(0.01)
        await queue.close()

    asyncio.run(asyncio.wait_for(body(), TIMEOUT))


def test_an_item_cancelled_while_it_runs_does_not_disturb_the_next() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        first, second = await fill(queue, network, 2, 4)
        first.cancel()
        await asyncio.wait([first])
        network.gate.set()
        assert await second == 8

    run(test)


def test_closing_finishes_what_is_admitted_and_refuses_the_rest() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        tasks = await fill(queue, network, 2, 4)
        closing = asyncio.create_task(queue.close())
        await asyncio.sleep(0)
        with pytest.raises(ShuttingDownError):
            await submit(queue, 6)
        network.gate.set()
        assert await asyncio.gather(*tasks) == [4, 8]
        await closing
        assert network.ran == [2, 4]

    run(test)


def test_an_item_admitted_before_closing_still_runs() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        network.gate.set()
        with queue.admit() as place:
            closing = asyncio.create_task(queue.close())
            await asyncio.sleep(0.05)
            assert await queue.run(place, 2) == 4
        await closing

    run(test)


class CrashingNetwork(Network):
    """Takes the thread down with it over each item above 100."""

    def __call__(self, item: int) -> int:
        if item > 100:
            self.running.set()
            assert self.gate.wait(TIMEOUT)
            raise SystemExit(f"over {item}")
        return super().__call__(item)


def test_a_crash_fails_what_ran_and_spares_what_waits() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        tasks = await fill(queue, network, 101, 4, 6)
        network.gate.set()
        crashed, *spared = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(crashed, InternalError)
        assert spared == [8, 12]
        queue.check_ready()
        assert await submit(queue, 8) == 16

    run(test, network=CrashingNetwork())


def test_between_two_threads_work_is_taken_but_the_queue_is_not_ready() -> None:
    async def body() -> None:
        network, crashed, go_on = CrashingNetwork(), threading.Event(), threading.Event()

        def wait() -> None:
            crashed.set()
            assert go_on.wait(TIMEOUT)

        queue: InferenceQueue[int, int] = InferenceQueue(network, 8, on_crash=wait)
        network.gate.set()
        with pytest.raises(InternalError):
            await submit(queue, 101)
        assert await asyncio.to_thread(crashed.wait, TIMEOUT)
        with pytest.raises(NotReadyError):
            queue.check_ready()
        waiting = asyncio.create_task(submit(queue, 4))
        go_on.set()
        assert await waiting == 8
        queue.check_ready()
        await queue.close()

    asyncio.run(body())


def test_after_a_crash_closing_still_finishes_what_is_admitted() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        tasks = await fill(queue, network, 101, 4)
        closing = asyncio.create_task(queue.close())
        network.gate.set()
        crashed, spared = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(crashed, InternalError)
        assert spared == 8
        await closing

    run(test, network=CrashingNetwork())


def test_nobody_waits_for_an_inference_thread_that_has_crashed_for_good() -> None:
    async def body() -> None:
        network, ended, crashes = CrashingNetwork(), threading.Event(), iter(range(1, 10))
        queue: InferenceQueue[int, int] = InferenceQueue(
            network, 8, on_crash=crashes.__next__, on_end=ended.set
        )
        tasks = await fill(queue, network, 101, 103, 105, 2)
        with queue.admit() as decoding:
            network.gate.set()
            _, pending = await asyncio.wait(tasks, timeout=TIMEOUT)
            assert not pending
            kinds = [type(task.exception()) for task in tasks]
            assert kinds == [InternalError] * 3 + [NotReadyError]
            assert await asyncio.to_thread(ended.wait, TIMEOUT)
            with pytest.raises(NotReadyError):
                await queue.run(decoding, 4)
        with pytest.raises(NotReadyError):
            queue.check_ready()
        assert next(crashes) == 4
        await asyncio.wait_for(queue.close(), TIMEOUT)

    asyncio.run(body())


def test_the_time_in_the_queue_is_measured() -> None:
    async def test(queue: InferenceQueue[int, int], network: Network) -> None:
        (first,) = await fill(queue, network, 2)
        with queue.admit() as place:
            waiting = asyncio.create_task(queue.run(place, 4))
            await asyncio.sleep(0.1)
            network.gate.set()
            await asyncio.gather(first, waiting)
        assert 0.1 <= place.queue_seconds < 2

    run(test)


@pytest.mark.parametrize(
    ("measured", "items", "seconds"),
    [
        ([], 32, 1),
        ([0.4], 7, 3),
        ([0.4], 1, 1),
        ([1.0, 2.0], 10, 12),
        ([2.0], 2, 4),
    ],
    ids=["unmeasured", "rounded up", "at least one", "newest share", "whole"],
)
def test_what_items_will_take_follows_the_measured_rate(
    measured: list[float], items: int, seconds: int
) -> None:
    rate = Rate()
    for taken in measured:
        rate.measure(taken)
    assert rate.whole_seconds(items) == seconds
