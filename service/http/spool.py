"""Uploads on disk: the files of a long form in one temporary file, and read from it one by one."""

import errno
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from service.errors import PayloadTooLargeError, StorageFullError
from service.images.codec import Part

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Spool:
    """However many files are in it, it takes one descriptor and no memory; gone when closed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._lock = threading.Lock()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def new_file(self) -> "SpooledFile":
        """An empty file; it is written before the next one is begun."""
        return SpooledFile(self)

    def append(self, content: bytes) -> None:
        """Raises StorageFullError."""
        with self._lock, _told_when_full():
            self._file.seek(self.size)
            self._file.write(content)
        self.size += len(content)

    def read(self, start: int, size: int) -> bytes:
        """A stretch of bytes, for any thread."""
        with self._lock, _told_when_full():
            self._file.seek(start)
            return self._file.read(size)


class SpooledFile:
    """A stretch of a Spool, which a form's parser writes as if it were a file."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._start: int | None = None
        self.size = 0

    def write(self, content: bytes) -> int:
        """Append."""
        if self._start is None:
            self._start = self._spool.size
        self._spool.append(content)
        self.size += len(content)
        return len(content)

    def read(self) -> bytes:
        """All of it, each time."""
        return self._spool.read(self._start or 0, self.size)


@dataclass(frozen=True)
class SpooledPart:
    """One file of a form: ``field`` as errors name it, the name and type that it declares.

    One that ``is_mark`` is a rough mark in place of a mask.
    """

    field: str
    name: str
    media_type: str
    file: SpooledFile
    is_mark: bool = False

    def read(self, max_bytes: int) -> Part:
        """Into memory; PayloadTooLargeError where that is too much."""
        if self.file.size > max_bytes:
            raise PayloadTooLargeError(
                f"{self.field} has {self.file.size} bytes, the limit is {max_bytes}; "
                "send a smaller image",
                field=self.field,
            )
        return Part(self.field, self.file.read(), self.media_type, self.is_mark)


SentPart = Part | SpooledPart
"""One file of a form, in memory or on disk; ``read`` gives its bytes."""


@contextmanager
def _told_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFullError(
            "the disk has no room for the request's files; send fewer, or make room"
        ) from error
