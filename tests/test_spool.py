"""Uploads on disk, behind one descriptor."""

import errno
from typing import Any

import pytest

from service.errors import PayloadTooLargeError, StorageFullError
from service.http.spool import Spool, SpooledPart


def test_each_file_comes_back_as_it_was_written() -> None:
    with Spool() as spool:
        first, empty, last = spool.new_file(), spool.new_file(), spool.new_file()
        first.write(b"one ")
        first.write(b"two")
        last.write(b"three")
        for _ in range(2):
            assert (last.read(), empty.read(), first.read()) == (b"three", b"", b"one two")
        assert (first.size, empty.size, last.size) == (7, 0, 5)


def test_a_part_knows_its_field_and_type() -> None:
    with Spool() as spool:
        file = spool.new_file()
        file.write(b"pixels")
        part = SpooledPart("query_image[3]", "cat.png", "image/png", file).read(6)
        assert (part.field, part.content, part.media_type) == (
            "query_image[3]",
            b"pixels",
            "image/png",
        )


def test_a_part_too_large_for_the_memory_is_not_read() -> None:
    with Spool() as spool:
        file = spool.new_file()
        file.write(b"pixels")
        with pytest.raises(PayloadTooLargeError, match="has 6 bytes, the limit is 5") as caught:
            SpooledPart("query_image[3]", "", "", file).read(5)
        assert caught.value.field == "query_image[3]"


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk:
        def __init__(self, **_: Any) -> None: ...

        def seek(self, _: int) -> None: ...

        def close(self) -> None: ...

        def write(self, _: bytes) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", FullDisk)
    with Spool() as spool, pytest.raises(StorageFullError, match="send fewer"):
        spool.new_file().write(b"pixels")
