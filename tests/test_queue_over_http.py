"""A full queue, clients that leave, and shutdown, seen through the app with a real engine."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from pictures import one_shot_form, scope
from service.app import create_app
from service.engine import Engine, Segmentation, Task
from service.settings import Settings, read_settings

TIMEOUT = 10
URL = "http://service"


class GatedEngine(Engine):
    """The engine, whose batches wait at a gate; open until a test closes it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.computed = 0

    def run_batch(self, tasks: Sequence[Task]) -> list[Segmentation | Exception]:
        """Wait, then compute."""
        self.entered.release()
        assert self.gate.wait(TIMEOUT)
        self.computed += len(tasks)
        return super().run_batch(tasks)


Test = Callable[[FastAPI, GatedEngine, httpx.AsyncClient], Awaitable[None]]


def run(test: Test, settings: Settings, max_queue: int = 8) -> None:
    """Run a test against a running app whose engine's gate is closed and whose counts are zero."""

    async def body() -> None:
        limited = read_settings(
            checkpoint=settings.checkpoint, device="cpu", precision="float32", max_queue=max_queue
        )
        engine = GatedEngine.load(limited)
        assert isinstance(engine, GatedEngine)
        app = create_app(limited, engine)
        async with app.router.lifespan_context(app), _client(app) as client:
            engine.entered = threading.Semaphore(0)
            engine.computed = 0
            engine.gate.clear()
            try:
                await asyncio.wait_for(test(app, engine, client), TIMEOUT)
            finally:
                engine.gate.set()

    asyncio.run(body())


@asynccontextmanager
async def _client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


async def post(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/segment", files=one_shot_form())


async def start(client: httpx.AsyncClient, engine: GatedEngine) -> "asyncio.Task[httpx.Response]":
    """A request that has reached the network, and stays there while the gate is closed."""
    request = asyncio.create_task(post(client))
    await asyncio.to_thread(engine.entered.acquire, timeout=TIMEOUT)
    return request


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_a_full_queue_is_answered_429_with_the_time_to_wait(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        running = await start(client, engine)
        waiting = asyncio.create_task(post(client))
        await until(lambda: app.state.runtime.scheduler.waiting == 1)
        refused = await post(client)
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        engine.gate.set()
        assert [r.status_code for r in await asyncio.gather(running, waiting)] == [200, 200]
        assert (await post(client)).status_code == 200

    run(test, settings, max_queue=1)


def test_requests_at_once_get_each_its_own_mask(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        engine.gate.set()
        names = ["support_image", "support_mask", "query_image"]
        forms = [one_shot_form(seed) for seed in range(6)]
        assert [name for name, _ in forms[0]] == names
        alone = [(await client.post("/segment", files=form)).content for form in forms]
        assert len(set(alone)) == len(forms)
        together = await asyncio.gather(*(client.post("/segment", files=form) for form in forms))
        assert [reply.content for reply in together] == alone

    run(test, settings)


async def leave(app: FastAPI, client: httpx.AsyncClient, left: asyncio.Event) -> list[Any]:
    """Post a request whose client disconnects when ``left`` is set; what the app sends to it."""
    request = client.build_request("POST", "/segment", files=one_shot_form())
    body = [{"type": "http.request", "body": request.read(), "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        if body:
            return body.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope(request), receive, send)
    return sent


def test_what_waits_for_a_client_that_has_left_is_never_computed(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        running = await start(client, engine)
        left = asyncio.Event()
        leaving = asyncio.create_task(leave(app, client, left))
        await until(lambda: app.state.runtime.scheduler.waiting == 1)
        left.set()
        await leaving
        assert app.state.runtime.scheduler.waiting == 0
        engine.gate.set()
        assert (await running).status_code == 200
        await post(client)
        assert engine.computed == 2
        metrics = (await client.get("/metrics")).text
        assert 'sgone_requests_total{route="/segment",status="499"} 1.0' in metrics

    run(test, settings)


def test_a_client_that_leaves_while_its_request_runs_frees_its_place(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        left = asyncio.Event()
        leaving = asyncio.create_task(leave(app, client, left))
        await asyncio.to_thread(engine.entered.acquire, timeout=TIMEOUT)
        left.set()
        await leaving
        engine.gate.set()
        assert (await post(client)).status_code == 200

    run(test, settings)


def test_draining_refuses_new_work_and_finishes_the_old(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        running = await start(client, engine)
        app.state.runtime.scheduler.drain()
        refused = await post(client)
        assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "shutting_down")
        assert (await client.get("/healthz")).status_code == 200
        engine.gate.set()
        assert (await running).status_code == 200

    run(test, settings)


def test_the_queue_depth_is_measured(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        requests = [await start(client, engine)]
        requests += [asyncio.create_task(post(client)) for _ in range(3)]
        await until(lambda: app.state.runtime.scheduler.waiting == 3)
        assert "sgone_queue_depth 3.0" in (await client.get("/metrics")).text
        engine.gate.set()
        await asyncio.gather(*requests)
        assert "sgone_queue_depth 0.0" in (await client.get("/metrics")).text

    run(test, settings)
