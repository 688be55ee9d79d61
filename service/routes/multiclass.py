"""Several classes in one query: each pixel's class, in the form asked for."""

import dataclasses
from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.http.forms import FormLayout, read_form
from service.http.negotiation import with_output
from service.http.openapi import MULTICLASS_INPUT, MULTICLASS_RESPONSES
from service.images.answer import Answer
from service.images.codec import Part, decode_photograph
from service.images.multiclass import answer_classes
from service.inference.engine import Prediction
from service.options import MulticlassOptions, read_options
from service.segment.pairs import (
    SPARE_PARTS,
    SUPPORT_LABEL,
    SUPPORT_PARTS,
    SUPPORT_SET,
    labelled_pairs,
)
from service.segment.reply import Job, reply
from service.segment.runtime import Running, Runtime
from service.segment.shots import load_classes

SENT = FormLayout(
    single=("query_image",),
    repeated=SUPPORT_PARTS,
    texts=(SUPPORT_LABEL,),
    options=tuple(MulticlassOptions.model_fields),
    parameters=(SUPPORT_SET,),
)
STORED = dataclasses.replace(SENT, repeated=(), optional=SUPPORT_PARTS)

router = APIRouter(tags=["segmentation"])


@router.post(
    "/segment/multiclass",
    operation_id="segment_multiclass",
    summary="Segment the query into several classes",
    response_class=Response,
    responses=MULTICLASS_RESPONSES,
    openapi_extra=MULTICLASS_INPUT,
)
async def segment_multiclass(request: Request, runtime: Running) -> Response:
    """Show several classes, each by supports of its label or by a stored set.

    A pixel belongs to the class that the network is surest of, where any passes the threshold.
    """
    set_ids = list(dict.fromkeys(request.query_params.getlist(SUPPORT_SET)))
    form = await read_form(request, STORED if set_ids else SENT, _max_parts(runtime))
    options = read_options(MulticlassOptions, with_output(form.options, request.headers))
    sent = labelled_pairs(form, runtime.settings)
    query = form.files["query_image"][0]
    load = partial(load_classes, runtime, sent, set_ids)
    render = partial(_render, runtime, query, options)
    return await reply(request, runtime, Job(load, query, options.fusion, render))


def _max_parts(runtime: Runtime) -> int:
    shots = runtime.settings.max_shots * runtime.settings.max_classes
    return (len(SUPPORT_PARTS) + 1) * shots + SPARE_PARTS


def _render(
    runtime: Runtime,
    query: Part,
    options: MulticlassOptions,
    labels: Sequence[str],
    prediction: Prediction,
) -> Answer:
    """A query that the reply shows is decoded again: kept while waiting, it would fill memory."""
    read_query = partial(decode_photograph, query, runtime.settings.max_image_pixels)
    probability = partial(runtime.engine.restore, prediction)
    return answer_classes(labels, probability, options, runtime.engine.checkpoint, read_query)
