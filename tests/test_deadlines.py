"""Requests whose time is over, seen through the app with a real engine, and over real HTTP."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gated import TIMEOUT, GatedEngine, form_of, post, run, start
from pictures import encode, file, grey_mask, one_shot_form, photograph
from service.app import create_app
from service.http.deadline import HEADER, Deadlines
from service.inference.engine import Engine
from service.settings import Settings
from serving import served

SOON = {HEADER: "0.05"}


def test_what_waits_at_its_deadline_is_answered_504_and_never_computed(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        running = await start(client, engine)
        late = await post(client, SOON)
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert "0.05 s" in late.json()["detail"]
        assert app.state.runtime.queue.waiting == 0
        engine.gate.set()
        assert (await running).status_code == 200
        assert (await post(client)).status_code == 200
        assert engine.computed == 2
        metrics = (await client.get("/metrics")).text
        assert 'sgone_requests_total{method="POST",route="/segment",status="504"} 1.0' in metrics
        assert 'sgone_problems_total{code="deadline_exceeded"} 1.0' in metrics

    run(test, settings)


@pytest.mark.parametrize("path", ["/segment", "/segment/kshot", "/segment/multiclass"])
def test_what_runs_at_its_deadline_is_answered_at_once(settings: Settings, path: str) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        late = await client.post(path, **form_of(path), headers=SOON)
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert late.json()["request_id"] == late.headers["x-request-id"]
        assert not engine.gate.is_set()
        engine.gate.set()
        assert (await post(client)).status_code == 200

    run(test, settings)


def test_what_is_decoded_at_its_deadline_is_answered_at_once_and_never_computed(
    settings: Settings,
) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        engine.gate.set()
        engine.decode_gate.clear()
        assert (await post(client, SOON)).status_code == 504
        engine.decode_gate.set()
        assert (await post(client)).status_code == 200
        assert engine.computed == 1

    run(test, settings)


def test_what_is_rendered_at_its_deadline_is_answered_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        engine.gate.set()
        rendering = threading.Event()
        restore = engine.restore

        def wait(*arguments: Any) -> Any:
            assert rendering.wait(TIMEOUT)
            return restore(*arguments)

        monkeypatch.setattr(engine, "restore", wait)
        assert (await post(client, {HEADER: "2"})).status_code == 504
        assert engine.computed == 1
        rendering.set()

    run(test, settings)


def test_without_a_header_the_limit_is_the_services(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        late = await post(client)
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert "0.05 s" in late.json()["detail"]

    run(test, settings, request_timeout_ms=50)


def test_the_services_limit_caps_the_clients(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        assert (await post(client, {HEADER: "1000"})).status_code == 504

    run(test, settings, request_timeout_ms=50)


@pytest.mark.parametrize(
    "nonsense", ["", "0", "0.0", "-1", "soon", "1e3", "inf", "nan", "1,5", "2s", "9" * 400]
)
@pytest.mark.parametrize("path", ["/segment", "/segment/batch"])
def test_a_limit_that_is_no_time_is_refused(settings: Settings, path: str, nonsense: str) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        refused = await client.post(path, **form_of(path), headers={HEADER: nonsense})
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (422, "invalid_request")
        assert problem["field"] == HEADER
        assert "send seconds above 0" in problem["detail"]
        assert engine.computed == 0

    run(test, settings)


def test_each_query_of_a_batch_has_the_limit_to_itself(settings: Settings) -> None:
    async def test(app: FastAPI, engine: GatedEngine, client: httpx.AsyncClient) -> None:
        form = [*one_shot_form(), file("query_image", encode(photograph(40, 30, seed=2)))]
        headers = {HEADER: "2", "Accept": "application/x-ndjson"}
        reply = asyncio.create_task(client.post("/segment/batch", files=form, headers=headers))
        for _ in form[2:]:  # the second is decoded once the first is given up
            await asyncio.to_thread(engine.decoding.acquire, timeout=TIMEOUT)
        engine.gate.set()
        lines = (await reply).text.splitlines()
        assert '"code":"deadline_exceeded"' in lines[0]
        assert '"status":"ok"' in lines[1]

    run(test, settings)


# The middleware alone

REPLY = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"", "more_body": False},
]


def through(app: Any, path: str = "/segment") -> list[Any]:
    """What an app replies to a request of 20 ms whose body is there."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(HEADER.lower().encode(), b"0.02")]
    scope = {"type": "http", "path": path, "headers": headers, "state": {"request_id": "1"}}
    deadlines = Deadlines(app, 30_000, "/segment", {"/segment/batch"})
    asyncio.run(asyncio.wait_for(deadlines(scope, receive, send), TIMEOUT))
    return sent


def test_a_reply_that_has_begun_is_finished() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(REPLY[0])
        await asyncio.sleep(0.1)
        await send(REPLY[1])

    assert through(app) == REPLY


@pytest.mark.parametrize("path", ["/supports", "/segment/batch"])
def test_elsewhere_and_for_batches_the_clients_limit_is_not_the_requests(path: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(0.1)
        for message in REPLY:
            await send(message)

    assert through(app, path) == REPLY


def test_a_reply_that_begins_too_late_is_the_deadlines() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(TIMEOUT)
        except asyncio.CancelledError:
            for message in REPLY:
                await send(message)

    assert [m.get("status") for m in through(app)] == [504, None]


def test_another_timeout_is_not_taken_for_the_deadline() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError("of the database")

    with pytest.raises(TimeoutError, match="of the database"):
        through(app)


# Over real HTTP


@pytest.fixture
def limit_ms() -> int:
    """For bodies that never end, and so need no time for work."""
    return 300


@pytest.fixture
def url(settings: Settings, engine: Engine, limit_ms: int) -> Iterator[str]:
    limited = settings.model_copy(update={"request_timeout_ms": limit_ms})
    with served(create_app(limited, engine)) as url:
        yield url


def body_of(form: Any) -> tuple[bytes, dict[str, str]]:
    request = httpx.Request("POST", "http://service/segment", files=form)
    return request.read(), dict(request.headers)


def connected(url: str, head: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=TIMEOUT)
    connection.sendall(head.encode() + b"\r\n\r\n")
    return connection


def read_all(connection: socket.socket) -> bytes:
    reply = b""
    while chunk := connection.recv(65536):
        reply += chunk
    return reply


@pytest.mark.parametrize(
    ("path", "header", "status", "code"),
    [
        ("/segment", "", b"408", b"upload_too_slow"),
        ("/segment/batch", "", b"408", b"upload_too_slow"),
        ("/supports", "", b"408", b"upload_too_slow"),
        ("/segment", f"\r\n{HEADER}: 0.1", b"504", b"deadline_exceeded"),
    ],
)
def test_a_body_that_stops_arriving_is_answered_and_cut_off(
    url: str, path: str, header: str, status: bytes, code: bytes
) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        f"Content-Type: multipart/form-data; boundary=b{header}"
    )
    with connected(url, head) as connection:
        connection.sendall(b"--b\r\n")
        reply = read_all(connection)
    assert reply.startswith(b"HTTP/1.1 " + status)
    assert code in reply
    assert b"connection: close" in reply


def test_whoever_is_late_or_leaves_is_not_computed_behind_a_long_request(
    settings: Settings,
) -> None:
    engine = GatedEngine.load(settings)
    assert isinstance(engine, GatedEngine)
    replies: list[int] = []
    with served(create_app(settings, engine)) as url:
        engine.entered, engine.computed = threading.Semaphore(0), 0
        engine.gate.clear()
        address, form = f"{url}/segment", one_shot_form()
        long = threading.Thread(
            target=lambda: replies.append(
                httpx.post(address, files=form, timeout=TIMEOUT).status_code
            )
        )
        long.start()
        assert engine.entered.acquire(timeout=TIMEOUT)
        late = httpx.post(address, files=form, headers=SOON)
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(address, files=form, timeout=httpx.Timeout(TIMEOUT, read=0.2))
        while 'status="499"' not in httpx.get(f"{url}/metrics").text:
            assert long.is_alive()
        engine.gate.set()
        long.join(TIMEOUT)
        assert replies == [200]
        assert engine.computed == 1


@pytest.mark.slow
@pytest.mark.parametrize("limit_ms", [3000])
def test_a_slow_line_is_served_as_long_as_its_body_moves(url: str, limit_ms: int) -> None:
    """The upload takes longer than the limit, which the work has from the end of the body on."""
    noise = encode(photograph(300, 400, seed=3), "BMP")
    form = [file("support_image", encode(photograph())), file("support_mask", grey_mask())]
    body, headers = body_of([*form, file("query_image", noise)])
    pieces = [body[place : place + len(body) // 8] for place in range(0, len(body), len(body) // 8)]
    pause = threading.Event()

    def slowly() -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            pause.wait(2 * limit_ms / 1e3 / len(pieces))

    sent = {name: headers[name] for name in ("content-type", "content-length")}
    reply = httpx.post(f"{url}/segment", content=slowly(), headers=sent, timeout=TIMEOUT)
    assert reply.status_code == 200


def test_a_body_that_only_drips_is_cut_off(url: str) -> None:
    """A byte now and then is no upload; the bytes that came buy no time worth speaking of."""
    stop = threading.Event()
    # Each byte that drips is one more of the form's first boundary, never a broken form.
    head = (
        "POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        f"Content-Type: multipart/form-data; boundary={'-' * 70}"
    )
    with connected(url, head) as connection:

        def drip() -> None:
            with suppress(OSError):
                while not stop.wait(0.1):
                    connection.sendall(b"-")

        dripping = threading.Thread(target=drip)
        dripping.start()
        reply = connection.recv(65536)
        stop.set()
        dripping.join()
    assert reply.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("limit_ms", [30_000])
def test_a_request_in_time_is_served(url: str) -> None:
    reply = httpx.post(f"{url}/segment", files=one_shot_form(), headers={HEADER: "25.5"})
    assert reply.status_code == 200
