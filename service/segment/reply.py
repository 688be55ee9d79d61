"""One query's way: decode, queue, encode, segment, render; and the reply to who asked for one."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Generic, TypeVar

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from model.episode import Fusion
from model.predictor import PreparedQuery
from service.http.deadline import while_connected
from service.http.observe import Timings
from service.http.spool import SentPart
from service.images.answer import Answer
from service.inference.engine import Prediction, Task, Work
from service.inference.line import Place
from service.segment.runtime import Runtime, value_of
from service.segment.supports import Classes, keep_encodings, readings_of

Rendered = TypeVar("Rendered")


@dataclass(frozen=True)
class Job(Generic[Rendered]):
    """What a query asks for: ``render`` is given the classes' labels too, in their order.

    With ``refine`` its borders follow the photograph.
    """

    load: Callable[[], Awaitable[Classes]]
    query: SentPart
    fusion: Fusion
    refine: bool
    render: Callable[[Sequence[str], Prediction], Rendered]


@dataclass(frozen=True)
class Done(Generic[Rendered]):
    """A job at its end: what was rendered of it, its supports, and what the network gave."""

    rendered: Rendered
    classes: Classes
    prediction: Prediction

    @property
    def encoded(self) -> Classes:
        """The classes, each support with its encoding, for the next query."""
        encodings = iter(self.prediction.encodings)
        return {
            label: [dataclasses.replace(support, shot=next(encodings)) for support in supports]
            for label, supports in self.classes.items()
        }

    @property
    def unkept(self) -> bool:
        """Whether ``keep`` has something to store."""
        return any(support.unkept for support in chain.from_iterable(self.classes.values()))

    async def keep(self, runtime: Runtime) -> None:
        """Store the encodings of stored pairs that had none."""
        supports = list(chain.from_iterable(self.classes.values()))
        await keep_encodings(runtime, supports, self.prediction.encodings)


async def run_job(
    runtime: Runtime, place: Place[Work, Prediction], job: Job[Rendered], timings: Timings
) -> Done[Rendered]:
    """Decode on threads, wait for the network in ``place``, render on a thread."""
    with timings.stage("decode"):
        # Of several errors the client hears of the supports' first, whichever came first.
        classes, query = await asyncio.gather(
            job.load(),
            runtime.in_thread(partial(_prepare_query, runtime, job.query, job.refine)),
            return_exceptions=True,
        )
        classes = value_of(classes)
        task = _task(runtime, classes, value_of(query), job.fusion)
    prediction = await runtime.queue.run(place, partial(runtime.engine.run, task))
    timings["queue"] = place.queue_seconds
    timings["encode"] = prediction.encode_ms / 1e3
    timings["segment"] = prediction.segment_ms / 1e3
    with timings.stage("render"):
        render = partial(_render, runtime, job, list(classes), prediction)
        rendered = await runtime.in_thread(render)
    return Done(rendered, classes, prediction)


async def reply(request: Request, runtime: Runtime, job: Job[Answer]) -> Response:
    """Hold a place in the queue while the job runs; a client that leaves takes its work with it.

    Encodings are kept once the reply is out.
    """
    done = await while_connected(request.receive, _admitted(runtime, job, request.state.timings))
    computed, used = done.prediction.computed, len(done.prediction.encodings)
    runtime.telemetry.count_supports(computed, used - computed)
    answer = done.rendered
    answer.headers.update(readings_of(done.classes))
    keep = BackgroundTask(done.keep, runtime) if done.unkept else None
    return Response(
        answer.body, headers=answer.headers, media_type=answer.media_type, background=keep
    )


async def _admitted(runtime: Runtime, job: Job[Answer], timings: Timings) -> Done[Answer]:
    with runtime.queue.admit() as place:
        return await run_job(runtime, place, job, timings)


def _render(
    runtime: Runtime, job: Job[Rendered], labels: Sequence[str], prediction: Prediction
) -> Rendered:
    with runtime.turn(prediction.size):
        return job.render(labels, prediction)


def _prepare_query(runtime: Runtime, query: SentPart, refine: bool) -> PreparedQuery:
    return runtime.engine.prepare_query(runtime.decode_photograph(query), refine)


def _task(runtime: Runtime, classes: Classes, query: PreparedQuery, fusion: Fusion) -> Task:
    """One for all classes, so that the network reads the query once."""
    shots = [support.shot for supports in classes.values() for support in supports]
    counts = [len(supports) for supports in classes.values()]
    return runtime.engine.prepare(shots, query, fusion, counts)
