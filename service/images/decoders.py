"""Processes that decode files: one that takes too long is killed, and its request answered."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from model import errors
from model.episode import Photograph
from model.images.masks import MaskFormat, MaskReading, read_classes, read_mask
from model.images.opening import open_upright
from model.images.pixels import photograph_pixels
from model.images.structure import is_modest
from service.errors import DeadlineExceededError, NotReadyError
from service.images.decoder import Deadline, Decoder, Nursery
from service.images.nursery import CLASSES

_LATE, _CRASHED = CAUSES = ("late", "crashed")


class Decoding(Protocol):
    """Files to pixels. Raises the errors of ``open_upright``, and those of the reading."""

    def photograph(self, content: bytes, max_pixels: int) -> Photograph:
        """(H, W, 3) uint8 RGB."""

    def mask(self, content: bytes, max_pixels: int, mask_format: MaskFormat) -> MaskReading:
        """(H, W) bool, and how it was read."""

    def classes(self, content: bytes, max_pixels: int) -> NDArray[np.uint8]:
        """(H, W) class numbers; 0 is background."""


class InThisThread:
    """For the command line, whose files are the user's own."""

    def photograph(self, content: bytes, max_pixels: int) -> Photograph:
        """As Decoding."""
        return photograph_pixels(open_upright(content, max_pixels))

    def mask(self, content: bytes, max_pixels: int, mask_format: MaskFormat) -> MaskReading:
        """As Decoding."""
        return read_mask(open_upright(content, max_pixels), mask_format)

    def classes(self, content: bytes, max_pixels: int) -> NDArray[np.uint8]:
        """As Decoding."""
        return read_classes(open_upright(content, max_pixels))


_IN_THIS_THREAD = InThisThread()
_decoding: ContextVar[Decoding | None] = ContextVar("decoding", default=None)


def decoding() -> Decoding:
    """What decodes in this context."""
    return _decoding.get() or _IN_THIS_THREAD


class Decoders:
    """``count`` processes, each replaced when it is killed or lost; the first file starts them.

    A file has ``limit_seconds``. ``on_loss`` is called with "late" or "crashed". Use it as a
    context, at whose end all that is under way is given up.
    """

    def __init__(
        self, count: int, limit_seconds: float, on_loss: Callable[[str], object] = lambda _: None
    ) -> None:
        self._limit_seconds = limit_seconds
        self._on_loss = on_loss
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self._nursery: Nursery | None = None
        self._idle: list[Decoder] = []
        self._busy = 0
        self._count = count
        self._started = False

    @property
    def up(self) -> int:
        """Decoders that work or wait for work, or will once they are started."""
        with self._lock:
            if not self._started:
                return self._count
            return self._busy + sum(not decoder.gone for decoder in self._idle)

    def start(self) -> None:
        """Fork them now; NotReadyError where that fails."""
        with self._starting:
            if self._started:
                return
            self._started = True
            for _ in range(self._count):
                self._give_back(self._new())

    def revive(self) -> None:
        """Start one where there is none: no request would, while the service is not ready."""
        if not self.up:
            with suppress(NotReadyError):
                self._give_back(self._new())

    @contextmanager
    def at_work(self, given_up: threading.Event) -> Iterator[None]:
        """Decode by these processes in this context, for as long as it is not ``given_up``."""
        token = _decoding.set(_Job(self, given_up))
        try:
            yield
        finally:
            _decoding.reset(token)

    def decode(
        self, content: bytes, task: dict[str, Any], given_up: threading.Event
    ) -> tuple[dict[str, Any], NDArray[Any] | None]:
        """What a decoder says of a file, and its pixels; DeadlineExceededError where it is late."""
        self.start()
        decoder = self._take()
        deadline = Deadline(self._limit_seconds, given_up, self._closed)
        try:
            answer = decoder.ask(content, task, deadline)
        except BaseException as error:
            late = isinstance(error, DeadlineExceededError)
            self._replace(decoder, _LATE if late else _CRASHED)
            if isinstance(error, OSError | EOFError):
                raise errors.BrokenImageError(
                    "cannot be decoded within the memory that one image may take"
                ) from error
            raise
        self._give_back(decoder)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all decoders, those at work too."""
        self._closed.set()
        with self._lock:
            for decoder in self._idle:
                decoder.kill()
            if self._nursery is not None:
                self._nursery.end()

    def _take(self) -> "Decoder":
        with self._lock:
            self._busy += 1
            while self._idle:
                decoder = self._idle.pop()
                if not decoder.gone:
                    return decoder
                decoder.kill()
        try:
            return self._new()
        except BaseException:
            with self._lock:
                self._busy -= 1
            raise

    def _give_back(self, decoder: "Decoder") -> None:
        with self._lock:
            self._busy = max(0, self._busy - 1)
            if self._closed.is_set():
                decoder.kill()
            else:
                self._idle.append(decoder)

    def _replace(self, decoder: "Decoder", cause: str) -> None:
        decoder.kill()
        self._on_loss(cause)
        try:
            self._give_back(self._new())
        except NotReadyError:  # the next request tries again, and readiness says so until then
            with self._lock:
                self._busy -= 1

    def _new(self) -> "Decoder":
        if self._closed.is_set():
            raise NotReadyError("the service ends; ask again in a moment, or elsewhere")
        with self._lock:
            if self._nursery is None or self._nursery.gone:
                self._nursery = Nursery()
            return self._nursery.fork()


class _Job:
    """Decoders, as one request sees them. A modest file needs none: its time has a bound."""

    def __init__(self, decoders: Decoders, given_up: threading.Event) -> None:
        self._decoders = decoders
        self._given_up = given_up

    def photograph(self, content: bytes, max_pixels: int) -> Photograph:
        """As Decoding."""
        if is_modest(content):
            return _IN_THIS_THREAD.photograph(content, max_pixels)
        _, pixels = self._decode(content, max_pixels, None)
        return pixels

    def mask(self, content: bytes, max_pixels: int, mask_format: MaskFormat) -> MaskReading:
        """As Decoding."""
        if is_modest(content):
            return _IN_THIS_THREAD.mask(content, max_pixels, mask_format)
        said, pixels = self._decode(content, max_pixels, mask_format)
        return MaskReading(pixels, said["reading"])

    def classes(self, content: bytes, max_pixels: int) -> NDArray[np.uint8]:
        """As Decoding."""
        if is_modest(content):
            return _IN_THIS_THREAD.classes(content, max_pixels)
        _, pixels = self._decode(content, max_pixels, CLASSES)
        return pixels

    def _decode(
        self, content: bytes, max_pixels: int, mask_format: str | None
    ) -> tuple[dict[str, Any], NDArray[Any]]:
        task = {"max_pixels": max_pixels, "mask_format": mask_format}
        said, pixels = self._decoders.decode(content, task, self._given_up)
        if pixels is None:
            raise _error(said)
        return said, pixels


def _error(said: dict[str, Any]) -> errors.InputError:
    kind = getattr(errors, said["error"])
    if kind is errors.AmbiguousMaskError:
        return errors.AmbiguousMaskError(said["message"], tuple(said["formats"]))
    error = kind(said["message"])
    assert isinstance(error, errors.InputError)
    return error
