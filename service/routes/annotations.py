"""Masks that are there already, as the annotation files that other tools read."""

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from service.http.deadline import while_connected
from service.http.forms import UntilReplied, open_form
from service.http.negotiation import accepted, negotiate
from service.http.openapi import ANNOTATION_RESPONSES, describe_form
from service.options import JSON, AnnotationOptions, read_options
from service.segment.annotations import archive_of, json_of, read_conversion, read_masks
from service.segment.archive import ZIP
from service.segment.inputs import ANNOTATIONS
from service.segment.runtime import Running

PATH = "/annotations"

router = APIRouter(tags=["masks"])


@router.post(
    PATH,
    operation_id="write_annotations",
    summary="Masks as annotation files",
    response_class=StreamingResponse,
    responses=ANNOTATION_RESPONSES,
    openapi_extra=describe_form(ANNOTATIONS),
)
async def write_annotations(
    request: Request, runtime: Running, until_replied: UntilReplied
) -> StreamingResponse:
    """Send masks, such as corrected ones; get them as COCO, YOLO, Pascal VOC, Label Studio, PNGs.

    A mask's file name names its photograph. No network looks at it.
    """
    media_type = negotiate(accepted(request.headers), (ZIP, JSON))
    opening = open_form(request, ANNOTATIONS, runtime.settings)
    form = await until_replied.enter_async_context(opening)
    options = read_options(AnnotationOptions, form.options)
    conversion = read_conversion(form, options, runtime.settings)
    document = conversion.only_json() if media_type == JSON else None
    records = await while_connected(request.receive, read_masks(runtime, conversion))
    until_replied.callback(records.close)
    if document:
        content = json_of(runtime, document, conversion.writer, records)
        return StreamingResponse(content, media_type=JSON)
    headers = {"Content-Disposition": 'attachment; filename="annotations.zip"'}
    content = archive_of(runtime, conversion, records)
    return StreamingResponse(content, headers=headers, media_type=ZIP)
