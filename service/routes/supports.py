"""Stored supports: named sets that later requests refer to instead of sending their pairs."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from service.errors import MissingPartError
from service.http.forms import read_form
from service.http.openapi import CREATED, describe_form, file_response, problem_responses
from service.images.codec import MEDIA_TYPES, media_type
from service.schemas import EXAMPLE_ID, SupportSet, SupportSets
from service.segment.archive import ZIP
from service.segment.inputs import (
    LABEL,
    NAME,
    NEW_SET,
    PAIR_CHANGE,
    PAIRS,
    SET_ARCHIVE,
    SET_CHANGE,
)
from service.segment.new_pairs import (
    complete_pair,
    decode_pairs,
    in_time,
    told_readings,
    unpack_set,
)
from service.segment.runtime import Running
from service.segment.set_files import disposition, export

SetId = Annotated[str, Path(description="Of the set.", examples=[EXAMPLE_ID])]
PairId = Annotated[str, Path(description="Of a pair in the set.", examples=[EXAMPLE_ID])]
MAX_PAGE = 200
MAX_OFFSET = 2**31 - 1

router = APIRouter(tags=["stored supports"])
_UPLOAD_PROBLEMS = problem_responses(400, 408, 413, 415, 422, 429, 500, 503, 504, 507)
_CHANGE_PROBLEMS = _UPLOAD_PROBLEMS | problem_responses(404, 409)
_READ_PROBLEMS = problem_responses(404, 422, 500, 503)
_FILE = file_response("The file as uploaded.", *MEDIA_TYPES) | _READ_PROBLEMS


@router.post(
    "/supports",
    operation_id="create_support_set",
    summary="Store supports under a name",
    status_code=201,
    responses=CREATED | _UPLOAD_PROBLEMS | problem_responses(409),
    openapi_extra=describe_form(NEW_SET),
)
async def create_set(request: Request, response: Response, runtime: Running) -> SupportSet:
    """Everything is decoded and checked first; then all of it is stored, or nothing."""
    form = await read_form(request, NEW_SET, runtime.settings)
    name, label = form.text(NAME.name), form.text(LABEL.name) or None
    decoded = await decode_pairs(runtime, form)
    pairs = [each.pair for each in decoded]
    created = await runtime.storage.run(runtime.library.create, name, label, pairs)
    response.headers.update(told_readings(decoded) | {"Location": _address(request, created)})
    return created


@router.post(
    "/supports/import",
    operation_id="import_support_set",
    summary="Store an exported support set",
    status_code=201,
    responses=CREATED | _UPLOAD_PROBLEMS | problem_responses(409),
    openapi_extra=describe_form(SET_ARCHIVE),
)
async def import_set(request: Request, response: Response, runtime: Running) -> SupportSet:
    """Under its own name, or another. All of it is checked as any upload is, and stored whole."""
    form = await read_form(request, SET_ARCHIVE, runtime.settings)
    name = form.text(NAME.name)
    with runtime.queue.admit():  # until it is stored: what it unpacks to is not counted as its body
        sent, decoded = await in_time(runtime, partial(unpack_set, runtime, form))
        pairs = [each.pair for each in decoded]
        create = partial(runtime.library.create, name or sent.name, sent.label, pairs)
        created = await runtime.storage.run(create)
    response.headers.update(told_readings(decoded) | {"Location": _address(request, created)})
    return created


@router.get(
    "/supports",
    operation_id="list_support_sets",
    summary="List the support sets",
    responses=problem_responses(422, 500, 503),
)
async def list_sets(
    runtime: Running,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Sets of a page.")] = 50,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Sets to leave out.")] = 0,
) -> SupportSets:
    """From the newest on."""
    return await runtime.storage.run(runtime.library.page, limit, offset)


@router.get(
    "/supports/{set_id}",
    operation_id="read_support_set",
    summary="Describe a support set",
    responses=_READ_PROBLEMS,
)
async def read_set(set_id: SetId, runtime: Running) -> SupportSet:
    """Its name, label and pairs."""
    return await runtime.storage.run(runtime.library.read, set_id)


@router.patch(
    "/supports/{set_id}",
    operation_id="change_support_set",
    summary="Rename a support set",
    responses=_CHANGE_PROBLEMS,
    openapi_extra=describe_form(SET_CHANGE),
)
async def change_set(set_id: SetId, request: Request, runtime: Running) -> SupportSet:
    """What is not sent stays as it is."""
    form = await read_form(request, SET_CHANGE, runtime.settings)
    name, label = form.text_if_sent(NAME.name), form.text_if_sent(LABEL.name)
    if name == "" or (name is None and label is None):
        raise MissingPartError("send a name that is not blank, a label, or both", field=NAME.name)
    return await runtime.storage.run(runtime.library.change, set_id, name, label)


@router.delete(
    "/supports/{set_id}",
    operation_id="delete_support_set",
    summary="Delete a support set",
    status_code=204,
    responses=problem_responses(404, 422, 500, 503, 507),
)
async def delete_set(set_id: SetId, runtime: Running) -> None:
    """With its pairs and all that was computed of them."""
    await runtime.storage.run(runtime.library.delete, set_id)


@router.get(
    "/supports/{set_id}/export",
    operation_id="export_support_set",
    summary="A support set as one file",
    response_class=StreamingResponse,
    responses=file_response("A ZIP archive, streamed.", ZIP) | _READ_PROBLEMS,
)
async def export_set(set_id: SetId, runtime: Running) -> StreamingResponse:
    """Its photographs and masks as uploaded, and `set.json`, for `POST /supports/import`."""
    described = await runtime.storage.run(runtime.library.read, set_id)
    headers = {"Content-Disposition": disposition(described.name)}
    return StreamingResponse(export(runtime, described), headers=headers, media_type=ZIP)


@router.get(
    "/supports/{set_id}/thumbnail",
    operation_id="read_support_set_thumbnail",
    summary="A small picture of a support set",
    response_class=Response,
    responses=file_response("The picture.", "image/png") | _READ_PROBLEMS,
)
async def read_thumbnail(set_id: SetId, runtime: Running) -> Response:
    """The first pair, its object tinted and outlined, at most 256 pixels a side."""
    png = await runtime.storage.run(runtime.library.thumbnail, set_id)
    return Response(png, media_type="image/png")


@router.post(
    "/supports/{set_id}/pairs",
    operation_id="add_support_pairs",
    summary="Add pairs to a support set",
    status_code=201,
    responses=_UPLOAD_PROBLEMS | problem_responses(404),
    openapi_extra=describe_form(PAIRS),
)
async def add_pairs(
    set_id: SetId, request: Request, response: Response, runtime: Running
) -> SupportSet:
    """They come after the pairs that are there."""
    form = await read_form(request, PAIRS, runtime.settings)
    decoded = await decode_pairs(runtime, form)
    response.headers.update(told_readings(decoded))
    pairs, most = [each.pair for each in decoded], runtime.settings.max_shots
    return await runtime.storage.run(runtime.library.add_pairs, set_id, pairs, most)


@router.put(
    "/supports/{set_id}/pairs/{pair_id}",
    operation_id="replace_support_pair",
    summary="Replace a pair's mask, its photograph, or both",
    responses=_CHANGE_PROBLEMS,
    openapi_extra=describe_form(PAIR_CHANGE),
)
async def replace_pair(
    set_id: SetId, pair_id: PairId, request: Request, response: Response, runtime: Running
) -> SupportSet:
    """The pair keeps its id and its place. What is not sent stays, and must fit what is."""
    form = await read_form(request, PAIR_CHANGE, runtime.settings)
    decoded, unchanged = await complete_pair(runtime, set_id, pair_id, form)
    response.headers.update(told_readings([decoded]))
    replace = partial(runtime.library.replace_pair, set_id, pair_id, decoded.pair, unchanged)
    return await runtime.storage.run(replace)


@router.delete(
    "/supports/{set_id}/pairs/{pair_id}",
    operation_id="delete_support_pair",
    summary="Delete a pair of a support set",
    status_code=204,
    responses=problem_responses(404, 409, 422, 500, 503, 507),
)
async def delete_pair(set_id: SetId, pair_id: PairId, runtime: Running) -> None:
    """A set keeps at least one pair."""
    await runtime.storage.run(runtime.library.delete_pair, set_id, pair_id)


@router.get(
    "/supports/{set_id}/pairs/{pair_id}/image",
    operation_id="read_support_image",
    summary="A pair's photograph",
    response_class=Response,
    responses=_FILE,
)
async def read_image(set_id: SetId, pair_id: PairId, runtime: Running) -> Response:
    """The bytes that were uploaded."""
    return _file(await runtime.storage.run(runtime.library.image, set_id, pair_id))


@router.get(
    "/supports/{set_id}/pairs/{pair_id}/mask",
    operation_id="read_support_mask",
    summary="A pair's mask",
    response_class=Response,
    responses=_FILE,
)
async def read_mask(set_id: SetId, pair_id: PairId, runtime: Running) -> Response:
    """The bytes that were uploaded."""
    return _file(await runtime.storage.run(runtime.library.mask, set_id, pair_id))


def _address(request: Request, created: SupportSet) -> str:
    return f"{request.scope['root_path']}/supports/{created.id}"


def _file(content: bytes) -> Response:
    return Response(content, media_type=media_type(content))
