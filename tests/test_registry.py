"""The registry of models: what is loaded when, what goes when memory is short, what takes over."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from model.errors import CheckpointError
from service.errors import ModelNotFoundError, ModelNotLoadedError
from service.inference.registry import ModelRegistry

PATHS = {name: Path(name) for name in "abcd"}


class Box:
    """Stands for an engine of 10 bytes."""

    def __init__(self, world: "World", path: Path) -> None:
        self.world, self.path = world, path
        world.held.append(path.name)

    def close(self) -> None:
        """Give its bytes back."""
        self.world.held.remove(self.path.name)


class World:
    """Memory, and a loader whose files may be broken."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.loads: list[str] = []
        self.broken: set[str] = set()
        self.told: list[tuple[str, str]] = []

    async def load(self, path: Path) -> Any:
        """Take a moment."""
        self.loads.append(path.name)
        await asyncio.sleep(0.01)
        if path.name in self.broken:
            raise CheckpointError(f"{path} is broken")
        return Box(self, path)

    load_tried = load

    def registry(self, max_bytes: int | None = None) -> ModelRegistry:
        first: Any = Box(self, Path("a"))
        loader = cast(Any, self)
        return ModelRegistry(
            PATHS, first, loader, lambda _: 10 * len(self.held), max_bytes,
            lambda name, outcome: self.told.append((name, outcome)),
        )  # fmt: skip


async def use(models: ModelRegistry, name: str | None) -> str:
    """As a request does; the file that served it."""
    with models.wanted(name) as model:
        if model.loaded is None:
            await models.load(model)
        with model.in_use() as engine:
            await asyncio.sleep(0.01)
            return cast(Any, engine).path.name


def run(test: Callable[[World], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(cast(Any, test(World())), 10))


def test_a_model_is_loaded_once_for_all_that_ask_for_it() -> None:
    async def test(world: World) -> None:
        models = world.registry()
        assert await asyncio.gather(*(use(models, "b") for _ in range(5))) == ["b"] * 5
        assert await use(models, None) == "a"
        assert world.loads == ["b"]

    run(test)


def test_an_unknown_name_lists_the_known_ones() -> None:
    async def test(world: World) -> None:
        with pytest.raises(ModelNotFoundError, match="choose of a, b, c, d"):
            await use(world.registry(), "e")

    run(test)


def test_the_least_recently_used_goes_and_never_the_default() -> None:
    async def test(world: World) -> None:
        models = world.registry(max_bytes=30)
        for name in "bcbd":
            await use(models, name)
        assert sorted(world.held) == ["a", "b", "d"]
        for name in "cdbc":
            await use(models, name)
        assert sorted(world.held) == ["a", "b", "c"]
        assert ("c", "dropped") in world.told

    run(test)


def test_a_model_in_use_is_not_dropped_until_it_is_idle() -> None:
    async def test(world: World) -> None:
        models = world.registry(max_bytes=20)
        with models.wanted("b") as model:
            await models.load(model)
            await use(models, "c")
            assert "b" in world.held
        await asyncio.sleep(0.1)
        assert len(world.held) == 2 and "a" in world.held

    run(test)


def test_a_model_that_alone_is_beyond_the_bound_still_answers() -> None:
    async def test(world: World) -> None:
        models = world.registry(max_bytes=5)
        assert await use(models, "b") == "b"
        await asyncio.sleep(0.1)
        assert world.held == ["a"]

    run(test)


def test_a_broken_file_is_not_read_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(world: World) -> None:
        models = world.registry()
        world.broken.add("b")
        for _ in range(3):
            with pytest.raises(ModelNotLoadedError):
                await use(models, "b")
        assert world.loads == ["b"]
        world.broken.clear()
        monkeypatch.setattr("service.inference.registry.RETRY_SECONDS", 0)
        assert await use(models, "b") == "b"
        assert world.told == [("b", "failed"), ("b", "loaded")]

    run(test)


def test_who_gives_up_waiting_leaves_the_others_their_model() -> None:
    async def test(world: World) -> None:
        models = world.registry()
        first, second = (asyncio.create_task(use(models, "b")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "b"
        assert world.loads == ["b"]

    run(test)


def test_who_has_begun_ends_with_the_old_model_which_is_closed_then() -> None:
    async def test(world: World) -> None:
        models = world.registry()
        model = models.find("a")
        with model.in_use() as old:
            await models.reload("a")
            with model.in_use() as new:
                assert new is not old
            assert world.held == ["a", "a"]
        await asyncio.sleep(0.1)
        assert world.held == ["a"]

    run(test)


def test_a_reload_that_fails_leaves_what_serves() -> None:
    async def test(world: World) -> None:
        models = world.registry()
        world.broken.add("a")
        with models.find("a").in_use() as old, pytest.raises(CheckpointError):
            await models.reload("a")
        with models.find("a").in_use() as still:
            assert still is old
        assert (world.held, world.told) == (["a"], [("a", "kept")])

    run(test)
