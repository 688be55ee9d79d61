"""Faults of the network in a running service: crashes of its thread, and want of memory."""

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from pictures import one_shot_form
from service.app import create_app
from service.inference.engine import Engine, Prediction, Task
from service.inference.thread import MAX_CRASHES
from service.settings import Settings
from serving import served

TIMEOUT = 60
CRASHING_SERVE = """
from service.cli import main
from service.inference.engine import Engine

run, calls = Engine.run, iter(range(100))

def crash_once_warm(engine, task):
    if next(calls) >= 2:
        raise SystemExit(3)
    return run(engine, task)

Engine.run = crash_once_warm
main()
"""


class FaultyEngine(Engine):
    """The engine, whose next run raises ``fault`` where there is one."""

    fault: BaseException | None = None

    def run(self, task: Task) -> Prediction:
        """Raise or compute."""
        fault, self.fault = self.fault, None
        if fault:
            raise fault
        return super().run(task)


@pytest.fixture
def engine(settings: Settings) -> FaultyEngine:
    engine = FaultyEngine.load(settings)
    assert isinstance(engine, FaultyEngine)
    return engine


@pytest.fixture
def url(settings: Settings, engine: FaultyEngine) -> Iterator[str]:
    with served(create_app(settings, engine)) as url:
        yield url


def post(url: str) -> httpx.Response:
    return httpx.post(f"{url}/segment", files=one_shot_form(), timeout=TIMEOUT)


def metric(url: str, name: str) -> float:
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{url}/metrics").text, re.M)
    return float(value)


def test_a_service_survives_the_crash_of_its_inference_thread(
    url: str, engine: FaultyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    engine.fault = SystemExit("secret")
    failed = post(url)
    assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
    assert "secret" not in failed.text
    assert post(url).status_code == 200
    assert httpx.get(f"{url}/readyz").status_code == 200
    assert metric(url, "sgone_inference_crashes_total") == 1
    (record,) = caplog.records
    assert record.exc_info
    assert "the inference thread has crashed" in record.getMessage()


def test_a_service_that_keeps_crashing_is_not_ready_and_calls_for_its_end(
    settings: Settings, engine: FaultyEngine
) -> None:
    app, ended = create_app(settings, engine), threading.Event()
    app.state.on_end = ended.set
    with served(app) as url:
        for _ in range(MAX_CRASHES):
            engine.fault = SystemExit()
            assert post(url).status_code == 500
        assert ended.wait(TIMEOUT)
        for response in (post(url), httpx.get(f"{url}/readyz")):
            assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert httpx.get(f"{url}/healthz").status_code == 200


@pytest.mark.slow
def test_a_process_that_keeps_crashing_ends_with_exit_code_1(checkpoint: Path) -> None:
    flags = ["--checkpoint", str(checkpoint), "--device", "cpu", "--threads", "1", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", CRASHING_SERVE, "serve", *flags],
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stderr
        try:
            log = _lines_until(process.stderr, "startup complete")
            url = "".join(re.findall(r"http://127\.0\.0\.1:\d+", log))
            assert [post(url).status_code for _ in range(MAX_CRASHES)] == [500] * MAX_CRASHES
            log = process.stderr.read()
            assert process.wait(TIMEOUT) == 1
        finally:
            process.kill()
    assert log.count("the inference thread has crashed; another takes its place") == 2
    assert "CRITICAL" in log
    assert "SystemExit: 3" in log


def _lines_until(stream: Any, text: str) -> str:
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            break
    return "".join(lines)


def test_a_request_that_finds_no_memory_is_told_so(
    url: str, engine: FaultyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    for fault in (torch.OutOfMemoryError("CUDA out of memory"), MemoryError()):
        engine.fault = fault
        failed = post(url)
        assert (failed.status_code, failed.json()["code"]) == (503, "out_of_memory")
        assert "send smaller or fewer images" in failed.json()["detail"]
        assert "retry-after" not in failed.headers
    assert post(url).status_code == 200
    assert metric(url, 'sgone_problems_total{code="out_of_memory"}') == 2


def test_a_photograph_that_finds_no_memory_is_told_so(
    url: str, engine: FaultyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(engine, "prepare", fail)
        failed = post(url)
    assert (failed.status_code, failed.json()["code"]) == (503, "out_of_memory")
    assert post(url).status_code == 200
