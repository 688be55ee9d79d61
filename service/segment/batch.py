"""Many queries and the same supports: one outcome for each query, as each is done."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from model.episode import Fusion
from service.errors import InternalError
from service.http.deadline import within
from service.http.problems import as_service_error
from service.http.spool import SpooledPart
from service.images.answer import Answer, answer, describe_segmentation, find_object
from service.images.codec import decode_photograph
from service.inference.engine import Prediction, Shot, Task
from service.options import KShotOptions
from service.schemas import BatchFailed, BatchFound, BatchProblem
from service.segment.runtime import Runtime
from service.segment.shots import Shots, keep_shots

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
    shots: Shots,
    queries: Sequence[SpooledPart],
    options: KShotOptions,
    timeout_seconds: float,
) -> AsyncIterator[Outcome]:
    """One query after the other, so that one is in memory at a time; none raises.

    Supports are encoded with the first query. Each query takes its own place in the queue, and has
    ``timeout_seconds`` from there to its result.
    """
    supports = shots.ready
    for index, query in enumerate(queries):
        try:
            prepare = partial(_prepare, runtime, supports, query, options.fusion)
            prediction = await _segment(runtime, prepare, timeout_seconds)
            render = partial(_found, runtime, index, query, prediction, options)
            outcome = await runtime.in_worker(render)
        except Exception as error:  # whatever it is, the other queries must not suffer for it
            yield _failed(runtime, index, query, error)
            continue
        if supports is shots.ready:
            supports = prediction.encodings
            await runtime.in_worker(partial(keep_shots, runtime, [shots], supports))
        yield outcome


async def _segment(
    runtime: Runtime, prepare: Callable[[], Task], timeout_seconds: float
) -> Prediction:
    async with runtime.queue.queue_up() as place, within(timeout_seconds):
        return await runtime.queue.run(place, await runtime.in_worker(prepare))


def _prepare(
    runtime: Runtime, supports: Sequence[Shot], query: SpooledPart, fusion: Fusion
) -> Task:
    part = query.read(runtime.settings.max_upload_bytes)
    photograph = decode_photograph(part, runtime.settings.max_image_pixels)
    return runtime.engine.prepare(supports, photograph, fusion)


def _found(
    runtime: Runtime,
    index: int,
    query: SpooledPart,
    prediction: Prediction,
    options: KShotOptions,
) -> Outcome:
    settings, checkpoint = runtime.settings, runtime.engine.checkpoint
    finding = find_object(runtime.engine.restore(prediction), options)
    described = describe_segmentation(finding, options, checkpoint)
    record = BatchFound(**dict(described), index=index, name=query.name)
    reply = answer(
        finding,
        options,
        checkpoint,
        lambda: decode_photograph(query.read(settings.max_upload_bytes), settings.max_image_pixels),
    )
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
