"""Several classes in one query: each pixel's class, in the form asked for."""

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.http.forms import read_form
from service.http.negotiation import with_output
from service.http.openapi import MULTICLASS_RESPONSES, describe_form
from service.images.answer import Answer
from service.images.codec import Part
from service.images.multiclass import Candidates, answer_classes
from service.inference.engine import Prediction
from service.options import MulticlassOptions, read_options
from service.segment.inputs import MULTICLASS, QUERY_IMAGE
from service.segment.pairs import shown_classes
from service.segment.reply import Job, reply
from service.segment.runtime import Runtime, WithModel
from service.segment.supports import load_supports

router = APIRouter(tags=["segmentation"])


@router.post(
    "/segment/multiclass",
    operation_id="segment_multiclass",
    summary="Segment the query into several classes",
    response_class=Response,
    responses=MULTICLASS_RESPONSES,
    openapi_extra=describe_form(MULTICLASS),
)
async def segment_multiclass(request: Request, runtime: WithModel) -> Response:
    """Show several classes, each by supports of its label or by a stored set.

    A pixel belongs to the class that the network is surest of, where any passes the threshold. A
    class that is not found to be there marks nothing.
    """
    form = await read_form(request, MULTICLASS, runtime.settings)
    options = read_options(MulticlassOptions, with_output(form.options, request.headers))
    query = form.files[QUERY_IMAGE.name][0]
    shown = shown_classes(form, runtime.settings)
    load = partial(load_supports, runtime, shown, options.mask_format)
    render = partial(_render, runtime, query, options)
    job = Job(load, query, options.fusion, options.refine, render)
    return await reply(request, runtime, job)


def _render(
    runtime: Runtime,
    query: Part,
    options: MulticlassOptions,
    labels: Sequence[str],
    prediction: Prediction,
) -> Answer:
    """A query that the reply shows is decoded again: kept while waiting, it would fill memory."""
    read_query = partial(runtime.decode_photograph, query)
    probability = partial(runtime.engine.restore, prediction)
    candidates = Candidates(labels, prediction.presence, prediction.size, probability)
    return answer_classes(candidates, options, runtime.engine.checkpoint, read_query)
