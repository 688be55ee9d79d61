"""Outcomes of a batch as a stream: lines of JSON, or a ZIP archive that is never held whole."""

import re
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from typing import IO
from zipfile import ZipFile

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

    The records wait on disk.
    """
    sink = Sink()
    members = open_archive(sink)
    with tempfile.TemporaryFile() as records:
        async for outcome in outcomes:
            await runtime.in_thread(partial(_add, members, records, outcome))
            yield sink.take()
        records.seek(0)
        with members.open(member(RESULTS), "w", force_zip64=True) as results:
            while chunk := await runtime.in_thread(partial(records.read, _CHUNK_BYTES)):
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


def _add(members: ZipFile, records: IO[bytes], outcome: Outcome) -> None:
    records.write(outcome.record)
    if outcome.answer:
        members.writestr(member(member_name(outcome)), outcome.answer.body)
