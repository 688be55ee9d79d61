"""A server under attack: how it answers beside, what memory it takes, what it writes."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from threading import Event, Thread

import httpx


@dataclass
class Watch:
    """Asks /healthz ten times a second, and adds up the memory of the process and its children."""

    url: str
    pid: int
    latencies: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    failures: int = 0

    def __enter__(self) -> "Watch":
        self._over = Event()
        self._thread = Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def slow(self) -> float:
        """Seconds of the 99th percentile."""
        return quantiles(self.latencies, n=100)[98]

    def _look(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            while not self._over.wait(0.1):
                started = time.perf_counter()
                try:
                    client.get("/healthz").raise_for_status()
                except httpx.HTTPError:
                    self.failures += 1
                self.latencies.append(time.perf_counter() - started)
                self.peak_bytes = max(self.peak_bytes, held_bytes(self.pid))


def held_bytes(pid: int) -> int:
    """What a process and all below it hold, shared pages counted once (PSS)."""
    return sum(_pss(process) for process in [pid, *_children(pid)])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            own = [int(child) for child in task.read_text(encoding="ascii").split()]
        except OSError:
            continue
        found += own + [below for child in own for below in _children(child)]
    return found


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
