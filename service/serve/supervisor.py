"""The parent of several workers: starts them, replaces those that die, and ends them together.

uvicorn's Multiprocess cannot keep what docs/operating.md promises. It starts all workers at once:
where none can start, each says why, and the exit code is 0. Where one cannot start again it ends
the others. It closes its listener after its last worker, so that newcomers hang and are not
refused. It waits without end for a late worker, and leaves its workers behind where it is killed.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType

from service.errors import SettingsError
from service.metrics.joint import forget_gauges, joint_metrics
from service.serve.hangup import reaction, release_hangups
from service.serve.listener import browser_url
from service.serve.process import grace_seconds
from service.serve.workers import Failed, Lifeline, Ready, Worker
from service.settings import Settings

_log = logging.getLogger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_HELD = (*_SIGNALS, signal.SIGHUP)
_TICK_SECONDS = 0.5
# Before a worker that failed to start is tried again, while others serve.
_PAUSE_SECONDS = 5
# How much longer than the drain and the grace of the last requests the end may take.
_SPARE_SECONDS = 5


def supervise(settings: Settings, listener: socket.socket) -> None:
    """Serve with several workers until SIGTERM or SIGINT. Exit with code 1 if one must be killed.

    Raises SettingsError where no worker can start. This process imports neither torch nor the app.
    """
    if not hasattr(os, "fork"):
        raise SettingsError("several workers need fork, which this system lacks; use --workers 1")
    if settings.threads is None:
        settings = settings.model_copy(update={"threads": cores_each(settings.workers)})
    with joint_metrics():
        supervisor = Supervisor(settings, listener)
        for number in _SIGNALS:
            signal.signal(number, supervisor.stop)
        react = reaction(supervisor.hang_up, lambda: supervisor.stop(signal.SIGTERM, None))
        signal.signal(signal.SIGHUP, lambda number, frame: react())
        release_hangups()
        supervisor.run()


class Supervisor:
    """Holds the workers. All accept from one listener, so that none takes a connection with it."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._lifeline = Lifeline()
        self._workers: dict[int, Worker] = {}
        # The first starts alone, so that what prevents the start is said once.
        self._due = {1: 0.0}
        self._serving = False
        self._deadline: float | None = None

    def run(self) -> None:
        """Start and replace workers, until all have ended after ``stop``."""
        try:
            while self._workers or self._due:
                self._start_due()
                ready = wait([worker.reports for worker in self._workers.values()], _TICK_SECONDS)
                for worker in [w for w in self._workers.values() if w.reports in ready]:
                    self._hear(worker)
                self._kill_late()
        finally:
            self._lifeline.let_go()
        _log.info("all workers have ended")

    def stop(self, number: int, frame: FrameType | None) -> None:
        """End the workers. The last of them that closes the listener gives up the address."""
        if self._deadline is None:
            _log.info("ending the workers")
            grace = self._settings.drain_ms / 1e3 + grace_seconds(self._settings)
            self._deadline = time.monotonic() + grace + _SPARE_SECONDS
            self._due.clear()
            self._listener.close()
            self._lifeline.let_go()
        elif number == signal.SIGINT:
            self._deadline = 0.0

    def hang_up(self) -> None:
        """Let each worker look at the models' files again."""
        for worker in list(self._workers.values()):
            worker.hang_up()

    def _start_due(self) -> None:
        with _signals_held():
            now = time.monotonic()
            for number in [number for number, at in self._due.items() if at <= now]:
                del self._due[number]
                worker = Worker(number, self._settings, self._listener, self._lifeline)
                self._workers[number] = worker

    def _hear(self, worker: Worker) -> None:
        try:
            report = worker.reports.recv()
        except (EOFError, ConnectionResetError):
            self._bury(worker)
            return
        match report:
            case Failed(reason):
                worker.reason = reason
            case Ready(device):
                worker.ready = True
                self._welcome(device)

    def _welcome(self, device: str) -> None:
        if self._serving or self._deadline is not None:
            return
        self._serving = True
        _log.info("ready: open %s", browser_url(self._listener))
        count = self._settings.workers
        self._due = dict.fromkeys(range(2, count + 1), 0.0)
        warn_of_memory(device, count)

    def _bury(self, worker: Worker) -> None:
        del self._workers[worker.number]
        how = worker.collect()
        forget_gauges(worker.pid)
        if self._deadline is not None:
            return
        if worker.ready:
            self._restart(worker, f"ended {how}", 0)
        elif self._workers:
            self._restart(worker, f"did not start: {worker.reason or how}", _PAUSE_SECONDS)
        else:
            raise SettingsError(
                worker.reason or f"the worker ended {how} before it served; its log says more"
            )

    def _restart(self, worker: Worker, what: str, pause: int) -> None:
        again = f"in {pause} s" if pause else "now"
        text = "worker %d (process %d) %s; another starts %s"
        _log.warning(text, worker.number, worker.pid, what, again)
        self._due[worker.number] = time.monotonic() + pause

    def _kill_late(self) -> None:
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        for worker in self._workers.values():
            _log.error("worker %d does not end, and is killed", worker.number)
            worker.kill()
        if self._workers:
            sys.exit(1)


@contextmanager
def _signals_held() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def warn_of_memory(device: str, workers: int) -> None:
    """Say once in the log what workers take of a GPU, before its memory is full."""
    if device.startswith("cuda"):
        text = "%d workers hold %d networks, and CUDA as often, in the memory of %s"
        _log.warning(text, workers, workers, device)


def cores_each(workers: int) -> int:
    """Threads for each worker's forward pass: its share of the cores, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // workers)
