"""A server under attack: how it answers beside, what memory it takes, what it writes."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from threading import Event, Thread

import httpx


@dataclass
class Watch:
    """Asks /healthz ten times a second, and adds up the memory of the process and its children.

    It is a process of its own: beside a test that makes millions of bytes it would wait for those.
    """

    url: str
    pid: int
    latencies: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    failures: int = 0

    def __enter__(self) -> "Watch":
        self._process = subprocess.Popen(
            [sys.executable, __file__, self.url, str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        seen, _ = self._process.communicate()
        self.latencies, self.peak_bytes, self.failures = json.loads(seen)

    @property
    def slow(self) -> float:
        """Seconds of the 99th percentile."""
        return quantiles(self.latencies, n=100)[98]


def look(url: str, pid: int, over: Event) -> tuple[list[float], int, int]:
    """What a Watch knows in the end."""
    latencies, peak_bytes, failures = [], 0, 0
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        while not over.wait(0.1):
            started = time.perf_counter()
            try:
                client.get("/healthz").raise_for_status()
            except httpx.HTTPError:
                failures += 1
            latencies.append(time.perf_counter() - started)
            peak_bytes = max(peak_bytes, held_bytes(pid))
    return latencies, peak_bytes, failures


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


def main() -> None:
    """Look until standard input ends, and print what was seen."""
    over = Event()
    Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print(json.dumps(look(sys.argv[1], int(sys.argv[2]), over)))


if __name__ == "__main__":
    main()
