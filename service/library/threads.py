"""Threads of the library alone: a locked database keeps no other work waiting."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, Self, TypeVar

from service.errors import StorageBusyError
from service.library.database import RETRY_AFTER_SECONDS

# As many as the database has connections for.
COUNT = 15
# For a thread to be free, beside the WAIT_SECONDS that the database itself may take.
_PATIENCE_SECONDS = 1.0
Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


class LibraryThreads:
    """Runs calls of the library off the event loop. Use it as a context."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(COUNT, "library")
        self._free = asyncio.Semaphore(COUNT)

    async def run(
        self,
        call: Callable[Arguments, Value],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Value:
        """The call's result; StorageBusyError where all threads wait for the database."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise StorageBusyError(
                f"too many requests wait for stored supports; try again in {RETRY_AFTER_SECONDS} s",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from None
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, partial(call, *args, **kwargs))
        finally:
            self._free.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what runs."""
        self._pool.shutdown()
