"""What a connection may do before a request is the app's: real sockets against a real server."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
import uvicorn

from service.http.protocol import MAX_HEAD_BYTES, BoundedProtocol, Connections

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAM\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


async def echo(scope, receive, send):
    """Answers with the body, after the request's path."""
    if scope["type"] != "http":
        return
    body, more = scope["path"].encode() + b"|", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"] == "/large":
        body = bytes(64 << 20)
    length = str(len(body)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(**bounds) -> Iterator[tuple[int, list]]:
    """A port, and what was refused there: (status, code)."""
    refused: list[tuple[int, str]] = []
    limits = {"most": 64, "write_seconds": 30.0, "head_seconds": 30.0} | bounds
    connections = Connections(on_refused=lambda *told: refused.append(told), **limits)
    config = uvicorn.Config(
        echo,
        http=partial(BoundedProtocol, connections=connections),
        port=0,
        log_config=None,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield server.servers[0].sockets[0].getsockname()[1], refused
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    with serving() as (port, _):
        yield port


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(20)
    return connection


def ask(port: int, *pieces: bytes) -> bytes:
    """All that the server says to these pieces until it closes."""
    with connect(port) as connection:
        for piece in pieces:
            with_patience(connection.sendall, piece)
        return rest(connection)


def with_patience(send, piece: bytes) -> None:
    """A server that has said no may close before it has read all."""
    with suppress(ConnectionResetError, BrokenPipeError):
        send(piece)


def rest(connection: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            said += piece
    return said


def post(headers: bytes, body: bytes, path: bytes = b"/a") -> bytes:
    length = b"" if CHUNKED in headers else b"Content-Length: %d\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + headers + length + b"\r\n" + body


LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def problem(said: bytes) -> dict:
    assert b"application/problem+json" in said
    return json.loads(said.split(b"\r\n\r\n", 1)[1])


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0", b"anything"])
def test_an_offered_upgrade_is_ignored(port: int, protocol: bytes) -> None:
    said = ask(port, post(b"Upgrade: " + protocol + b"\r\n" + OFFER, b"hello"), LAST)
    assert said.count(b"HTTP/1.1 200") == 2
    assert b"/a|hello" in said and b"/last|" in said


def test_an_offered_upgrade_leaves_a_chunked_body_whole(port: int) -> None:
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    said = ask(port, post(b"Upgrade: h2c\r\n" + OFFER + CHUNKED, body), LAST)
    assert b"/a|hello world" in said and b"/last|" in said


def test_an_offered_upgrade_without_a_body_is_answered(port: int) -> None:
    said = ask(port, b"GET /b HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n" + OFFER + b"\r\n", LAST)
    assert b"/b|" in said and b"/last|" in said


def test_a_body_behind_an_offered_upgrade_is_no_request_of_its_own(port: int) -> None:
    inner = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    request = post(b"Upgrade: h2c\r\n" + OFFER, inner)
    head, _, body = request.partition(b"\r\n\r\n")
    with connect(port) as connection:
        connection.sendall(head + b"\r\n\r\n")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        connection.sendall(body + LAST)
        said = rest(connection)
    assert said.count(b"HTTP/1.1 200") == 2
    assert b"/a|GET /smuggled" in said


def test_an_upgrade_is_ignored_behind_another_request(port: int) -> None:
    chunked = post(CHUNKED, b"1\r\nx\r\n0\r\n\r\n", b"/one")
    said = ask(port, chunked + post(b"Upgrade: h2c\r\n" + OFFER, b"two", b"/two") + LAST)
    assert b"/one|x" in said and b"/two|two" in said and b"/last|" in said


def test_connect_is_refused_and_the_connection_closed(port: int) -> None:
    said = ask(port, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert problem(said)["code"] == "malformed_request"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nA: " + b"a" * (3 * MAX_HEAD_BYTES),
        b"GET /?" + b"a" * (3 * MAX_HEAD_BYTES),
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000,
        b"\r\n" * (3 * MAX_HEAD_BYTES),
        post(CHUNKED, b"0\r\nA: " + b"a" * (3 * MAX_HEAD_BYTES)),
        post(CHUNKED, b"0\r\n" + b"a: b\r\n" * 1000),
        post(CHUNKED, b"1;" + b"a" * (3 * MAX_HEAD_BYTES)),
    ],
    ids=["value", "address", "headers", "blank lines", "trailer", "trailers", "extension"],
)
def test_a_head_without_an_end_is_cut_off(port: int, head: bytes) -> None:
    pieces = [head[start : start + 8192] for start in range(0, len(head), 8192)]
    said = ask(port, *pieces)
    assert said == b"" or problem(said)["code"] in ("head_too_large", "malformed_request")


def test_a_head_of_a_sensible_size_is_taken(port: int) -> None:
    headers = b"".join(b"h%d: %s\r\n" % (number, b"a" * 300) for number in range(100))
    assert b"/c|" in ask(port, b"GET /c HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n", LAST)


def test_a_head_that_drips_is_cut_off_with_a_problem() -> None:
    with serving(head_seconds=0.3) as (port, refused), connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX")
        assert problem(rest(connection))["code"] == "head_too_slow"
        assert refused == [(408, "head_too_slow")]


def test_a_second_head_that_drips_is_cut_off_too() -> None:
    with serving(head_seconds=0.3) as (port, _), connect(port) as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"/a|" in connection.recv(1 << 16)
        connection.sendall(b"GET /a HTTP/1.1\r\nX")
        assert problem(rest(connection))["code"] == "head_too_slow"


def test_a_silent_connection_is_closed_without_a_word() -> None:
    with serving(head_seconds=0.3) as (port, refused), connect(port) as connection:
        assert rest(connection) == b""
        assert refused == [(408, "head_too_slow")]


def test_a_body_may_take_longer_than_a_head() -> None:
    with serving(head_seconds=0.3) as (port, _), connect(port) as connection:
        connection.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        connection.settimeout(0.6)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        connection.sendall(b"b")
        assert b"/slow|ab" in connection.recv(1 << 16)


def test_a_reply_that_nobody_reads_is_given_up() -> None:
    with serving(write_seconds=0.3) as (port, refused), connect(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(200):
            if refused:
                break
            threading.Event().wait(0.05)
        assert refused == [(499, "reply_unread")]


def test_a_reply_that_is_read_slowly_is_sent_whole() -> None:
    with serving(write_seconds=1.0) as (port, refused), connect(port) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read = 0
        while piece := connection.recv(1 << 20):
            read += len(piece)
            threading.Event().wait(0.02)
        assert read > 64 << 20
        assert not refused


def test_connections_beyond_the_bound_are_told_to_wait() -> None:
    with serving(most=4) as (port, refused), connect(port), connect(port):
        said = ask(port)  # one address may hold half of all
        assert problem(said)["code"] == "too_many_connections"
        assert b"retry-after" in said.lower()
        assert refused == [(503, "too_many_connections")]


def test_a_closed_connection_makes_room() -> None:
    with serving(most=2) as (port, refused):
        for _ in range(5):
            assert b"/last|" in ask(port, LAST)
        assert not refused


def test_what_is_no_http_gets_a_problem_with_a_code(port: int) -> None:
    said = ask(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ")
    assert problem(said)["code"] == "malformed_request"


def test_a_request_with_two_names_of_the_service_is_refused(port: int) -> None:
    said = ask(port, b"GET /a HTTP/1.1\r\nHost: x\r\nHost: evil.example\r\n\r\n")
    assert problem(said)["code"] == "malformed_request"


def test_nonsense_behind_a_request_leaves_its_reply_alone(port: int) -> None:
    said = ask(port, b"GET /d HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01nonsense\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"/d|" in said


def test_a_body_that_breaks_its_framing_gets_a_problem(port: int) -> None:
    said = ask(port, post(CHUNKED, b"zz\r\n"))
    assert problem(said)["code"] == "malformed_request"
