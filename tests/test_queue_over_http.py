"""A full queue, clients that leave, and shutdown, seen through the app with a real engine."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from gated import TIMEOUT, GatedEngine, leave, post, run, start, until
from pictures import one_shot_form
from service.settings import Settings


def test_a_full_queue_is_answered_429_with_the_time_to_wait(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        running = await start(client, engine)
        waiting = asyncio.create_task(post(client))
        await until(lambda: app.state.runtime.queue.waiting == 1)
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


def test_what_waits_for_a_client_that_has_left_is_never_computed(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        running = await start(client, engine)
        left = asyncio.Event()
        leaving = asyncio.create_task(leave(app, client, left))
        await until(lambda: app.state.runtime.queue.waiting == 1)
        left.set()
        await leaving
        assert app.state.runtime.queue.waiting == 0
        engine.gate.set()
        assert (await running).status_code == 200
        await post(client)
        assert engine.computed == 2
        metrics = (await client.get("/metrics")).text
        assert 'sgone_requests_total{method="POST",route="/segment",status="499"} 1.0' in metrics

    run(test, settings)


each_path = pytest.mark.parametrize("path", ["/segment", "/segment/kshot", "/segment/multiclass"])


@each_path
def test_a_client_that_leaves_while_its_request_is_decoded_is_not_computed(
    settings: Settings, path: str
) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        engine.gate.set()
        engine.decode_gate.clear()
        left = asyncio.Event()
        leaving = asyncio.create_task(leave(app, client, left, path))
        await asyncio.to_thread(engine.decoding.acquire, timeout=TIMEOUT)
        left.set()
        await leaving
        assert app.state.runtime.queue.waiting == 0
        engine.decode_gate.set()
        assert (await post(client)).status_code == 200
        assert engine.computed == 1

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
        app.state.runtime.queue.drain()
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
        await until(lambda: app.state.runtime.queue.waiting == 3)
        assert "sgone_queue_depth 3.0" in (await client.get("/metrics")).text
        engine.gate.set()
        await asyncio.gather(*requests)
        assert "sgone_queue_depth 0.0" in (await client.get("/metrics")).text

    run(test, settings)
