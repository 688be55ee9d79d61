"""A rough mark, or a mask that is nearly right, made a mask: the photograph is its own support."""

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.http.forms import read_form
from service.http.negotiation import with_output
from service.http.openapi import SEGMENT_RESPONSES, describe_form
from service.images.answer import Answer, answer, find_object
from service.images.codec import Part
from service.images.drawing import within_bounds
from service.inference.engine import Prediction
from service.options import CompletionOptions, read_options
from service.segment.inputs import COMPLETION
from service.segment.pairs import one_object, support_pairs
from service.segment.reply import Job, reply
from service.segment.runtime import Runtime, WithModel
from service.segment.supports import load_supports

router = APIRouter(tags=["masks"])


@router.post(
    "/segment/complete",
    operation_id="complete_mask",
    summary="Make a mask of a rough one",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra=describe_form(COMPLETION),
)
async def complete(request: Request, runtime: WithModel) -> Response:
    """Mark an object roughly in a photograph; get its mask there, to look at and to correct.

    The network looks in the photograph for what is marked in it. Of a `support_mark`, what is
    marked as background, and what lies beyond a bbox or polygons, stays background.
    """
    form = await read_form(request, COMPLETION, runtime.settings)
    options = read_options(CompletionOptions, with_output(form.options, request.headers))
    pairs = support_pairs(form, max_shots=1)
    ((image, mask),) = pairs
    load = partial(load_supports, runtime, one_object(pairs), options.mask_format)
    render = partial(_render, runtime, image, mask, options)
    return await reply(request, runtime, Job(load, image, "average", options.refine, render))


def _render(
    runtime: Runtime,
    image: Part,
    mask: Part,
    options: CompletionOptions,
    labels: Sequence[str],
    prediction: Prediction,
) -> Answer:
    """What is marked is read again: kept while waiting, it would fill memory."""
    checkpoint = runtime.engine.checkpoint
    probability = runtime.engine.restore(prediction)
    if mask.is_mark:
        probability = within_bounds(probability, mask.content, mask.field)
    decision = options.decide(checkpoint.decision)
    finding = find_object(probability, prediction.presence[0], decision, options)
    read_image = partial(runtime.decode_photograph, image)
    return answer(finding, options, checkpoint, read_image)
