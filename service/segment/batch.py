"""Many queries and the same supports: one outcome for each query, as each is done."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from model.episode import Photograph
from service.errors import InternalError
from service.formats.catalogue import Writer
from service.formats.names import plain_names
from service.formats.record import UNNAMED, Export, Labelled, describe
from service.http.deadline import within
from service.http.observe import Timings
from service.http.problems import as_service_error
from service.http.spool import SpooledPart
from service.images.answer import Answer, Finding, answer, describe_segmentation
from service.inference.engine import Prediction
from service.options import OUTPUT, BatchOptions, named_formats
from service.schemas import BatchFailed, BatchFound, BatchProblem
from service.segment.inputs import QUERY_IMAGE
from service.segment.reply import Job, run_job
from service.segment.runtime import Runtime
from service.segment.supports import Classes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Of one query: its record, a line of JSON, and what it would get if asked alone.

    ``files`` are paths and contents of its formats, ``kept`` is its line for the documents about
    all queries. A query that failed has none of these, and ``answer`` only where it is wanted.
    """

    index: int
    name: str
    record: bytes
    answer: Answer | None = None
    files: Sequence[tuple[str, bytes]] = ()
    kept: bytes = b""


@dataclass(frozen=True)
class Wanted:
    """What is made of the queries. ``names`` are those of their files, where a format is wanted."""

    options: BatchOptions
    names: Sequence[str]

    @property
    def writer(self) -> Writer:
        """Of the formats, apart from what ``output`` says."""
        export = Export((self.options.label or UNNAMED,), self.options.instances)
        return Writer(named_formats(self.options.format), export)

    @property
    def answers(self) -> bool:
        """Whether what ``output`` says is wanted too."""
        return OUTPUT in self.options.format.split(",")


def read_wanted(queries: Sequence[SpooledPart], options: BatchOptions) -> Wanted:
    """Raises DuplicateNameError where files of a format would have one name."""
    names: list[str] = []
    if named_formats(options.format):
        names = plain_names([query.name for query in queries], QUERY_IMAGE.name)
    return Wanted(options, names)


async def segment_each(
    runtime: Runtime,
    classes: Classes,
    queries: Sequence[SpooledPart],
    wanted: Wanted,
    timeout_seconds: float,
) -> AsyncIterator[Outcome]:
    """One query after the other, so that one is in memory at a time; none raises.

    Supports are encoded with the first query. Each query takes its own place in the queue, and has
    ``timeout_seconds`` from there to its result.
    """
    encoded: Classes | None = None
    options = wanted.options
    for index, query in enumerate(queries):
        load = partial(_ready, encoded or classes)
        render = partial(_found, runtime, index, query, wanted)
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
    wanted: Wanted,
    labels: Sequence[str],
    prediction: Prediction,
) -> Outcome:
    checkpoint, options = runtime.engine.checkpoint, wanted.options
    finding = runtime.find_object(prediction, options)
    described = describe_segmentation(finding, options, checkpoint)
    record = BatchFound(**dict(described), index=index, name=query.name)
    read_query = partial(runtime.decode_photograph, query)
    reply = answer(finding, options, checkpoint, read_query) if wanted.answers else None
    files, kept = _written(wanted, index, finding, read_query)
    return Outcome(index, query.name, _line(record), reply, files, kept)


def _written(
    wanted: Wanted, index: int, finding: Finding, read_query: Callable[[], Photograph]
) -> tuple[Sequence[tuple[str, bytes]], bytes]:
    """The files of the formats for one query, and its line for their documents."""
    if not wanted.names:
        return (), b""
    name = wanted.names[index]
    files = wanted.writer.render(name, Labelled.of_object(finding.mask, read_query))
    return files, describe(name, finding.mask, finding.presence, finding.score).line()


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
