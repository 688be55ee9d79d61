"""Several classes in one query: each pixel's class, in the form asked for."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from starlette.responses import Response

from service.http.forms import read_form
from service.http.negotiation import with_output
from service.http.openapi import MULTICLASS_RESPONSES, describe_form
from service.images.answer import Answer, is_found
from service.images.codec import Part
from service.images.multiclass import answer_classes
from service.inference.engine import Prediction
from service.options import MulticlassOptions, read_options
from service.segment.inputs import MULTICLASS, QUERY_IMAGE
from service.segment.pairs import shown_classes
from service.segment.reply import Job, reply
from service.segment.runtime import Running, Runtime
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
async def segment_multiclass(request: Request, runtime: Running) -> Response:
    """Show several classes, each by supports of its label or by a stored set.

    A pixel belongs to the class that the network is surest of, where any passes the threshold.
    """
    form = await read_form(request, MULTICLASS, runtime.settings)
    options = read_options(MulticlassOptions, with_output(form.options, request.headers))
    query = form.files[QUERY_IMAGE.name][0]
    shown = shown_classes(form, runtime.settings)
    load = partial(load_supports, runtime, shown, options.mask_format)
    render = partial(_render, runtime, query, options)
    return await reply(request, runtime, Job(load, query, options.fusion, render))


def _render(
    runtime: Runtime,
    query: Part,
    options: MulticlassOptions,
    labels: Sequence[str],
    prediction: Prediction,
) -> Answer:
    """A query that the reply shows is decoded again: kept while waiting, it would fill memory."""
    read_query = partial(runtime.decode_photograph, query)
    checkpoint, presence = runtime.engine.checkpoint, prediction.presence

    def probability(number: int) -> NDArray[np.float32]:
        """Zero where the class is not there."""
        restored = runtime.engine.restore(prediction, number, options.refine)
        there = is_found(presence[number], options, checkpoint.decision)
        return restored if there else np.zeros_like(restored)

    return answer_classes(labels, probability, presence, options, checkpoint, read_query)
