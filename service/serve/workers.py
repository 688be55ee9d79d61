"""One of several workers: a forked process that serves, reports, and ends with its parent."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
from multiprocessing.connection import Connection
from typing import NamedTuple

from service.mending import MENDABLE, sentence
from service.metrics.joint import remove_metrics
from service.metrics.logs import name_worker
from service.serve import process as serving
from service.settings import Settings


class Ready(NamedTuple):
    """The worker serves, on ``device``."""

    device: str


class Failed(NamedTuple):
    """The worker could not start, for a reason that the operator can mend."""

    reason: str


class Lifeline:
    """A pipe whose one end only the parent holds: it closes when the parent ends, however that is.

    ``let_go`` closes it before, so that all workers end.
    """

    def __init__(self) -> None:
        self._watched, self._held = os.pipe()

    def let_go(self) -> None:
        """In the parent: end all workers. In a worker: leave this to the parent."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def watch(self) -> threading.Event:
        """In a worker: SIGTERM to itself once the parent has let go; the event tells why."""
        gone = threading.Event()

        def wait() -> None:
            os.read(self._watched, 1)
            gone.set()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="lifeline", daemon=True).start()
        return gone


class Worker:
    """The parent's view: ``reports`` brings Ready or Failed, and ends with the process.

    Make it while SIGTERM and SIGINT are held back: the child must not obey as its parent would.
    """

    def __init__(
        self, number: int, settings: Settings, listener: socket.socket, lifeline: Lifeline
    ) -> None:
        self.number = number
        self.ready = False
        self.reason = ""
        self.reports, theirs = multiprocessing.Pipe(duplex=False)
        # The parent has one thread and no torch: a fork of it is safe, cheap, and has the listener.
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(number, settings, listener, lifeline, theirs)
        )
        with theirs:
            self._process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()

    def collect(self) -> str:
        """Wait for the end, which ``reports`` has announced; how it came: "by SIGKILL"."""
        self.reports.close()
        self._process.join()
        code = self._process.exitcode or 0
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _serve(
    number: int,
    settings: Settings,
    listener: socket.socket,
    lifeline: Lifeline,
    reports: Connection,
) -> None:
    """The child's whole life. Ctrl-C reaches it too, but stays held back: the parent answers it."""
    parent = os.getppid()
    serving.leave_on_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    lifeline.let_go()
    parent_gone = lifeline.watch()
    name_worker(number)
    try:
        serving.run(
            settings,
            listener,
            lambda engine: reports.send(Ready(engine.executor.device)),
            parent_gone.is_set,
        )
    except MENDABLE as error:
        reports.send(Failed(sentence(error)))
        sys.exit(1)
    finally:
        if os.getppid() != parent:
            remove_metrics()
