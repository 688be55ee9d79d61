"""Stored supports: named sets that later requests refer to instead of sending their pairs."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from model.images.masks import MaskFormat, MaskReading
from service.http.deadline import within
from service.http.forms import Form, read_form
from service.http.openapi import CREATED, describe_form, file_response, problem_responses
from service.images.codec import MEDIA_TYPES, Part, media_type
from service.images.render import mask_png
from service.images.thumbnail import thumbnail_png
from service.library.sets import NewPair
from service.options import MaskOptions, read_options
from service.schemas import EXAMPLE_ID, SupportSet, SupportSets
from service.segment.inputs import LABEL, NAME, NEW_SET, PAIRS
from service.segment.pairs import support_pairs
from service.segment.runtime import Running, Runtime
from service.segment.supports import reading_header

SetId = Annotated[str, Path(description="Of the set.", examples=[EXAMPLE_ID])]
PairId = Annotated[str, Path(description="Of a pair in the set.", examples=[EXAMPLE_ID])]
MAX_PAGE = 200
MAX_OFFSET = 2**31 - 1

router = APIRouter(tags=["stored supports"])
_UPLOAD_PROBLEMS = problem_responses(400, 408, 413, 415, 422, 429, 500, 503, 504, 507)
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
    pairs = await _decode(runtime, form, response)
    created = await runtime.storage.run(runtime.library.create, name, label, pairs)
    response.headers["Location"] = f"{request.scope['root_path']}/supports/{created.id}"
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
    pairs = await _decode(runtime, form, response)
    most = runtime.settings.max_shots
    return await runtime.storage.run(runtime.library.add_pairs, set_id, pairs, most)


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


async def _decode(runtime: Runtime, form: Form[Part], response: Response) -> list[NewPair]:
    """Hold a place in the queue meanwhile, so that what is decoded at once is bounded.

    Storing has no limit of time: who hears that it is over should know that nothing is stored.
    """
    pairs = support_pairs(form, runtime.settings.max_shots)
    mask_format = read_options(MaskOptions, form.options).mask_format
    with runtime.queue.admit():
        async with within(runtime.settings.request_timeout_ms / 1e3):
            decode = partial(_new_pairs, runtime, pairs, mask_format)
            new_pairs = await runtime.in_worker(decode)
    response.headers.update(reading_header(reading for _, reading in new_pairs))
    return [pair for pair, _ in new_pairs]


def _new_pairs(
    runtime: Runtime, pairs: Sequence[tuple[Part, Part]], mask_format: MaskFormat
) -> list[tuple[NewPair, str]]:
    """One after the other, so that one full-size image is in memory at a time."""
    return [_new_pair(runtime, image, mask, mask_format) for image, mask in pairs]


def _new_pair(
    runtime: Runtime, image: Part, mask: Part, mask_format: MaskFormat
) -> tuple[NewPair, str]:
    """A mask that is not plainly light on dark is stored as it was read, to be read so again."""
    support, reading = runtime.decode_shot(image, mask, mask_format)
    height, width = support.mask.shape
    area = int(support.mask.sum())
    stored_mask = mask.content if _is_plain(mask_format, reading) else mask_png(support.mask)
    thumbnail = thumbnail_png(support)
    return NewPair(image.content, stored_mask, thumbnail, width, height, area), str(reading)


def _is_plain(mask_format: MaskFormat, reading: MaskReading) -> bool:
    return mask_format == "auto" and reading.name == "light"


def _file(content: bytes) -> Response:
    return Response(content, media_type=media_type(content))
