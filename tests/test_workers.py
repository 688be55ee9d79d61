"""``sgone serve --workers 2``: one port, one account, and all ends with the parent."""

import logging
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pictures import one_shot_form
from processes import TIMEOUT, Server, failed_start, serving
from service.serve.supervisor import cores_each, warn_of_memory

pytestmark = pytest.mark.slow
FLAGS = ("--workers", "2", "--drain-ms", "0")


@pytest.fixture
def server(checkpoint: Path) -> Iterator[Server]:
    with two_workers(checkpoint) as server:
        yield server


@pytest.fixture(scope="module")
def lasting_server(checkpoint: Path) -> Iterator[Server]:
    """For the tests that leave it as it was."""
    with two_workers(checkpoint) as server:
        yield server


@contextmanager
def two_workers(checkpoint: Path, **options: Any) -> Iterator[Server]:
    with serving(checkpoint, *FLAGS, **options) as server:
        server.wait_warm(2)
        yield server


def said(server: Server, words: str) -> bool:
    return any(words in line for line in server.log)


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(number) for number in text.split()]


def lives(pid: int) -> bool:
    """Whether a process runs; the dead one of a dead parent may stay a zombie in a container."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def metric(url: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


def segment_often(url: str, count: int) -> Counter[int]:
    """Statuses of requests that are sent at the same time, each over a connection of its own."""

    def segment(_: int) -> int:
        return httpx.post(f"{url}/segment", files=one_shot_form(), timeout=TIMEOUT).status_code

    with ThreadPoolExecutor(8) as threads:
        return Counter(threads.map(segment, range(count)))


def counted(url: str) -> float | None:
    return metric(url, "sgone_requests_total", route="/segment", status="200")


def test_the_metrics_of_any_worker_are_those_of_all(lasting_server: Server) -> None:
    assert segment_often(lasting_server.url, 60) == {200: 60}
    answered = Counter(re.findall(r"POST /segment 200.* worker=(\d)", "".join(lasting_server.log)))
    assert set(answered) == {"1", "2"}
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(counted, [lasting_server.url] * 12)) == {60}
    assert metric(lasting_server.url, "sgone_request_seconds_count", route="/segment") == 60
    assert metric(lasting_server.url, "sgone_stage_seconds_count", stage="decode") == 60
    assert metric(lasting_server.url, "sgone_info", model="tiny") == 1
    assert metric(lasting_server.url, "sgone_queue_depth") == 0
    assert metric(lasting_server.url, "process_resident_memory_bytes") == pytest.approx(
        sum(resident_bytes(pid) for pid in children(lasting_server.process.pid)), rel=0.1
    )
    assert (metric(lasting_server.url, "process_cpu_seconds_total") or 0) > 1


def resident_bytes(pid: int) -> int:
    (kilobytes,) = re.findall(
        r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    )
    return int(kilobytes) * 1024


def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays(server: Server) -> None:
    segment_often(server.url, 20)
    first, second = children(server.process.pid)
    for pid in (first, second):
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: said(server, f"(process {pid}) ended by SIGKILL; another starts"))
    server.wait_warm(4)
    assert set(children(server.process.pid)).isdisjoint({first, second})
    assert counted(server.url) == 20
    assert segment_often(server.url, 20) == {200: 20}
    assert counted(server.url) == 40
    memory = metric(server.url, "process_resident_memory_bytes")
    assert memory == pytest.approx(
        sum(resident_bytes(pid) for pid in children(server.process.pid)), rel=0.1
    )


def test_a_worker_that_ends_alone_leaves_the_address_to_the_others(server: Server) -> None:
    first, _ = children(server.process.pid)
    os.kill(first, signal.SIGTERM)
    statuses: Counter[int] = Counter()
    while not said(server, "ended with exit code 0; another starts now"):
        statuses[httpx.get(f"{server.url}/healthz").status_code] += 1
    assert set(statuses) == {200}


def test_a_worker_that_cannot_start_again_is_tried_later_while_others_serve(
    checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "moved.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    with serving(path, *FLAGS) as server:
        server.wait_warm(2)
        path.rename(tmp_path / "away.safetensors")
        os.kill(children(server.process.pid)[0], signal.SIGKILL)
        wait_for(lambda: said(server, "did not start: checkpoint"))
        assert segment_often(server.url, 4) == {200: 4}
        (tmp_path / "away.safetensors").rename(path)
        server.wait_warm(3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_all_and_leaves_nothing_behind(
    server: Server, number: int
) -> None:
    workers = children(server.process.pid)
    folder = metrics_folder(workers[0])
    assert folder.is_dir()
    assert server.stop(number) == 0
    assert not [pid for pid in workers if lives(pid)]
    assert not folder.exists()
    assert not said(server, "Traceback")


def test_a_ctrl_c_that_reaches_the_workers_too_ends_them_in_order(checkpoint: Path) -> None:
    with two_workers(checkpoint, start_new_session=True) as server:
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(TIMEOUT) == 0
        assert server.stop() == 0
    assert not said(server, "Traceback")


def test_workers_end_in_order_when_their_parent_is_killed(server: Server) -> None:
    workers = children(server.process.pid)
    folder = metrics_folder(workers[0])
    server.stop(signal.SIGKILL)
    wait_for(lambda: not any(lives(pid) for pid in workers))
    assert not folder.exists()
    assert len([line for line in server.log if "Finished server process" in line]) == 2


def test_stopped_while_it_loads_it_leaves_with_exit_code_0(checkpoint: Path) -> None:
    server = Server(checkpoint, *FLAGS, "--log-level", "debug", until="loading")
    workers = children(server.process.pid)
    assert server.stop() == 0
    assert not [pid for pid in workers if lives(pid)]
    assert not said(server, "Traceback")


def metrics_folder(worker: int) -> Path:
    (path,) = {
        link.readlink().parent
        for link in Path(f"/proc/{worker}/fd").iterdir()
        if "/sgone-metrics-" in str(link.readlink())
    }
    return path


def test_what_prevents_the_start_is_said_once(checkpoint: Path, tmp_path: Path) -> None:
    flags = ("--workers", "2", "--device", "cpu", "--port", "0")
    missing = failed_start(*flags, "--checkpoint", str(tmp_path / "nowhere.safetensors"))
    assert missing.startswith("Error: checkpoint")
    database = ("--database-url", "sqlite:////nowhere/at/all.sqlite3")
    line = failed_start(*flags, "--checkpoint", str(checkpoint), *database)
    assert line.startswith("Error: database sqlite:////nowhere/at/all.sqlite3 cannot be opened")


def test_a_port_in_use_ends_the_start_of_several_workers_too(lasting_server: Server) -> None:
    port = lasting_server.url.rpartition(":")[2]
    assert f"cannot listen on 127.0.0.1:{port}" in failed_start("--workers", "2", "--port", port)


def test_the_parent_loads_no_network(lasting_server: Server) -> None:
    loaded = Path(f"/proc/{lasting_server.process.pid}/maps").read_text(encoding="utf-8")
    assert "libtorch" not in loaded
    assert "libopenvino" not in loaded
    for pid in children(lasting_server.process.pid):
        assert "libopenvino" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


@pytest.mark.parametrize(("cores", "workers", "threads"), [(8, 2, 4), (8, 3, 2), (2, 4, 1)])
def test_workers_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert cores_each(workers) == threads


@pytest.mark.parametrize(("device", "lines"), [("cuda", 1), ("cuda:1", 1), ("cpu", 0)])
def test_the_memory_that_workers_take_of_a_gpu_is_said(
    caplog: pytest.LogCaptureFixture, device: str, lines: int
) -> None:
    caplog.set_level(logging.WARNING)
    warn_of_memory(device, 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"3 workers hold 3 networks, and CUDA as often, in the memory of {device}"
    ] * lines
