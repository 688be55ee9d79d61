"""Outcomes of a batch as a stream: lines of JSON, or a ZIP archive that is never held whole."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO
from zipfile import ZipFile

from service.errors import StorageFullError
from service.formats.catalogue import Writer
from service.formats.record import Record, read_line
from service.http.budget import disk_room
from service.http.spool import Spool
from service.options import JSON
from service.segment.batch import Outcome
from service.segment.runtime import Runtime
from service.segment.zip_stream import Sink, member, open_archive

ZIP, NDJSON = "application/zip", "application/x-ndjson"
RESULTS = "results.jsonl"
MAX_STEM = 60
_CHUNK_BYTES = 256 * 1024


class KeptLines:
    """Lines of bytes on disk, for any number of readers."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._spool = Spool(folder)

    def add(self, line: bytes) -> None:
        """Raises StorageFullError where it would leave too little of the disk."""
        if disk_room(self._folder) < len(line):
            raise StorageFullError("the disk has no room for the records of this batch; send fewer")
        self._spool.append(line)

    def chunks(self) -> Iterator[bytes]:
        """All of them, piece by piece."""
        for start in range(0, self._spool.size, _CHUNK_BYTES):
            yield self._spool.read(start, _CHUNK_BYTES)

    def __iter__(self) -> Iterator[Record]:
        """Those of records."""
        rest = b""
        for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            yield from map(read_line, whole)

    def close(self) -> None:
        """Give the disk back."""
        self._spool.close()


async def lines(outcomes: AsyncIterator[Outcome]) -> AsyncIterator[bytes]:
    """A record a line."""
    async for outcome in outcomes:
        yield outcome.record


async def archive(
    runtime: Runtime, outcomes: AsyncIterator[Outcome], writer: Writer
) -> AsyncIterator[bytes]:
    """A member for each answer, each sent as soon as it is there; at the end what is of all.

    Records wait on disk. Raises StorageFullError, which breaks the archive off, where they would
    leave too little of it.
    """
    sink = Sink()
    members = open_archive(sink)
    with ExitStack() as stack:
        records, kept = (KeptLines(runtime.settings.spool_dir) for _ in range(2))
        stack.callback(records.close)
        stack.callback(kept.close)
        async for outcome in outcomes:
            await runtime.in_thread(partial(_add, members, records, kept, outcome))
            yield sink.take()
        async for chunk in write_documents(runtime, members, sink, writer, kept):
            yield chunk
        async for chunk in _write(runtime, members, sink, RESULTS, records.chunks()):
            yield chunk
    members.close()
    yield sink.take()


async def write_documents(
    runtime: Runtime, members: ZipFile, sink: Sink, writer: Writer, records: KeptLines
) -> AsyncIterator[bytes]:
    """The files about all photographs, as members."""
    for document in writer.documents:
        pieces = writer.write(document, records)
        async for chunk in _write(runtime, members, sink, document.path, pieces):
            yield chunk


def gathered(pieces: Iterator[bytes]) -> bytes:
    """The next pieces, up to a chunk; empty at the end."""
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= _CHUNK_BYTES:
            break
    return bytes(chunk)


def member_name(outcome: Outcome) -> str:
    """``0007_beach.png``: one that every file system takes, and no other member has."""
    stem = re.split(r"[/\\]", outcome.name)[-1].rpartition(".")
    safe = re.sub(r"[^\w.-]+", "_", stem[0] or stem[2])[:MAX_STEM]
    ending = "json" if outcome.answer and outcome.answer.media_type == JSON else "png"
    return f"{outcome.index:04d}_{safe}.{ending}"


async def _write(
    runtime: Runtime, members: ZipFile, sink: Sink, name: str, pieces: Iterator[bytes]
) -> AsyncIterator[bytes]:
    with members.open(member(name), "w", force_zip64=True) as file:
        while await runtime.in_thread(partial(_write_some, file, pieces)):
            yield sink.take()


def _write_some(file: IO[bytes], pieces: Iterator[bytes]) -> bool:
    chunk = gathered(pieces)
    file.write(chunk)
    return bool(chunk)


def _add(members: ZipFile, records: KeptLines, kept: KeptLines, outcome: Outcome) -> None:
    records.add(outcome.record)
    kept.add(outcome.kept)
    if outcome.answer:
        members.writestr(member(member_name(outcome)), outcome.answer.body)
    for path, content in outcome.files:
        members.writestr(member(path), content)
