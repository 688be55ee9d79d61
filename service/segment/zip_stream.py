"""What a ZIP archive is written with that is sent while it is made, and never held whole.

zipfile streams by itself, ZIP64 included; it lacks only a file that hands on what is written.
Libraries for it save some twenty lines and are no faster: members of zipstream-ng can be read by
their owner alone, and stream-zip brings a library of cryptography.
"""

import time
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo


class Sink:
    """What ZipFile writes, until it is taken; without ``tell`` and ``seek`` it never turns back."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, content: bytes) -> int:
        """Keep bytes."""
        self._written.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""

    def take(self) -> bytes:
        """What was written since it was taken last."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def open_archive(sink: Sink) -> ZipFile:
    """An empty archive; mild compression, as images hardly shrink."""
    return ZipFile(sink, "w", ZIP_DEFLATED, compresslevel=1)


def member(name: str) -> ZipInfo:
    """Readable by all; deflated, because stored members cannot be unpacked from a stream."""
    info = ZipInfo(name, time.localtime()[:6])
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
