"""A model that is loaded beside those that serve: its file read, its network warm."""

import asyncio
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from service.images.nursery import held_bytes
from service.inference.engine import Engine, Prediction, Task, Work
from service.inference.queue import InferenceQueue
from service.inference.trial import judge, trial_task
from service.settings import Settings


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
        try:
            await self._compute(engine, engine.warm_up_tasks())
        except BaseException:
            engine.close()
            raise
        return engine

    async def load_tried(self, path: Path) -> Engine:
        """As ``load``, and raises TrialError where it does not pass a known episode."""
        engine = await self.load(path)
        try:
            prediction = await self._compute(engine, [trial_task(engine)])
            await asyncio.to_thread(judge, engine, prediction)
        except BaseException:
            engine.close()
            raise
        return engine

    async def _compute(self, engine: Engine, tasks: Iterable[Task]) -> Prediction:
        """The last task's. Compiling takes seconds, in which a CPU's inference thread serves on."""
        if engine.executor.device == "cpu":
            return await asyncio.to_thread(_run_all, engine, tasks)
        return await run_in_turn(engine, tasks, self._queue)


async def run_in_turn(
    engine: Engine, tasks: Iterable[Task], queue: InferenceQueue[Work, Prediction]
) -> Prediction:
    """On the inference thread, which a GPU belongs to, between requests; the last one's result."""
    for task in tasks:
        with queue.hold() as place:
            prediction = await queue.run(place, partial(engine.run, task))
    return prediction


def memory_bytes(engine: Engine) -> int:
    """What all models together hold where they run: torch on a GPU, else this process.

    0 where the system does not tell, as on macOS.
    """
    return engine.executor.memory_bytes() or held_bytes()


def _run_all(engine: Engine, tasks: Iterable[Task]) -> Prediction:
    for task in tasks:
        prediction = engine.run(task)
    return prediction
