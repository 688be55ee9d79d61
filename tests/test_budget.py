"""The bodies of all requests together have one budget, which is asked before a body is read."""

import asyncio

import pytest

from service.errors import BodiesFullError, PayloadTooLargeError, UnsupportedMediaTypeError
from service.http.budget import Budget
from service.http.guard import Guard

MESSAGE = {"type": "http.request", "body": b"x" * 60, "more_body": True}


def request(path="/segment", *headers):
    pairs = [(name.encode(), str(value).encode()) for name, value in headers]
    return {"type": "http", "path": path, "method": "POST", "headers": pairs}


def guard(app, memory=100, disk=100):
    return Guard(
        app,
        max_upload_bytes=90,
        max_bytes_of={"/segment/batch": 90},
        patience_ms=1000,
        memory=Budget(memory, "memory"),
        disk=Budget(disk, "disk"),
    )


async def nothing_sent(_):
    raise AssertionError("nothing is sent here")


async def sixty():
    return MESSAGE


async def unread():
    raise AssertionError("the body is not read")


def run(guarded, scope, receive=sixty):
    return asyncio.run(guarded(scope, receive, nothing_sent))


async def read_once(scope, receive, send):
    await receive()


def test_a_body_that_would_not_fit_is_refused_before_it_is_read() -> None:
    guarded = guard(read_once)
    guarded.memory.take(30)
    with pytest.raises(BodiesFullError) as told:
        run(guarded, request("/segment", ("content-length", 80)), unread)
    assert told.value.headers["Retry-After"] == "1"
    assert told.value.status == 503


def test_a_body_of_unknown_length_is_refused_when_it_no_longer_fits() -> None:
    guarded = guard(read_once)
    guarded.memory.take(50)
    with pytest.raises(BodiesFullError):
        run(guarded, request("/segment", ("transfer-encoding", "chunked")))


def test_a_body_is_let_go_of_with_its_request_however_that_ends() -> None:
    guarded = guard(read_once)
    run(guarded, request("/segment", ("content-length", 60)))
    assert guarded.memory.held == 0

    async def fail(scope, receive, send):
        await receive()
        raise RuntimeError

    failing = guard(fail)
    with pytest.raises(RuntimeError):
        run(failing, request("/segment", ("content-length", 60)))
    assert failing.memory.held == 0


def test_bodies_on_disk_have_a_budget_of_their_own() -> None:
    guarded = guard(read_once)
    guarded.memory.take(100)
    run(guarded, request("/segment/batch", ("content-length", 60)))
    guarded.disk.take(100)
    with pytest.raises(BodiesFullError, match="disk"):
        run(guarded, request("/segment/batch", ("content-length", 60)), unread)


def test_a_slow_client_that_has_sent_little_keeps_nobody_out() -> None:
    async def two(scope, receive, send):
        await receive()
        other = request("/segment", ("content-length", 30))
        await guarded_other(other, sixty_less, nothing_sent)

    async def sixty_less():
        return {"type": "http.request", "body": b"x" * 30, "more_body": False}

    guarded = guard(two)
    guarded_other = Guard(read_once, 90, {}, 1000, memory=guarded.memory, disk=guarded.disk)
    run(guarded, request("/segment", ("content-length", 90)))


def test_a_body_above_its_own_limit_is_told_so_first() -> None:
    with pytest.raises(PayloadTooLargeError):
        run(guard(read_once), request("/segment", ("content-length", 1000)), unread)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP"])
def test_a_compressed_body_is_refused_unread(encoding) -> None:
    headers = (("content-encoding", encoding), ("content-length", 10))
    with pytest.raises(UnsupportedMediaTypeError, match=encoding):
        run(guard(read_once), request("/segment", *headers), unread)


def test_a_disk_without_room_takes_no_body() -> None:
    budget = Budget(100, "disk", room=lambda: 50)
    budget.check(50)
    with pytest.raises(BodiesFullError):
        budget.check(51)
