"""A small process without torch or threads that forks decoders; run by ``Decoders``.

A decoder holds one connection and works for it, one file after the other, until that is closed. It
can be killed at any time, and what a library writes to its standard error goes nowhere.
"""

import ctypes
import fcntl
import gc
import json
import mmap
import os
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import AmbiguousMaskError, InputError
from model.images.masks import read_classes, read_mask
from model.images.opening import open_upright, reads_heic
from model.images.pixels import photograph_pixels

LENGTHS = struct.Struct("<IQ")
"""Of a request: bytes of its JSON, then of the file."""
CLASSES = "classes"
"""What a task has in place of a mask's format, for the numbers that the file holds."""
# Of address space, which fits the largest picture that is allowed in its most wasteful mode.
MAX_BYTES = 3 * 1024**3
# Pictures of more are decoded, and rendered, one after the other: 50 million take up to 1.4 GB.
# Phones take 12 million.
LARGE_PIXELS = 12_500_000
# A decoder that holds more after its work gives it back by ending.
MAX_HELD_BYTES = 256 * 1024**2
_PR_SET_PDEATHSIG = 1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def main(control: socket.socket) -> None:
    """Fork a decoder for each connection that is sent, until the service is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service to answer
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for decoders
    Image.init()
    reads_heic()
    turn = _Turn()
    gc.freeze()
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork() == 0:
                control.close()
                _live(connection, turn)
                os._exit(0)


class _Turn:
    """The one place for a large picture among all decoders; with a decoder's end it is free."""

    def __init__(self) -> None:
        self._file = os.memfd_create("turn")

    def wait(self, pixels: int) -> None:
        """Where the picture is large, until no other is being decoded."""
        if pixels > LARGE_PIXELS:
            fcntl.lockf(self._file, fcntl.LOCK_EX)

    def end(self) -> None:
        """Let the next have it."""
        fcntl.lockf(self._file, fcntl.LOCK_UN)


def _live(connection: socket.socket, turn: _Turn) -> None:
    _bind_to_parent()
    with suppress(ConnectionError, EOFError):
        connection.sendall(struct.pack("<I", os.getpid()))
        while True:
            _work(connection, turn)
            turn.end()
            if held_bytes() > MAX_HELD_BYTES:
                return


def _bind_to_parent() -> None:
    """Die with the nursery, write nothing, take no more memory than is due."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)
    warnings.simplefilter("ignore")


def _work(connection: socket.socket, turn: _Turn) -> None:
    header_bytes, file_bytes = LENGTHS.unpack(receive(connection, LENGTHS.size))
    task = json.loads(receive(connection, header_bytes))
    try:
        content = bytes(receive(connection, file_bytes))
        pixels, said = _read(content, turn.wait, **task)
    except InputError as error:
        formats = error.formats if isinstance(error, AmbiguousMaskError) else ()
        said = {"error": type(error).__name__, "message": str(error), "formats": formats}
        send(connection, said)
        return
    descriptor = _shared(pixels)
    send(connection, {**said, "shape": pixels.shape, "type": pixels.dtype.str}, descriptor)
    os.close(descriptor)


def _read(
    content: bytes, before_pixels: Callable[[int], None], max_pixels: int, mask_format: Any
) -> tuple[NDArray[Any], dict[str, object]]:
    """A photograph's pixels, or a mask's where it is said how to read it."""
    image = open_upright(content, max_pixels, before_pixels)
    if mask_format is None:
        return photograph_pixels(image), {}
    if mask_format == CLASSES:
        return read_classes(image), {}
    reading = read_mask(image, mask_format)
    return reading.mask, {"reading": reading.name}


def _shared(pixels: NDArray[Any]) -> int:
    descriptor = os.memfd_create("pixels")
    os.ftruncate(descriptor, pixels.nbytes)
    with mmap.mmap(descriptor, pixels.nbytes) as memory:
        target = np.frombuffer(memory, pixels.dtype).reshape(pixels.shape)
        np.copyto(target, pixels)
        del target
    return descriptor


def held_bytes() -> int:
    """What this process has in memory; 0 where the system does not tell, as on macOS."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def receive(connection: socket.socket, count: int) -> bytearray:
    """Exactly so many bytes; EOFError where the connection ends before."""
    received = bytearray(count)
    view = memoryview(received)
    while view:
        got = connection.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return received


def send(connection: socket.socket, said: dict[str, Any], descriptor: int | None = None) -> None:
    """A reply: JSON in one message, with a descriptor where there are pixels."""
    message = json.dumps(said).encode()
    socket.send_fds(connection, [message], [] if descriptor is None else [descriptor])


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
