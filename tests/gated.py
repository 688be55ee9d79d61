"""The app with a real engine whose work waits at gates, so that a test decides when it runs."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from model.episode import Photograph
from model.predictor import PreparedQuery
from pictures import one_shot_form, scope
from service.app import create_app
from service.inference.engine import Engine, Prediction, Task
from service.settings import Settings

TIMEOUT = 10
URL = "http://service"


class GatedEngine(Engine):
    """The engine, whose tasks wait at one gate and whose queries at another; both open."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.computed = 0
        self.decode_gate = threading.Event()
        self.decode_gate.set()
        self.decoding = threading.Semaphore(0)

    def prepare_query(self, photograph: Photograph, refined: bool = False) -> PreparedQuery:
        """Wait, then prepare."""
        self.decoding.release()
        assert self.decode_gate.wait(TIMEOUT)
        return super().prepare_query(photograph, refined)

    def run(self, task: Task) -> Prediction:
        """Wait, then compute."""
        self.entered.release()
        assert self.gate.wait(TIMEOUT)
        self.computed += 1
        return super().run(task)


Test = Callable[[FastAPI, GatedEngine, httpx.AsyncClient], Awaitable[None]]


def run(test: Test, settings: Settings, **limits: Any) -> None:
    """Run a test against a running app whose engine's gate is closed and whose counts are zero."""

    async def body() -> None:
        limited = settings.model_copy(update=limits)
        engine = GatedEngine.load(limited)
        assert isinstance(engine, GatedEngine)
        app = create_app(limited, engine)
        async with app.router.lifespan_context(app), _client(app) as client:
            engine.entered = threading.Semaphore(0)
            engine.decoding = threading.Semaphore(0)
            engine.computed = 0
            engine.gate.clear()
            try:
                await asyncio.wait_for(test(app, engine, client), TIMEOUT)
            finally:
                engine.gate.set()
                engine.decode_gate.set()

    asyncio.run(body())


@asynccontextmanager
async def _client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


async def post(client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post("/segment", files=one_shot_form(), headers=headers)


async def start(client: httpx.AsyncClient, engine: GatedEngine) -> "asyncio.Task[httpx.Response]":
    """A request that has reached the network, and stays there while the gate is closed."""
    request = asyncio.create_task(post(client))
    await asyncio.to_thread(engine.entered.acquire, timeout=TIMEOUT)
    return request


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def form_of(path: str) -> dict[str, Any]:
    """A form of one support that the endpoint takes, as httpx's arguments."""
    labels = {"data": {"support_label": "cat"}} if path == "/segment/multiclass" else {}
    return {"files": one_shot_form(), **labels}


async def leave(
    app: FastAPI,
    client: httpx.AsyncClient,
    left: asyncio.Event,
    path: str = "/segment",
) -> list[Any]:
    """Post a request whose client disconnects when ``left`` is set; what the app sends to it."""
    request = client.build_request("POST", path, **form_of(path))
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
