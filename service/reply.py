"""One request's way through the network: decode, queue, encode, segment, render."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from service.answer import Answer
from service.connection import while_connected
from service.engine import Segmentation, Task
from service.runtime import Runtime
from service.shots import Shots, keep_shots
from service.telemetry import Timings


@dataclass(frozen=True)
class Job:
    """What a decoded request asks for: ``groups`` hold the task's supports, in order."""

    task: Task
    groups: Sequence[Shots]
    render: Callable[[Segmentation], Answer]


async def reply(request: Request, runtime: Runtime, prepare: Callable[[], Job]) -> Response:
    """Hold a place in the queue, ``prepare`` in a worker, wait for the network, and render.

    A client that leaves takes its work with it. Fresh encodings of stored supports are kept once
    the reply is out.
    """
    answer, keep = await while_connected(request.receive, _work(request, runtime, prepare))
    return Response(
        answer.body, headers=answer.headers, media_type=answer.media_type, background=keep
    )


async def _work(
    request: Request, runtime: Runtime, prepare: Callable[[], Job]
) -> tuple[Answer, BackgroundTask]:
    timings: Timings = request.state.timings
    with runtime.scheduler.admit() as place:
        with timings.stage("decode"):
            job = await runtime.in_worker(prepare)
        segmentation = await runtime.scheduler.run(place, job.task)
    timings["queue"] = place.queue_seconds
    timings["encode"] = segmentation.encode_ms / 1e3
    timings["segment"] = segmentation.segment_ms / 1e3
    with timings.stage("render"):
        answer = await runtime.in_worker(partial(job.render, segmentation))
    return answer, BackgroundTask(keep_shots, runtime, job.groups, segmentation.encodings)
