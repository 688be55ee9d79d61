"""Many queries in one request, whose outcomes are streamed as they are done."""

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from service.errors import InvalidOptionError, TooManyQueriesError
from service.http.deadline import while_connected
from service.http.forms import Form, UntilReplied, open_form
from service.http.negotiation import accepted, negotiate
from service.http.openapi import BATCH_RESPONSES, describe_form
from service.http.spool import SpooledPart
from service.options import OUTPUT, BatchOptions, read_options
from service.segment.archive import NDJSON, ZIP, archive, lines
from service.segment.batch import read_wanted, segment_each
from service.segment.inputs import BATCH, QUERY_IMAGE
from service.segment.pairs import shown_object
from service.segment.runtime import WithModel
from service.segment.supports import load_supports, readings_of

PATH = "/segment/batch"

router = APIRouter(tags=["segmentation"])


@router.post(
    PATH,
    operation_id="segment_batch",
    summary="Segment many queries with the same supports",
    response_class=StreamingResponse,
    responses=BATCH_RESPONSES,
    openapi_extra=describe_form(BATCH),
)
async def segment_batch(
    request: Request, runtime: WithModel, until_replied: UntilReplied
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
    wanted = read_wanted(queries, options)
    shown = shown_object(form, settings)
    with runtime.queue.admit():
        loading = load_supports(runtime, shown, options.mask_format)
        classes = await while_connected(request.receive, loading)
    outcomes = segment_each(runtime, classes, queries, wanted, request.state.timeout_seconds)
    headers = readings_of(classes)
    if media_type == NDJSON:
        return StreamingResponse(lines(outcomes), headers=headers, media_type=NDJSON)
    headers["Content-Disposition"] = 'attachment; filename="masks.zip"'
    content = archive(runtime, outcomes, wanted.writer)
    return StreamingResponse(content, headers=headers, media_type=ZIP)


def _read_options(form: Form[SpooledPart], media_type: str) -> BatchOptions:
    if media_type == ZIP:
        return read_options(BatchOptions, form.options)
    options = read_options(BatchOptions, {"output": "json", **form.options})
    for name, value, fit in (
        ("output", options.output, "json"),
        ("format", options.format, OUTPUT),
    ):
        if value != fit:
            raise InvalidOptionError(
                f"{name} is {value!r}, which lines of JSON cannot hold; "
                f"send {fit}, or accept {ZIP}",
                field=name,
            )
    return options
