"""One request's way through the network: decode, queue, encode, segment, render."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from model.episode import Fusion
from model.predictor import PreparedQuery
from service.http.connection import while_connected
from service.http.observe import Timings
from service.images.answer import Answer
from service.images.codec import Part, decode_photograph
from service.inference.engine import Prediction, Task
from service.segment.runtime import Runtime, value_of
from service.segment.shots import Shots, keep_shots

Classes = Mapping[str, Sequence[Shots]]
"""The shots of each class by its label."""


@dataclass(frozen=True)
class Job:
    """What a request asks for: ``render`` is given the classes' labels too, in their order."""

    load: Callable[[], Awaitable[Classes]]
    query: Part
    fusion: Fusion
    render: Callable[[Sequence[str], Prediction], Answer]


async def reply(request: Request, runtime: Runtime, job: Job) -> Response:
    """Hold a place in the queue, decode in workers, wait for the network, and render.

    A client that leaves takes its work with it. Fresh encodings of stored supports are kept once
    the reply is out.
    """
    answer, keep = await while_connected(request.receive, _work(request, runtime, job))
    return Response(
        answer.body, headers=answer.headers, media_type=answer.media_type, background=keep
    )


async def _work(
    request: Request, runtime: Runtime, job: Job
) -> tuple[Answer, BackgroundTask | None]:
    timings: Timings = request.state.timings
    with runtime.queue.admit() as place:
        with timings.stage("decode"):
            # Of several errors the client hears of the supports' first, whichever came first.
            classes, query = await asyncio.gather(
                job.load(),
                runtime.in_worker(partial(_prepare_query, runtime, job.query)),
                return_exceptions=True,
            )
            classes = value_of(classes)
            task = _task(runtime, classes, value_of(query), job.fusion)
        prediction = await runtime.queue.run(place, task)
    timings["queue"] = place.queue_seconds
    timings["encode"] = prediction.encode_ms / 1e3
    timings["segment"] = prediction.segment_ms / 1e3
    computed = prediction.computed
    request.app.state.telemetry.count_supports(computed, len(prediction.encodings) - computed)
    with timings.stage("render"):
        answer = await runtime.in_worker(partial(job.render, list(classes), prediction))
    groups = list(chain.from_iterable(classes.values()))
    if not any(shots.unkept for shots in groups):
        return answer, None
    return answer, BackgroundTask(keep_shots, runtime, groups, prediction.encodings)


def _prepare_query(runtime: Runtime, query: Part) -> PreparedQuery:
    photograph = decode_photograph(query, runtime.settings.max_image_pixels)
    return runtime.engine.prepare_query(photograph)


def _task(runtime: Runtime, classes: Classes, query: PreparedQuery, fusion: Fusion) -> Task:
    """One for all classes, so that the network reads the query once."""
    by_class = [[shot for shots in groups for shot in shots.ready] for groups in classes.values()]
    counts = [len(shots) for shots in by_class]
    return runtime.engine.prepare(chain.from_iterable(by_class), query, fusion, counts)
