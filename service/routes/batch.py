"""Many queries in one request, whose outcomes are streamed as they are done."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from service.errors import InvalidOptionError, TooManyQueriesError
from service.http.deadline import while_connected
from service.http.forms import Form, open_form
from service.http.negotiation import accepted, negotiate
from service.http.openapi import BATCH_RESPONSES, describe_form
from service.http.spool import SpooledPart
from service.options import KShotOptions, read_options
from service.segment.archive import NDJSON, ZIP, archive, lines
from service.segment.batch import segment_each
from service.segment.inputs import BATCH, QUERY_IMAGE
from service.segment.pairs import shown_object
from service.segment.runtime import Running
from service.segment.supports import load_supports, readings_of

PATH = "/segment/batch"

router = APIRouter(tags=["segmentation"])


async def _until_replied() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


UntilReplied = Annotated[AsyncExitStack, Depends(_until_replied)]


@router.post(
    PATH,
    operation_id="segment_batch",
    summary="Segment many queries with the same supports",
    response_class=StreamingResponse,
    responses=BATCH_RESPONSES,
    openapi_extra=describe_form(BATCH),
)
async def segment_batch(
    request: Request, runtime: Running, until_replied: UntilReplied
) -> StreamingResponse:
    """Show an object; get its mask in each query, as soon as it is done.

    A query that cannot be used has an error in its place, and the others go on.
    """
    settings = runtime.settings
    media_type = negotiate(accepted(request.headers), (ZIP, NDJSON))
    form = await until_replied.enter_async_context(open_form(request, BATCH, settings))
    options = _read_options(form, media_type)
    queries = form.files[QUERY_IMAGE.name]
    if len(queries) > settings.max_queries:
        raise TooManyQueriesError(
            f"there are {len(queries)} queries, the limit is {settings.max_queries}; send fewer",
            field=QUERY_IMAGE.name,
        )
    shown = shown_object(form, settings)
    with runtime.queue.admit():
        loading = load_supports(runtime, shown, options.mask_format)
        classes = await while_connected(request.receive, loading)
    outcomes = segment_each(runtime, classes, queries, options, request.state.timeout_seconds)
    headers = readings_of(classes)
    if media_type == NDJSON:
        return StreamingResponse(lines(outcomes), headers=headers, media_type=NDJSON)
    headers["Content-Disposition"] = 'attachment; filename="masks.zip"'
    return StreamingResponse(archive(runtime, outcomes), headers=headers, media_type=ZIP)


def _read_options(form: Form[SpooledPart], media_type: str) -> KShotOptions:
    if media_type == ZIP:
        return read_options(KShotOptions, form.options)
    options = read_options(KShotOptions, {"output": "json", **form.options})
    if options.output != "json":
        raise InvalidOptionError(
            f"output is {options.output!r}, which lines of JSON cannot hold; "
            f"send json, or accept {ZIP}",
            field="output",
        )
    return options
