"""SIGHUP to ``sgone serve``: every worker reloads changed models; a lost terminal ends it."""

import os
import pty
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pictures import one_shot_form
from processes import TIMEOUT, Server, serving
from service.settings import SHIPPED_CHECKPOINT

pytestmark = pytest.mark.slow
OTHER = SHIPPED_CHECKPOINT.with_name("sgone-efficientnet-lite2-fold0.safetensors")
FLAGS = ("--executor", "torch", "--drain-ms", "0", "--input-side", "97")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED_CHECKPOINT, tmp_path / "model.safetensors"))


def replace(file: Path, source: Path) -> None:
    shutil.copy(source, file.with_suffix(".draft"))
    file.with_suffix(".draft").replace(file)


def wait_for(holds: Callable[[], object], server: Server) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline, "".join(server.log)
        time.sleep(0.1)


def said(server: Server, words: str) -> int:
    return sum(words in line for line in server.log)


def test_a_changed_file_is_reloaded_and_a_broken_one_is_not(file: Path) -> None:
    with serving(file, *FLAGS) as server:
        before = httpx.get(f"{server.url}/info").json()["checkpoint_sha256"]
        replace(file, OTHER)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: said(server, "model model: reloaded"), server)
        after = httpx.get(f"{server.url}/info").json()["checkpoint_sha256"]
        assert after != before
        file.write_bytes(b"nothing")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: said(server, "model model stays as it was"), server)
        response = httpx.post(f"{server.url}/segment", files=one_shot_form(), timeout=TIMEOUT)
        assert response.status_code == 200
        assert httpx.get(f"{server.url}/info").json()["checkpoint_sha256"] == after
        assert server.stop() == 0


@pytest.mark.parametrize("by", ["signal", "request"])
def test_every_worker_reloads(file: Path, by: str) -> None:
    key = "a key of the operator"
    environment = {**os.environ, "SGONE_ADMIN_KEY": key}
    with serving(file, *FLAGS, "--workers", "2", env=environment) as server:
        server.wait_warm(2)
        replace(file, OTHER)
        if by == "signal":
            server.process.send_signal(signal.SIGHUP)
        else:
            reply = httpx.post(
                f"{server.url}/models/model/reload",
                headers={"Authorization": f"Bearer {key}"},
                timeout=TIMEOUT,
            )
            assert reply.status_code == 200, reply.text
        wait_for(lambda: said(server, "model model: reloaded") == 2, server)
        assert server.stop() == 0


def test_where_the_terminal_hangs_up_the_service_ends(checkpoint: Path) -> None:
    ours, its = pty.openpty()
    with serving(checkpoint, "--executor", "torch", "--drain-ms", "0", stdin=its) as server:
        os.close(its)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: said(server, "models' files"), server)
        os.close(ours)
        assert server.stop(signal.SIGHUP) == 0
