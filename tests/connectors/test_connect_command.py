"""``sgone connect``: how it starts and ends, and what it says where it cannot."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from service.cli import main
from service.client import SegmentationClient
from studios import LEGACY, FakeStudio

# Whether it imported what it needs not is its last line.
CODE = (
    "import atexit, sys; from service.cli import main; "
    "atexit.register(lambda: print('torch' in sys.modules)); main()"
)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def connected(tool: str, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own, once it answers; gives its address."""
    port = free_port()
    command = [sys.executable, "-c", CODE, "connect", tool, "--port", str(port), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                httpx.get(f"{address}/health").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        yield address, process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.strip()


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{LEGACY}\n", encoding="utf-8")
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_label_studio_is_answered_until_a_signal_without_torch(
    service_url: str,
    service: SegmentationClient,
    studio_url: str,
    fake: FakeStudio,
    token: str,
    tmp_path: Path,
    number: int,
) -> None:
    state = tmp_path / "state" / "notes.sqlite3"
    flags = ["--url", service_url, "--label-studio", studio_url, "--token-file", token]
    with connected("label-studio", *flags, "--state", str(state)) as (address, process):
        reply = httpx.post(f"{address}/setup", json={"schema": fake.label_config}, timeout=60)
        assert reply.json()["model_version"].startswith("sgone-")
        assert ended(process, number) == (0, "False")
    assert state.exists()


@pytest.mark.slow
def test_x_anylabeling_is_answered_until_a_signal_without_torch(
    service_url: str, service: SegmentationClient
) -> None:
    with connected("x-anylabeling", "--url", service_url) as (address, process):
        assert "sg-one" in httpx.get(f"{address}/v1/models", timeout=60).json()["data"]
        assert ended(process, signal.SIGTERM) == (0, "False")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold one access token"),
        ("two tokens", "must hold one access token"),
        ("wrong", "does not take the token (401)"),
    ],
)
def test_a_token_that_cannot_be_used_is_one_sentence(
    studio_url: str, tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    flags = ["--url", "http://127.0.0.1:9", "--label-studio", studio_url, "--token-file", str(path)]
    result = CliRunner().invoke(main, ["connect", "label-studio", *flags])
    (line,) = result.stderr.strip().splitlines()
    assert (result.exit_code, said in line) == (1, True)


def test_an_address_that_is_none_is_one_sentence(token: str) -> None:
    flags = ["--url", "http://127.0.0.1:9", "--label-studio", "studio", "--token-file", token]
    result = CliRunner().invoke(main, ["connect", "label-studio", *flags])
    (line,) = result.stderr.strip().splitlines()
    assert (result.exit_code, "no address of Label Studio" in line) == (1, True)


def test_help_imports_nothing() -> None:
    code = (
        "import sys; from service.cli import main; main(sys.argv[1:], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('httpx', 'numpy', 'fastapi', 'torch')))"
    )
    for arguments in (["connect", "--help"], ["connect", "label-studio", "--help"]):
        command = [sys.executable, "-c", code, *arguments]
        environment = {**os.environ, "PYTHONWARNINGS": "error"}
        assert subprocess.run(command, env=environment, check=False, timeout=120).returncode == 0
