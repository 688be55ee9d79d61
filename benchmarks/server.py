"""A peer as processes: start, readiness, memory, a pause while others are measured, the end."""

import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from peers import Peer, Shape, environment
from photographs import CONTENT_TYPE
from plan import ROOT, Mode

START_S = 300
STOP_S = 20
_POLL_S = 0.02
_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


class StartError(Exception):
    """A peer did not come up; the message says where its log is."""


class Server:
    """A started peer in a session of its own; ``log`` has its output."""

    def __init__(self, peer: Peer, mode: Mode, shape: Shape, folder: Path) -> None:
        self.peer, self.mode = peer, mode
        self.log = folder / f"{peer.name}-{mode.name}.log"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.started = time.monotonic()
        self.requests = 0
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                peer.command(port, mode, shape),
                env=environment(peer, mode, shape, folder),
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Linux shares out the cores by session before it does by process.
                start_new_session=True,
            )
        self._members: list[psutil.Process] = []

    def wait_ready(self, body: bytes) -> dict[str, float]:
        """Seconds from the start to readiness, and to the first real reply."""
        ready = self._until(lambda: _get(f"{self.url}{self.peer.ready_path}"))
        replied = self._until(lambda: _post(f"{self.url}/segment", body))
        return {"ready_s": ready, "first_reply_s": replied}

    def members(self) -> list[psutil.Process]:
        """The process and all below it, those included that have lost their parent."""
        with suppress(*_GONE):
            root = psutil.Process(self._process.pid)
            known = {process.pid for process in self._members}
            tree = [root, *root.children(recursive=True)]
            self._members += [process for process in tree if process.pid not in known]
        self._members = [process for process in self._members if _alive(process)]
        return self._members

    def memory_bytes(self) -> int:
        """Proportional set size of all processes, files apart: what they share counts once.

        Code is mapped from files that peers share with each other, so that its share would depend
        on who else is running.
        """
        return sum(_proportional_bytes(process) for process in self.members())

    def cpu_seconds(self) -> float:
        """Seconds of CPU that all processes have used."""
        total = 0.0
        for process in self.members():
            with suppress(*_GONE):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def pause(self) -> None:
        """Take no CPU while another peer is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> float:
        """Send SIGTERM to the first process, as a supervisor does; the time of it."""
        self.members()
        now = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return now

    def wait_gone(self) -> dict[str, float | int | None]:
        """Exit code and seconds; what is still there after STOP_S is killed, code None."""
        begun = time.monotonic()
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(STOP_S)
        seconds = time.monotonic() - begun
        _, left = psutil.wait_procs([*self.members()], timeout=5)
        self.kill()
        return {"exit_code": code, "stop_s": seconds, "processes_left": len(left)}

    def kill(self) -> None:
        """End whatever is left, by its id."""
        for process in self.members():
            with suppress(*_GONE):
                process.kill()
        self._process.wait()

    def _until(self, answered: Callable[[], bool]) -> float:
        while not answered():
            if self._process.poll() is not None or self._age() > START_S:
                tail = self.log.read_text(errors="replace")[-1500:]
                raise StartError(f"{self.peer.title} did not start; {self.log} ends with:\n{tail}")
            time.sleep(_POLL_S)
        return self._age()

    def _age(self) -> float:
        return time.monotonic() - self.started

    def _signal(self, number: int) -> None:
        for process in self.members():
            with suppress(*_GONE):
                process.send_signal(number)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def commit() -> str:
    """The checked-out commit, with a plus where the code measured differs from it."""
    changed = _git("status", "--porcelain", "--", "service", "model", "weights", "benchmarks")
    return (_git("rev-parse", "--short=10", "HEAD") or "unknown") + "+" * bool(changed)


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    return run.stdout.strip()


def _get(url: str) -> bool:
    return _answered(urllib.request.Request(url))


def _post(url: str, body: bytes) -> bool:
    return _answered(urllib.request.Request(url, body, {"Content-Type": CONTENT_TYPE}))


def _answered(request: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except _GONE:
        return False


def _proportional_bytes(process: psutil.Process) -> int:
    with suppress(*_GONE, psutil.AccessDenied, FileNotFoundError):
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        own = (line for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
        return sum(int(line.split()[1]) * 1024 for line in own)
    return 0
