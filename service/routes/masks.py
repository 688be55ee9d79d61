"""Which pixels of a mask file are object: for the page, and for people who try files out."""

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from model.images.masks import MaskReading
from service.http.forms import read_form
from service.http.openapi import MASK_RESPONSES, describe_form
from service.images.codec import decode_mask
from service.images.render import mask_png
from service.options import PNG, MaskOptions, read_options
from service.segment.inputs import MASK, MASK_FILE
from service.segment.new_pairs import in_time
from service.segment.runtime import Running
from service.segment.supports import reading_header

router = APIRouter(tags=["masks"])


@router.post(
    "/mask",
    operation_id="read_mask_file",
    summary="Read a mask file",
    response_class=Response,
    responses=MASK_RESPONSES,
    openapi_extra=describe_form(MASK_FILE),
)
async def read_mask_file(request: Request, runtime: Running) -> Response:
    """Get the object's pixels of a mask file, as every endpoint that takes masks reads them."""
    form = await read_form(request, MASK_FILE, runtime.settings)
    mask_format = read_options(MaskOptions, form.options).mask_format
    part = form.files[MASK.name][0]
    decode = partial(decode_mask, part, runtime.settings.max_image_pixels, mask_format)
    with runtime.queue.admit():
        body, reading = await in_time(runtime, lambda: _render(decode()))
    return Response(body, media_type=PNG, headers=reading_header([reading]))


def _render(reading: MaskReading) -> tuple[bytes, str]:
    return mask_png(reading.mask), str(reading)
