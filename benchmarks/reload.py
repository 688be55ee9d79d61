"""Reloads under load: a real server over real HTTP, its checkpoint replaced again and again.

    PYTHONPATH=$PWD .venv/bin/python benchmarks/reload.py --reloads 6 --clients 4

Each request is counted; one that is not answered 200 by one of the two networks is lost.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).parents[1]
NAMES = ("sgone-efficientnet-lite2-fold0", "sgone-efficientnet-lite2")
KEY = "a key for this benchmark"
TIMEOUT_S = 300
# Of load alone, before the first reload and after each.
REST_S = 3.0


@dataclass(frozen=True)
class Sent:
    """One request: seconds of the monotonic clock, its status or error, and who answered."""

    begun: float
    ended: float
    status: str
    sha256: str


class Load:
    """Clients in closed loops, each with a connection of its own, until they are stopped."""

    def __init__(self, url: str, clients: int) -> None:
        self.sent: list[Sent] = []
        self._url, self._stopped = url, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait for the replies that are due."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        form, headers = example_form(), {"Accept": "application/json"}
        with httpx.Client(timeout=TIMEOUT_S) as client:
            while not self._stopped.is_set():
                begun, sha256 = time.monotonic(), ""
                try:
                    reply = client.post(f"{self._url}/segment", files=form, headers=headers)
                    status = str(reply.status_code)
                    sha256 = reply.json().get("checkpoint_sha256", "")
                except httpx.HTTPError as error:
                    status = type(error).__name__
                self.sent.append(Sent(begun, time.monotonic(), status, sha256))


def example_form() -> dict[str, bytes]:
    """The files of README's first request."""
    files = {"support_image": "astronaut.jpg", "support_mask": "astronaut.mask.png"}
    files["query_image"] = "photographer.jpg"
    return {part: (ROOT / "examples" / name).read_bytes() for part, name in files.items()}


def put(name: str, file: Path) -> None:
    """Replace the model's file by a shipped checkpoint, graphs first."""
    for suffix in (".graphs", ".safetensors"):
        draft = file.with_suffix(".draft")
        shutil.copy(ROOT / "weights" / (name + suffix), draft)
        draft.replace(file.with_suffix(suffix))


def start(file: Path, folder: Path) -> subprocess.Popen[bytes]:
    """``sgone serve`` with the file as its one model; encodings are not cached."""
    settings = {
        "CHECKPOINT": file,
        "PORT": 0,
        "ADMIN_KEY": KEY,
        "PROTOTYPE_CACHE_BYTES": 0,
        "DATABASE_URL": f"sqlite:///{folder}/sets.sqlite3",
    }
    environment = {**os.environ, **{f"SGONE_{key}": str(value) for key, value in settings.items()}}
    command = [sys.executable, "-c", "from service.cli import main; main()", "serve"]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stderr=log, cwd=ROOT)


def ready_url(log: Path) -> str:
    """Wait until the log says where the server is."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if found := re.search(r"ready: open (\S+)", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.1)
    raise SystemExit("the server is not ready")


def reload_often(url: str, file: Path, count: int) -> list[tuple[float, float]]:
    """When each reload began and ended."""
    spans = []
    for number in range(count):
        time.sleep(REST_S)
        put(NAMES[number % 2], file)
        begun = time.monotonic()
        address, headers = f"{url}/models/{file.stem}/reload", {"Authorization": f"Bearer {KEY}"}
        reply = httpx.post(address, headers=headers, timeout=TIMEOUT_S)
        reply.raise_for_status()
        spans.append((begun, time.monotonic()))
    time.sleep(REST_S)
    return spans


def summarise(sent: Sequence[Sent], spans: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Counts, and latencies while a model was reloaded and while none was."""
    during = [one for one in sent if any(one.begun < b and one.ended > a for a, b in spans)]
    apart = [one for one in sent if one not in set(during)]
    return {
        "requests": len(sent),
        "statuses": dict(Counter(one.status for one in sent)),
        "answered_by": dict(Counter(one.sha256[:12] for one in sent)),
        "reload_s": [round(b - a, 2) for a, b in spans],
        "latency_ms": {"reloading": latencies(during), "otherwise": latencies(apart)},
    }


def latencies(sent: Sequence[Sent]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    times = [(one.ended - one.begun) * 1e3 for one in sent]
    figures = {f"p{share}": float(np.percentile(times, share)) for share in (50, 95, 100)}
    return {"count": len(times), **{name: round(value, 1) for name, value in figures.items()}}


def main() -> None:
    """Print the summary as JSON; exit with code 1 where a request is lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=6)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "model.safetensors"
        put(NAMES[1], file)
        server = start(file, folder)
        try:
            url = ready_url(folder / "server.log")
            load = Load(url, options.clients)
            spans = reload_often(url, file, options.reloads)
            load.stop()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(TIMEOUT_S)
    summary = summarise(load.sent, spans)
    print(json.dumps(summary, indent=2))
    sys.exit(summary["statuses"].keys() != {"200"})


if __name__ == "__main__":
    main()
