"""A model that is loaded beside those that serve: its file read, its network warm."""

import asyncio
import os
from functools import partial
from pathlib import Path

from service.inference.engine import Engine, Prediction, Work
from service.inference.queue import InferenceQueue
from service.settings import Settings

_STATM = Path("/proc/self/statm")


class Loader:
    """Makes engines of ``kind`` while others serve, on a thread of its own."""

    def __init__(
        self, settings: Settings, kind: type[Engine], queue: InferenceQueue[Work, Prediction]
    ) -> None:
        self._settings, self._kind, self._queue = settings, kind, queue

    async def load(self, path: Path) -> Engine:
        """Read and warm it; raises CheckpointError, ConfigError or DeviceError."""
        settings = self._settings.model_copy(update={"checkpoint": path})
        engine = await asyncio.to_thread(self._kind.load, settings)
        if engine.executor.device == "cpu":
            # Compiling takes seconds, in which the inference thread goes on serving.
            await asyncio.to_thread(_run_all, engine)
        else:
            await warm_up(engine, self._queue)
        return engine


async def warm_up(engine: Engine, queue: InferenceQueue[Work, Prediction]) -> None:
    """On the inference thread, which a GPU belongs to, in turn with requests."""
    for task in engine.warm_up_tasks():
        with queue.hold() as place:
            engine.restore(await queue.run(place, partial(engine.run, task)))


def memory_bytes(engine: Engine) -> int:
    """What all models together hold where they run: torch on a GPU, else this process.

    0 where the system does not tell, as on macOS.
    """
    return engine.executor.memory_bytes() or _resident_bytes()


def _run_all(engine: Engine) -> None:
    for task in engine.warm_up_tasks():
        engine.restore(engine.run(task))


def _resident_bytes() -> int:
    if not _STATM.exists():
        return 0
    pages = int(_STATM.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
