"""The models of a process by name: loaded when asked for, dropped where memory is short."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from service.checkpoints.manifest import sha256_of
from service.errors import ModelNotFoundError, ModelNotLoadedError
from service.inference.engine import Engine
from service.inference.loading import Loader
from service.mending import MENDABLE, sentence

# Before a file that could not be loaded is tried again.
RETRY_SECONDS = 10
Outcome = Literal["loaded", "failed", "dropped", "reloaded", "kept"]
"""What becomes of a model; it is ``kept`` where another could not take its place."""
_log = logging.getLogger(__name__)


class Loaded:
    """An engine, and the requests that use it; ``memory_bytes`` is what it took to load."""

    def __init__(self, engine: Engine, memory_bytes: int = 0) -> None:
        self.engine, self.memory_bytes = engine, memory_bytes
        self.users = 0
        self.replaced = False


class ServedModel:
    """A name and its file. ``wanted`` counts the requests that use it, or wait for it."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.loaded: Loaded | None = None
        self.loading: asyncio.Task[None] | None = None
        self.wanted = 0
        self.used_at = 0.0
        self.failed_at: float | None = None
        self.known_bytes = 0

    @property
    def state(self) -> Literal["loaded", "loading", "failed", "not_loaded"]:
        """For people."""
        if self.loaded is not None:
            return "loaded"
        if self.loading is not None:
            return "loading"
        return "not_loaded" if self.failed_at is None else "failed"

    @contextmanager
    def in_use(self) -> Iterator[Engine]:
        """The engine of a model that is loaded; where it is replaced meanwhile, this one lasts."""
        loaded = self.loaded
        assert loaded is not None
        loaded.users += 1
        try:
            yield loaded.engine
        finally:
            loaded.users -= 1
            if loaded.replaced and not loaded.users:
                _close_aside(loaded.engine)


class ModelRegistry:
    """Gives each request the model that it names. Its methods belong to the event loop.

    The first of ``paths`` is the default, whose ``engine`` is loaded already and stays loaded.
    ``loader`` makes others. Where ``memory`` tells of more than ``max_bytes``, models go that no
    request wants, the least recently used first. ``on_change`` hears what becomes of a model,
    by its name.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        engine: Engine,
        loader: Loader,
        memory: Callable[[Engine], int],
        max_bytes: int | None = None,
        on_change: Callable[[str, Outcome], object] = lambda name, outcome: None,
    ) -> None:
        self._models = {name: ServedModel(name, path) for name, path in paths.items()}
        self.default = next(iter(self._models))
        self._default = self._models[self.default]
        self._default.loaded = Loaded(engine)
        self._loader, self._max_bytes = loader, max_bytes
        self._memory_of = memory
        self._on_change = on_change
        # One file is loaded at a time, so that what it takes can be measured.
        self._turn = asyncio.Lock()
        self._trimming: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def engines(self) -> list[Engine]:
        """Those that are loaded, the default's first."""
        return [model.loaded.engine for model in self if model.loaded is not None]

    def find(self, name: str | None) -> ServedModel:
        """The model of this name, or the default; ModelNotFoundError lists the names."""
        model = self._default if name is None else self._models.get(name)
        if model is None:
            raise ModelNotFoundError(
                f"there is no model {str(name)[:80]!r}; choose of {', '.join(self._models)}",
                field="model",
            )
        return model

    @contextmanager
    def wanted(self, name: str | None) -> Iterator[ServedModel]:
        """The model of this name, or the default: once loaded it stays so until this is left.

        Raises ModelNotFoundError.
        """
        model = self.find(name)
        model.wanted += 1
        try:
            yield model
        finally:
            model.wanted -= 1
            if model is not self._default:
                model.used_at = time.monotonic()
                self._trim()

    async def load(self, model: ServedModel) -> None:
        """Within ``wanted``: wait until it is loaded; ModelNotLoadedError where it cannot be."""
        if model.failed_at is not None and time.monotonic() - model.failed_at < RETRY_SECONDS:
            raise _not_loaded(model)
        if model.loading is None:
            model.loading = asyncio.create_task(self._bring(model))
        await asyncio.shield(model.loading)
        if model.loaded is None:
            raise _not_loaded(model)

    async def reload(self, name: str) -> None:
        """Let what its file holds now take over; requests that have begun keep what they have.

        Whatever is wrong with the file is raised, and what has served goes on.
        """
        model = self.find(name)
        async with self._turn:
            try:
                loaded = await self._measured(model, self._loader.load_tried)
            except Exception:
                self._on_change(model.name, "kept")
                raise
            old, model.loaded = model.loaded, loaded
            if old is not None:
                old.replaced = True
                if not old.users:
                    _close_aside(old.engine)
            self._on_change(model.name, "reloaded")
            await self._make_room()

    async def reload_changed(self) -> None:
        """Reload what is loaded and has another file now; the log tells what became of each."""
        for model in self:
            model.failed_at = None
            if model.loaded is None:
                continue
            served = model.loaded.engine.checkpoint.sha256
            try:
                if await asyncio.to_thread(sha256_of, model.path) != served:
                    await self.reload(model.name)
            except Exception as error:  # whatever it is, the others are looked at
                _tell(f"model {model.name} stays as it was", error)

    async def close(self) -> None:
        """Give up what is being loaded."""
        tasks = [task for model in self if (task := model.loading)]
        tasks += [self._trimming] if self._trimming else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring(self, model: ServedModel) -> None:
        try:
            async with self._turn:
                if model.loaded is not None:  # by a reload, meanwhile
                    return
                model.loaded = await self._measured(model, self._loader.load)
                self._on_change(model.name, "loaded")
                await self._make_room()
        except Exception as error:  # whatever it is, other models go on
            model.failed_at = time.monotonic()
            _tell(f"model {model.name} cannot be loaded", error)
            self._on_change(model.name, "failed")
        finally:
            model.loading = None

    async def _measured(
        self, model: ServedModel, load: Callable[[Path], Awaitable[Engine]]
    ) -> Loaded:
        """Load its file, where memory is short after others have gone."""
        await self._make_room(model.known_bytes)
        before = self._memory()
        engine = await load(model.path)
        model.known_bytes = max(model.known_bytes, self._memory() - before)
        model.failed_at = None
        return Loaded(engine, model.known_bytes)

    def _memory(self) -> int:
        return self._memory_of(self.engines[0])

    def _trim(self) -> None:
        if self._max_bytes is None or self._trimming or self._memory() <= self._max_bytes:
            return
        if any(self._idle()):
            self._trimming = asyncio.create_task(self._trim_in_turn())

    async def _trim_in_turn(self) -> None:
        try:
            async with self._turn:
                await self._make_room()
        finally:
            self._trimming = None

    async def _make_room(self, coming_bytes: int = 0) -> None:
        """Drop models until so many bytes more would be within the bound, or none is idle."""
        limit = self._max_bytes
        while limit is not None and self._memory() + coming_bytes > limit:
            model = min(self._idle(), key=lambda idle: idle.used_at, default=None)
            if model is None:
                return
            assert model.loaded is not None
            dropped, model.loaded = model.loaded, None
            await asyncio.to_thread(dropped.engine.close)
            del dropped
            self._on_change(model.name, "dropped")

    def _idle(self) -> Iterator[ServedModel]:
        return (m for m in self if m.loaded and not m.wanted and m is not self._default)


def _close_aside(engine: Engine) -> None:
    """It takes a while, for which nobody waits."""
    asyncio.get_running_loop().run_in_executor(None, engine.close)


def _tell(outcome: str, error: Exception) -> None:
    """In the log: what an operator can mend as a sentence, anything else with its traceback."""
    known = isinstance(error, MENDABLE)
    reason = sentence(error) if known else "the traceback follows"
    _log.error("%s: %s", outcome, reason, exc_info=not known)


def _not_loaded(model: ServedModel) -> ModelNotLoadedError:
    return ModelNotLoadedError(
        f"model {model.name} cannot be loaded now; its operator's log says why",
        field="model",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
