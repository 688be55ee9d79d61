"""Masks: one support or several, one query, one reply in the form asked for."""

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from model.episode import Fusion
from service.http.forms import Form, FormLayout, read_form
from service.http.negotiation import with_output
from service.http.openapi import KSHOT_INPUT, ONE_SHOT_INPUT, SEGMENT_RESPONSES
from service.images.answer import Answer, answer, find_object
from service.images.codec import Part, decode_photograph
from service.inference.engine import Prediction
from service.options import KShotOptions, Options, read_options
from service.segment.pairs import (
    SUPPORT_PARTS,
    SUPPORT_SET,
    expected_layout,
    max_parts,
    named_set,
    support_pairs,
)
from service.segment.reply import Classes, Job, reply
from service.segment.runtime import Running, Runtime
from service.segment.shots import load_shots

PATH = "/segment"
# The one class, which needs no name.
THE_OBJECT = "object"
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
    PATH,
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
    options = read_options(Options, with_output(form.options, request.headers))
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
    options = read_options(KShotOptions, with_output(form.options, request.headers))
    return await _answer(request, runtime, form, options, options.fusion)


async def _read_form(request: Request, layout: FormLayout, runtime: Runtime) -> Form:
    parts = max_parts(runtime.settings.max_shots)
    return await read_form(request, expected_layout(request, layout), parts)


async def _answer(
    request: Request, runtime: Runtime, form: Form, options: Options, fusion: Fusion
) -> Response:
    """The same for one shot, for K, and for a stored set."""
    query = form.files["query_image"][0]
    set_id = named_set(form)
    pairs = support_pairs(form.files, runtime.settings.max_shots) if set_id is None else []
    render = partial(_render, runtime, query, options)
    load = partial(_load, runtime, set_id, pairs)
    return await reply(request, runtime, Job(load, query, fusion, render))


async def _load(
    runtime: Runtime, set_id: str | None, pairs: Sequence[tuple[Part, Part]]
) -> Classes:
    return {THE_OBJECT: [await load_shots(runtime, set_id, pairs)]}


def _render(
    runtime: Runtime,
    query: Part,
    options: Options,
    labels: Sequence[str],
    prediction: Prediction,
) -> Answer:
    """A query that the reply shows is decoded again: kept while waiting, it would fill memory."""
    read_query = partial(decode_photograph, query, runtime.settings.max_image_pixels)
    finding = find_object(runtime.engine.restore(prediction), options)
    return answer(finding, options, runtime.engine.checkpoint, read_query)
