"""Many queries and the same supports: one outcome for each query, as each is done."""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from service.errors import InternalError
from service.http.deadline import within
from service.http.observe import Timings
from service.http.problems import as_service_error
from service.http.spool import SpooledPart
from service.images.answer import Answer, answer, describe_segmentation
from service.inference.engine import Prediction
from service.options import KShotOptions
from service.schemas import BatchFailed, BatchFound, BatchProblem
from service.segment.reply import Job, run_job
from service.segment.runtime import Runtime
from service.segment.supports import Classes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Of one query: its record, a line of JSON, and what it would get if asked alone.

    A query that failed gets no ``answer``.
    """

    index: int
    name: str
    record: bytes
    answer: Answer | None = None


async def segment_each(
    runtime: Runtime,
    classes: Classes,
    queries: Sequence[SpooledPart],
    options: KShotOptions,
    timeout_seconds: float,
) -> AsyncIterator[Outcome]:
    """One query after the other, so that one is in memory at a time; none raises.

    Supports are encoded with the first query. Each query takes its own place in the queue, and has
    ``timeout_seconds`` from there to its result.
    """
    encoded: Classes | None = None
    for index, query in enumerate(queries):
        load = partial(_ready, encoded or classes)
        render = partial(_found, runtime, index, query, options)
        job = Job(load, query, options.fusion, options.refine, render)
        try:
            async with runtime.queue.queue_up() as place, within(timeout_seconds):
                done = await run_job(runtime, place, job, Timings())
        except Exception as error:  # whatever it is, the other queries must not suffer for it
            yield _failed(runtime, index, query, error)
            continue
        if done.unkept:
            await done.keep(runtime)
        encoded = encoded or done.encoded
        yield done.rendered


async def _ready(classes: Classes) -> Classes:
    return classes


def _found(
    runtime: Runtime,
    index: int,
    query: SpooledPart,
    options: KShotOptions,
    labels: Sequence[str],
    prediction: Prediction,
) -> Outcome:
    checkpoint = runtime.engine.checkpoint
    finding = runtime.find_object(prediction, options)
    described = describe_segmentation(finding, options, checkpoint)
    record = BatchFound(**dict(described), index=index, name=query.name)
    read_query = partial(runtime.decode_photograph, query)
    reply = answer(finding, options, checkpoint, read_query)
    return Outcome(index, query.name, _line(record), reply)


def _failed(runtime: Runtime, index: int, query: SpooledPart, error: Exception) -> Outcome:
    known = as_service_error(error)
    runtime.telemetry.count_problem(known.code)
    if isinstance(known, InternalError):
        _log.error("query %d of a batch failed", index, exc_info=error)
    problem = BatchProblem(code=known.code, title=known.title, detail=str(known))
    return Outcome(
        index, query.name, _line(BatchFailed(index=index, name=query.name, problem=problem))
    )


def _line(record: BatchFound | BatchFailed) -> bytes:
    return record.model_dump_json().encode() + b"\n"
