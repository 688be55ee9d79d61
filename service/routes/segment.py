"""Masks: one support or several, one query, one reply in the form asked for."""

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from model.episode import Fusion
from service.http.forms import Form, read_form
from service.http.negotiation import with_output
from service.http.openapi import SEGMENT_RESPONSES, describe_form
from service.images.answer import Answer, answer
from service.images.codec import Part
from service.inference.engine import Prediction
from service.options import KShotOptions, Options, read_options
from service.segment.inputs import K_SHOT, ONE_SHOT, QUERY_IMAGE
from service.segment.pairs import shown_object
from service.segment.reply import Job, reply
from service.segment.runtime import Runtime, WithModel
from service.segment.supports import load_supports

PATH = "/segment"

router = APIRouter(tags=["segmentation"])


@router.post(
    PATH,
    operation_id="segment",
    summary="Segment the query with one support",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra=describe_form(ONE_SHOT),
)
async def segment(request: Request, runtime: WithModel) -> Response:
    """Show an object once (a photograph and its mask); get its mask in the query.

    With `support_set` the form holds no supports: all of the set's are used, averaged.
    """
    form = await read_form(request, ONE_SHOT, runtime.settings)
    options = read_options(Options, with_output(form.options, request.headers))
    return await reply(request, runtime, _job(runtime, form, options, "average"))


@router.post(
    "/segment/kshot",
    operation_id="segment_kshot",
    summary="Segment the query with one or more supports",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra=describe_form(K_SHOT),
)
async def segment_kshot(request: Request, runtime: WithModel) -> Response:
    """Show an object several times; get its mask in the query.

    With `support_set` the form holds no supports: all of the set's are used.
    """
    form = await read_form(request, K_SHOT, runtime.settings)
    options = read_options(KShotOptions, with_output(form.options, request.headers))
    return await reply(request, runtime, _job(runtime, form, options, options.fusion))


def _job(runtime: Runtime, form: Form[Part], options: Options, fusion: Fusion) -> Job[Answer]:
    query = form.files[QUERY_IMAGE.name][0]
    shown = shown_object(form, runtime.settings)
    load = partial(load_supports, runtime, shown, options.mask_format)
    render = partial(_render, runtime, query, options)
    return Job(load, query, fusion, options.refine, render)


def _render(
    runtime: Runtime,
    query: Part,
    options: Options,
    labels: Sequence[str],
    prediction: Prediction,
) -> Answer:
    """A query that the reply shows is decoded again: kept while waiting, it would fill memory."""
    finding = runtime.find_object(prediction, options)
    read_query = partial(runtime.decode_photograph, query)
    return answer(finding, options, runtime.engine.checkpoint, read_query)
