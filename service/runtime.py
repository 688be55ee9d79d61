"""What the routes of a running app share, made in its lifespan and handed to each request."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from service.engine import Engine, Segmentation, Task
from service.errors import NotReadyError
from service.library import Library
from service.scheduler import Scheduler
from service.settings import Settings

Value = TypeVar("Value")


@dataclass(frozen=True)
class Runtime:
    """The rooms behind the routes. ``workers`` decode and encode; the scheduler's thread infers."""

    settings: Settings
    engine: Engine
    scheduler: Scheduler[Task, Segmentation]
    workers: ThreadPoolExecutor
    library: Library

    async def in_worker(self, work: Callable[[], Value]) -> Value:
        """Run ``work`` on a thread of the pool, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, work)


def running(request: Request) -> Runtime:
    """The app's runtime; NotReadyError before its lifespan has begun and after it has ended."""
    runtime: Runtime | None = getattr(request.app.state, "runtime", None)
    if runtime is None:
        raise NotReadyError("the checkpoint is not loaded yet; ask again in a moment")
    return runtime


Running = Annotated[Runtime, Depends(running)]
