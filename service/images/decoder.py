"""One process that decodes, as the service sees it, and the process that forks it."""

import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import DeadlineExceededError, NotReadyError

# How often a thread that waits for its decoder looks up.
_TICK_SECONDS = 0.2
# What nobody waits for any more may still end by itself: a new decoder costs more than most files.
GRACE_SECONDS = 1.0
_START_SECONDS = 30.0
_MAX_REPLY_BYTES = 64 * 1024


class Deadline:
    """When to stop waiting: the limit, a little after the work is given up, or the end at once."""

    def __init__(
        self, limit_seconds: float, given_up: threading.Event, closed: threading.Event
    ) -> None:
        self._at = time.monotonic() + limit_seconds
        self._given_up = given_up
        self._closed = closed
        self._left_alone = False

    def check(self) -> None:
        """Raise DeadlineExceededError once it is time."""
        now = time.monotonic()
        if self._given_up.is_set() and not self._left_alone:
            self._left_alone = True
            self._at = min(self._at, now + GRACE_SECONDS)
        if now > self._at or self._closed.is_set():
            raise DeadlineExceededError(
                "an image takes too long to decode; save it again, or send a smaller one"
            )


class Decoder:
    """The service's view of one process."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(_START_SECONDS)
        self._pid = int.from_bytes(connection.recv(4), "little")
        connection.settimeout(_TICK_SECONDS)

    @property
    def gone(self) -> bool:
        """Whether it has ended by itself: it sends nothing unasked."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(0))

    def ask(
        self, content: bytes, task: dict[str, Any], deadline: Deadline
    ) -> tuple[dict[str, Any], NDArray[Any] | None]:
        """OSError or EOFError where it is lost, DeadlineExceededError where it is late."""
        header = json.dumps(task).encode()
        lengths = len(header).to_bytes(4, "little") + len(content).to_bytes(8, "little")
        for view in (memoryview(lengths + header), memoryview(content)):
            while view:
                deadline.check()
                try:
                    view = view[self._connection.send(view) :]
                except TimeoutError:
                    continue
        while True:
            deadline.check()
            try:
                message, descriptors, _, _ = socket.recv_fds(self._connection, _MAX_REPLY_BYTES, 1)
            except TimeoutError:
                continue
            if not message:
                raise EOFError
            said = json.loads(message)
            return said, _pixels(said, descriptors[0]) if descriptors else None

    def kill(self) -> None:
        """End it whatever it does."""
        if self._pid and not self.gone:
            os.kill(self._pid, signal.SIGKILL)
        self._connection.close()


class Nursery:
    """The process that forks decoders: what it has imported, they need not."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.images.nursery", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            )

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def fork(self) -> Decoder:
        """A new decoder; NotReadyError where there is none to be had."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
            return Decoder(ours)
        except OSError as error:
            ours.close()
            self.end()
            raise NotReadyError("no image can be decoded now; ask again in a moment") from error

    def end(self) -> None:
        """End it, and with it every decoder."""
        self._control.close()
        self._process.kill()
        self._process.wait()


def _pixels(said: dict[str, Any], descriptor: int) -> NDArray[Any]:
    """Memory that the decoder has filled; it is given back with the array."""
    kind, shape = np.dtype(said["type"]), tuple(said["shape"])
    try:
        memory = mmap.mmap(descriptor, kind.itemsize * int(np.prod(shape)))
    finally:
        os.close(descriptor)
    return np.frombuffer(memory, kind).reshape(shape)
