"""Outcomes of a batch as a stream: lines of JSON, or a ZIP archive that is never held whole."""

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from zipfile import ZipFile

from service.errors import StorageFullError
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


async def lines(outcomes: AsyncIterator[Outcome]) -> AsyncIterator[bytes]:
    """A record a line."""
    async for outcome in outcomes:
        yield outcome.record


async def archive(runtime: Runtime, outcomes: AsyncIterator[Outcome]) -> AsyncIterator[bytes]:
    """A member for each answer, each sent as soon as it is there, and all records at the end.

    The records wait on disk. Raises StorageFullError, which breaks the archive off, where they
    would leave too little of it.
    """
    folder = runtime.settings.spool_dir
    sink = Sink()
    members = open_archive(sink)
    with Spool(folder) as records:
        async for outcome in outcomes:
            await runtime.in_thread(partial(_add, members, records, outcome, folder))
            yield sink.take()
        with members.open(member(RESULTS), "w", force_zip64=True) as results:
            for start in range(0, records.size, _CHUNK_BYTES):
                chunk = await runtime.in_thread(partial(records.read, start, _CHUNK_BYTES))
                await runtime.in_thread(partial(results.write, chunk))
                yield sink.take()
    members.close()
    yield sink.take()


def member_name(outcome: Outcome) -> str:
    """``0007_beach.png``: one that every file system takes, and no other member has."""
    stem = re.split(r"[/\\]", outcome.name)[-1].rpartition(".")
    safe = re.sub(r"[^\w.-]+", "_", stem[0] or stem[2])[:MAX_STEM]
    ending = "json" if outcome.answer and outcome.answer.media_type == JSON else "png"
    return f"{outcome.index:04d}_{safe}.{ending}"


def _add(members: ZipFile, records: Spool, outcome: Outcome, folder: Path | None) -> None:
    if disk_room(folder) < len(outcome.record):
        raise StorageFullError("the disk has no room for the records of this batch; send fewer")
    records.append(outcome.record)
    if outcome.answer:
        members.writestr(member(member_name(outcome)), outcome.answer.body)
