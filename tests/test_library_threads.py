"""Work for the library waits for the library alone, and not for long."""

import asyncio
import threading
import time

import pytest

from service.errors import StorageBusyError
from service.library.threads import COUNT, LibraryThreads


def test_a_call_gives_its_result_or_its_error() -> None:
    async def body() -> None:
        with LibraryThreads() as threads:
            assert await threads.run(divmod, 7, 2) == (3, 1)
            with pytest.raises(ZeroDivisionError):
                await threads.run(divmod, 7, 0)

    asyncio.run(body())


def test_calls_that_find_all_threads_waiting_are_told_so_soon() -> None:
    locked = threading.Event()

    async def body() -> list[object]:
        with LibraryThreads() as threads:
            held = [asyncio.ensure_future(threads.run(locked.wait, 30)) for _ in range(COUNT)]
            await asyncio.sleep(0.1)
            started = time.monotonic()
            more = [threads.run(int) for _ in range(50)]
            outcomes = await asyncio.gather(*more, return_exceptions=True)
            assert time.monotonic() - started < 5
            locked.set()
            assert await asyncio.gather(*held) == [True] * COUNT
            assert await threads.run(int) == 0
            return outcomes

    outcomes = asyncio.run(body())
    assert all(isinstance(outcome, StorageBusyError) for outcome in outcomes)
    assert all(outcome.headers["Retry-After"] for outcome in outcomes)  # type: ignore[attr-defined]
