"""A worker: a forked process that serves, reports to its parent, and ends with it."""

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
    """The worker cannot start, for a reason that the operator can mend."""

    reason: str


class Lifeline:
    """A pipe that ends the workers. Only the parent holds one end, which closes when it ends.

    The parent may also ``let_go`` of it, to end all workers earlier.
    """

    def __init__(self) -> None:
        self._watched, self._held = os.pipe()

    def let_go(self) -> None:
        """In the parent: end all workers. In a worker: close its copy of the parent's end."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def watch(self) -> threading.Event:
        """In a worker: send itself SIGTERM when the parent lets go, which also sets the event."""
        gone = threading.Event()

        def wait() -> None:
            os.read(self._watched, 1)
            gone.set()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="lifeline", daemon=True).start()
        return gone


class Worker:
    """A worker as its parent sees it: ``reports`` brings Ready or Failed, and ends with it.

    Make it while its parent's signals are blocked: the child must not run the handlers.
    """

    def __init__(
        self, number: int, settings: Settings, listener: socket.socket, lifeline: Lifeline
    ) -> None:
        self.number = number
        self.ready = False
        self.reason = ""
        self.reports, theirs = multiprocessing.Pipe(duplex=False)
        # The parent has one thread and no torch: its fork is safe and cheap, and has the listener.
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

    def hang_up(self) -> None:
        """Send it SIGHUP, which waits until it serves."""
        os.kill(self.pid, signal.SIGHUP)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self._process.kill()

    def collect(self) -> str:
        """Wait for the process after ``reports`` has ended; tells how it ended, as "by SIGKILL"."""
        self.reports.close()
        self._process.join()
        code = self._process.exitcode or 0
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


@serving.ending_at_once()
def _serve(
    number: int,
    settings: Settings,
    listener: socket.socket,
    lifeline: Lifeline,
    reports: Connection,
) -> None:
    """Run the child. SIGINT stays blocked: Ctrl-C reaches it too, but its parent ends it."""
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
            # The parent hands it on to all workers; this one has nothing left to do then.
            lambda: os.kill(parent, signal.SIGHUP),
        )
    except MENDABLE as error:
        reports.send(Failed(sentence(error)))
        sys.exit(1)
    finally:
        if os.getppid() != parent:
            remove_metrics()
