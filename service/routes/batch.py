"""Many queries in one request, whose outcomes are streamed as they are done."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from service.errors import InvalidOptionError, TooManyQueriesError
from service.http.connection import while_connected
from service.http.forms import Form, FormLayout, open_form
from service.http.negotiation import accepted, negotiate
from service.http.openapi import BATCH_INPUT, BATCH_RESPONSES
from service.options import KShotOptions, read_options
from service.segment.archive import NDJSON, ZIP, archive, lines
from service.segment.batch import segment_each
from service.segment.pairs import (
    SUPPORT_PARTS,
    SUPPORT_SET,
    expected_layout,
    max_parts,
    named_set,
    support_pairs,
)
from service.segment.runtime import Running, Runtime
from service.segment.shots import Shots, load_shots

PATH = "/segment/batch"
BATCH = FormLayout(
    spooled=(*SUPPORT_PARTS, "query_image"),
    options=tuple(KShotOptions.model_fields),
    parameters=(SUPPORT_SET,),
)

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
    openapi_extra=BATCH_INPUT,
)
async def segment_batch(
    request: Request, runtime: Running, until_replied: UntilReplied
) -> StreamingResponse:
    """Show an object; get its mask in each query, as soon as it is done.

    A query that cannot be used has an error in its place, and the others go on.
    """
    settings = runtime.settings
    media_type = negotiate(accepted(request.headers), (ZIP, NDJSON))
    layout = expected_layout(request, BATCH)
    parts = max_parts(settings.max_shots) + settings.max_queries
    form = await until_replied.enter_async_context(open_form(request, layout, parts))
    options = _read_options(form, media_type)
    queries = form.spooled["query_image"]
    if len(queries) > settings.max_queries:
        raise TooManyQueriesError(
            f"there are {len(queries)} queries, the limit is {settings.max_queries}; send fewer",
            field="query_image",
        )
    shots = await _load_shots(request, runtime, form)
    outcomes = segment_each(runtime, shots, queries, options, request.state.timeout_seconds)
    if media_type == NDJSON:
        return StreamingResponse(lines(outcomes), media_type=NDJSON)
    headers = {"Content-Disposition": 'attachment; filename="masks.zip"'}
    return StreamingResponse(archive(runtime, outcomes), headers=headers, media_type=ZIP)


def _read_options(form: Form, media_type: str) -> KShotOptions:
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


async def _load_shots(request: Request, runtime: Runtime, form: Form) -> Shots:
    set_id = named_set(form)
    pairs = support_pairs(form.spooled, runtime.settings.max_shots) if set_id is None else []
    with runtime.queue.admit():
        return await while_connected(request.receive, load_shots(runtime, set_id, pairs))
