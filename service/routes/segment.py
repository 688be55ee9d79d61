"""Masks: one support or several, one query, one reply in the form asked for."""

from functools import partial

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import Response

from model.guidance import Fusion
from service.answer import Answer, answer, find_object
from service.codec import Part, decode_photograph
from service.connection import while_connected
from service.engine import Segmentation, Task
from service.forms import Form, FormLayout, read_form
from service.negotiation import accepted
from service.openapi import KSHOT_INPUT, ONE_SHOT_INPUT, SEGMENT_RESPONSES
from service.options import KShotOptions, Options, read_options
from service.pairs import (
    SUPPORT_PARTS,
    SUPPORT_SET,
    expected_layout,
    max_parts,
    named_set,
    support_pairs,
)
from service.runtime import Running, Runtime
from service.shots import Shots, keep_shots, load_shots
from service.telemetry import Timings

ONE_SHOT = FormLayout(
    single=(*SUPPORT_PARTS, "query_image"),
    options=tuple(Options.model_fields),
    parameters=(SUPPORT_SET,),
)
K_SHOT = FormLayout(
    single=("query_image",),
    repeated=SUPPORT_PARTS,
    options=tuple(KShotOptions.model_fields),
    parameters=(SUPPORT_SET,),
)

router = APIRouter(tags=["segmentation"])


@router.post(
    "/segment",
    operation_id="segment",
    summary="Segment the query with one support",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra=ONE_SHOT_INPUT,
)
async def segment(request: Request, runtime: Running) -> Response:
    """Show an object once (a photograph and its mask); get its mask in the query.

    With `support_set` the form holds no supports: all of the set's are used, averaged.
    """
    form = await _read_form(request, ONE_SHOT, runtime)
    options = read_options(Options, form.options, accepted(request.headers))
    return await _answer(request, runtime, form, options, "average")


@router.post(
    "/segment/kshot",
    operation_id="segment_kshot",
    summary="Segment the query with one or more supports",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra=KSHOT_INPUT,
)
async def segment_kshot(request: Request, runtime: Running) -> Response:
    """Show an object several times; get its mask in the query.

    With `support_set` the form holds no supports: all of the set's are used.
    """
    form = await _read_form(request, K_SHOT, runtime)
    options = read_options(KShotOptions, form.options, accepted(request.headers))
    return await _answer(request, runtime, form, options, options.fusion)


async def _read_form(request: Request, layout: FormLayout, runtime: Runtime) -> Form:
    parts = max_parts(runtime.settings.max_shots)
    return await read_form(request, expected_layout(request, layout), parts)


async def _answer(
    request: Request, runtime: Runtime, form: Form, options: Options, fusion: Fusion
) -> Response:
    """Decode, wait for the network, render: the same for one shot, for K, and for a stored set."""
    timings: Timings = request.state.timings
    query = form.files["query_image"][0]
    set_id = named_set(form)
    pairs = support_pairs(form.files, runtime.settings.max_shots) if set_id is None else []
    with runtime.scheduler.admit() as place:
        with timings.stage("decode"):
            shots = await runtime.in_worker(partial(load_shots, runtime, set_id, pairs))
            task = await runtime.in_worker(partial(_prepare, runtime, shots, query, fusion))
        work = runtime.scheduler.run(place, task)
        segmentation = await while_connected(request.receive, work)
    timings["queue"] = place.queue_seconds
    timings["encode"] = segmentation.encode_ms / 1e3
    timings["segment"] = segmentation.segment_ms / 1e3
    with timings.stage("render"):
        reply = await runtime.in_worker(partial(_render, runtime, segmentation, query, options))
    keep = BackgroundTask(keep_shots, runtime, [shots], segmentation.encodings)
    return Response(reply.body, headers=reply.headers, media_type=reply.media_type, background=keep)


def _prepare(runtime: Runtime, shots: Shots, query: Part, fusion: Fusion) -> Task:
    photograph = decode_photograph(query, runtime.settings.max_image_pixels)
    return runtime.engine.prepare(shots.ready, photograph, fusion)


def _render(runtime: Runtime, segmentation: Segmentation, query: Part, options: Options) -> Answer:
    """A query that the reply shows is decoded again: kept while waiting, it would fill memory."""
    read_query = partial(decode_photograph, query, runtime.settings.max_image_pixels)
    finding = find_object(runtime.engine.restore(segmentation), options)
    return answer(finding, options, runtime.engine.checkpoint, read_query)
