"""Outcomes of a batch as a stream: lines of JSON, or a ZIP archive that is never held whole."""

import re
import tempfile
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from service.options import JSON
from service.segment.batch import Outcome
from service.segment.runtime import Runtime

ZIP, NDJSON = "application/zip", "application/x-ndjson"
RESULTS = "results.jsonl"
MAX_STEM = 60
_CHUNK_BYTES = 256 * 1024


async def lines(outcomes: AsyncIterator[Outcome]) -> AsyncIterator[bytes]:
    """A record a line."""
    async for outcome in outcomes:
        yield outcome.record


async def archive(runtime: Runtime, outcomes: AsyncIterator[Outcome]) -> AsyncIterator[bytes]:
    """A member for each answer, each sent as soon as it is there, and all records at the end.

    The records wait on disk.
    """
    sink = _Sink()
    members = ZipFile(sink, "w", ZIP_DEFLATED, compresslevel=1)
    with tempfile.TemporaryFile() as records:
        async for outcome in outcomes:
            await runtime.in_worker(partial(_add, members, records, outcome))
            yield sink.take()
        records.seek(0)
        with members.open(_info(RESULTS), "w", force_zip64=True) as member:
            while chunk := await runtime.in_worker(partial(records.read, _CHUNK_BYTES)):
                await runtime.in_worker(partial(member.write, chunk))
                yield sink.take()
    members.close()
    yield sink.take()


def member_name(outcome: Outcome) -> str:
    """``0007_beach.png``: one that every file system takes, and no other member has."""
    stem = re.split(r"[/\\]", outcome.name)[-1].rpartition(".")
    safe = re.sub(r"[^\w.-]+", "_", stem[0] or stem[2])[:MAX_STEM]
    ending = "json" if outcome.answer and outcome.answer.media_type == JSON else "png"
    return f"{outcome.index:04d}_{safe}.{ending}"


def _add(members: ZipFile, records: IO[bytes], outcome: Outcome) -> None:
    records.write(outcome.record)
    if outcome.answer:
        members.writestr(_info(member_name(outcome)), outcome.answer.body)


def _info(name: str) -> ZipInfo:
    """Readable by all; deflated, because stored members cannot be unpacked from a stream."""
    info = ZipInfo(name, time.localtime()[:6])
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


class _Sink:
    """What ZipFile writes, until it is taken; without ``tell`` and ``seek`` it never turns back."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, content: bytes) -> int:
        self._written.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken
