"""``sgone serve`` in processes of its own, as an operator runs it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

TIMEOUT = 60
COMMAND = [sys.executable, "-c", "from service.cli import main; main()", "serve"]


class Server:
    """A running ``sgone serve`` on a free port, its log read as it comes."""

    def __init__(
        self, checkpoint: Path, *flags: str, until: str = "listening", **options: Any
    ) -> None:
        arguments = ["--checkpoint", str(checkpoint), "--device", "cpu", "--threads", "1"]
        self.process = subprocess.Popen(
            [*COMMAND, *arguments, "--port", "0", *flags],
            stderr=subprocess.PIPE,
            encoding="utf-8",
            **options,
        )
        assert self.process.stderr is not None
        self.log: list[str] = []
        for line in self.process.stderr:
            self.log.append(line)
            if until in line:
                break
        self.url = "".join(re.findall(r"http://127\.0\.0\.1:\d+", self.log[-1]))
        self._reader = threading.Thread(target=self.log.extend, args=(self.process.stderr,))
        self._reader.start()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=TIMEOUT).status_code == 200:
                    return
            except httpx.ConnectError:
                time.sleep(0.05)
        pytest.fail("never ready: " + "".join(self.log))

    def wait_warm(self, workers: int) -> None:
        """Until as many workers as that have begun to serve, ended ones included."""
        deadline = time.monotonic() + TIMEOUT
        while sum("startup complete" in line for line in self.log) < workers:
            assert time.monotonic() < deadline, "".join(self.log)
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextmanager
def serving(checkpoint: Path, *flags: str, **options: Any) -> Iterator[Server]:
    """A server that is ready, and killed at the end where it has not been stopped."""
    server = Server(checkpoint, *flags, **options)
    try:
        server.wait_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def failed_start(*flags: str, **environment: str) -> str:
    """The one line that a server says when it does not start."""
    result = subprocess.run(
        [*COMMAND, *flags],
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]
