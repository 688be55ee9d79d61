"""``sgone serve`` as a process, over real HTTP: start-up, limits, signals, exit codes."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from pictures import encode, file, k_shot_form, one_shot_form, photograph, read_mask
from processes import TIMEOUT, Server, failed_start, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(checkpoint: Path) -> Iterator[Server]:
    """One server for the tests that leave it as it was."""
    with serving(checkpoint, "--max-upload-bytes", "1000000") as server:
        yield server


# Start-up


def test_a_ready_server_segments(server: Server) -> None:
    response = httpx.post(f"{server.url}/segment", files=one_shot_form(), timeout=TIMEOUT)
    assert response.status_code == 200
    assert read_mask(response.content).shape == (37, 51)


def test_several_shots_over_http(server: Server) -> None:
    response = httpx.post(f"{server.url}/segment/kshot", files=k_shot_form(3), timeout=TIMEOUT)
    assert response.status_code == 200


def test_nothing_listens_before_the_network_is_warm(checkpoint: Path) -> None:
    server = Server(checkpoint)
    try:
        statuses = set()
        while statuses != {200}:
            try:
                statuses.add(httpx.get(f"{server.url}/readyz").status_code)
            except httpx.ConnectError:
                continue
        assert any("startup complete" in line for line in server.log)
    finally:
        server.stop(signal.SIGKILL)


def test_a_missing_checkpoint_ends_the_start(tmp_path: Path) -> None:
    line = failed_start("--checkpoint", str(tmp_path / "nowhere.safetensors"), "--port", "0")
    assert line.startswith("Error: checkpoint")


def test_a_truncated_checkpoint_ends_the_start(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "truncated.safetensors"
    path.write_bytes(checkpoint.read_bytes()[:-1000])
    assert "truncated.safetensors" in failed_start("--checkpoint", str(path), "--port", "0")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_ends_the_start(checkpoint: Path) -> None:
    line = failed_start("--checkpoint", str(checkpoint), "--port", "0", SGONE_DEVICE="cuda")
    assert "no CUDA GPU" in line


def test_a_database_that_cannot_be_opened_ends_the_start(checkpoint: Path) -> None:
    flags = ("--checkpoint", str(checkpoint), "--device", "cpu", "--port", "0")
    line = failed_start(*flags, "--database-url", "sqlite:////nowhere/at/all.sqlite3")
    assert line.startswith("Error: database sqlite:////nowhere/at/all.sqlite3 cannot be opened")


def test_an_unknown_variable_ends_the_start() -> None:
    assert "SGONE_MAX_QUEU" in failed_start(SGONE_MAX_QUEU="3")


def test_settings_that_do_nothing_any_more_are_one_warning_in_the_log(checkpoint: Path) -> None:
    server = Server(checkpoint, "--max-batch", "8", "--batch-window-ms", "2.5")
    try:
        server.wait_ready()
        (warning,) = [line for line in server.log if "WARNING" in line]
        assert "SGONE_BATCH_WINDOW_MS, SGONE_MAX_BATCH" in warning
    finally:
        server.stop(signal.SIGKILL)


def test_a_port_in_use_ends_the_start(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    assert f"cannot listen on 127.0.0.1:{port}" in failed_start("--port", port)


def test_a_host_that_does_not_exist_ends_the_start() -> None:
    assert "cannot listen on" in failed_start("--host", "no.such.host.invalid", "--port", "0")


# Limits on the stream


def chunks(count: int) -> Iterator[bytes]:
    yield b'--limit\r\nContent-Disposition: form-data; name="query_image"; filename="q"\r\n\r\n'
    for _ in range(count):
        yield bytes(100_000)


FORM = {"Content-Type": "multipart/form-data; boundary=limit"}


def connected(server: Server) -> socket.socket:
    """A bare connection, for what no HTTP client would send."""
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=TIMEOUT)


def test_a_chunked_upload_over_the_limit_is_answered_413(server: Server) -> None:
    response = httpx.post(
        f"{server.url}/segment", headers=FORM, content=chunks(50), timeout=TIMEOUT
    )
    assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("start", "status"), [(next(chunks(0)), b"413"), (b"no form", b"400")], ids=["form", "no form"]
)
def test_an_endless_upload_is_answered_and_cut_off(
    server: Server, start: bytes, status: bytes
) -> None:
    deadline = time.monotonic() + TIMEOUT
    with connected(server) as connection:
        connection.sendall(
            b"POST /segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=limit\r\n\r\n"
        )
        connection.sendall(b"%x\r\n%b\r\n" % (len(start), start))
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            while time.monotonic() < deadline:
                connection.sendall(b"186a0\r\n" + bytes(100_000) + b"\r\n")
        assert connection.recv(100_000).startswith(b"HTTP/1.1 " + status)


def test_a_declared_length_over_the_limit_is_answered_before_the_body_is_sent(
    server: Server,
) -> None:
    with connected(server) as connection:
        connection.sendall(
            b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 1000001\r\n"
            b"Content-Type: multipart/form-data; boundary=limit\r\n\r\n"
        )
        reply = b""
        while not reply.endswith(b"}"):
            reply += connection.recv(100_000)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"payload_too_large" in reply
    assert b"connection: close" in reply


def test_the_server_goes_on_after_refused_uploads(server: Server) -> None:
    response = httpx.post(f"{server.url}/segment", files=one_shot_form(), timeout=TIMEOUT)
    assert response.status_code == 200


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_leaves_with_exit_code_0(checkpoint: Path, number: int) -> None:
    with serving(checkpoint) as server:
        httpx.post(f"{server.url}/segment", files=one_shot_form(), timeout=TIMEOUT)
        assert server.stop(number) == 0
    assert not any("Traceback" in line for line in server.log)


def test_a_server_stopped_while_it_loads_leaves_with_exit_code_0(checkpoint: Path) -> None:
    server = Server(checkpoint, "--log-level", "debug", until="loading")
    assert server.stop() == 0
    assert not any("Traceback" in line for line in server.log)


def test_an_accepted_request_is_finished_after_sigterm(checkpoint: Path) -> None:
    replies: list[Any] = []
    query = encode(photograph(4500, 6000), "JPEG")

    def post(url: str) -> None:
        parts = [*one_shot_form()[:2], file("query_image", query)]
        replies.append(httpx.post(f"{url}/segment", files=parts, timeout=TIMEOUT))

    with serving(checkpoint, "--log-format", "json") as server:
        client = threading.Thread(target=post, args=(server.url,))
        client.start()
        while "sgone_queue_depth 1.0" not in httpx.get(f"{server.url}/metrics").text:
            assert client.is_alive()
        assert server.stop() == 0
        client.join(TIMEOUT)
    (reply,) = replies
    assert reply.status_code == 200
    assert read_mask(reply.content).shape == (4500, 6000)
