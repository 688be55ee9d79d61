"""Masks: one support or several, one query, one PNG."""

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from model.guidance import FUSIONS, Fusion
from service.codec import decode_photograph, decode_support
from service.connection import while_connected
from service.engine import Engine, Segmentation, Task
from service.errors import InvalidOptionError, SupportCountMismatchError, TooManyShotsError
from service.forms import Form, FormLayout, read_form
from service.openapi import KSHOT_BODY, ONE_SHOT_BODY, SEGMENT_RESPONSES
from service.render import mask_png, object_mask
from service.runtime import Running, Runtime
from service.telemetry import Timings

ONE_SHOT = FormLayout(single=("support_image", "support_mask", "query_image"))
K_SHOT = FormLayout(
    single=("query_image",), repeated=("support_image", "support_mask"), options=("fusion",)
)
# Parts above two for each shot that a form may have before it is refused unread.
SPARE_PARTS = 8

router = APIRouter(tags=["segmentation"])


@router.post(
    "/segment",
    operation_id="segment",
    summary="Segment the query with one support",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra=ONE_SHOT_BODY,
)
async def segment(request: Request, runtime: Running) -> Response:
    """Show an object once (a photograph and its mask); get its mask in the query."""
    form = await read_form(request, ONE_SHOT, _max_parts(runtime))
    return await _answer(request, runtime, form, "average")


@router.post(
    "/segment/kshot",
    operation_id="segment_kshot",
    summary="Segment the query with one or more supports",
    response_class=Response,
    responses=SEGMENT_RESPONSES,
    openapi_extra=KSHOT_BODY,
)
async def segment_kshot(request: Request, runtime: Running) -> Response:
    """Show an object several times; get its mask in the query."""
    form = await read_form(request, K_SHOT, _max_parts(runtime))
    _check_shots(form, runtime.settings.max_shots)
    return await _answer(request, runtime, form, _fusion(form))


async def _answer(request: Request, runtime: Runtime, form: Form, fusion: Fusion) -> Response:
    """Decode, wait for the network, render: the same for one shot and for K."""
    timings: Timings = request.state.timings
    with runtime.scheduler.admit() as place:
        with timings.stage("decode"):
            task = await runtime.in_worker(partial(_prepare, runtime, form, fusion))
        work = runtime.scheduler.run(place, task)
        segmentation = await while_connected(request.receive, work)
    timings["queue"] = place.queue_seconds
    timings["encode"] = segmentation.encode_ms / 1e3
    timings["segment"] = segmentation.segment_ms / 1e3
    with timings.stage("render"):
        png = await runtime.in_worker(partial(_render, runtime.engine, segmentation))
    return Response(png, media_type="image/png")


def _prepare(runtime: Runtime, form: Form, fusion: Fusion) -> Task:
    """Decode one shot after the other, so that one full-size image is in memory at a time."""
    max_pixels = runtime.settings.max_image_pixels
    pairs = zip(form.files["support_image"], form.files["support_mask"], strict=True)
    supports = (decode_support(image, mask, max_pixels) for image, mask in pairs)
    query = decode_photograph(form.files["query_image"][0], max_pixels)
    return runtime.engine.prepare(supports, query, fusion)


def _render(engine: Engine, segmentation: Segmentation) -> bytes:
    return mask_png(object_mask(engine.restore(segmentation)))


def _max_parts(runtime: Runtime) -> int:
    return 2 * runtime.settings.max_shots + SPARE_PARTS


def _check_shots(form: Form, max_shots: int) -> None:
    images, masks = len(form.files["support_image"]), len(form.files["support_mask"])
    if images != masks:
        raise SupportCountMismatchError(
            f"there are {images} support_image and {masks} support_mask; "
            "send one mask for each image, in the same order",
            field="support_mask",
        )
    if images > max_shots:
        raise TooManyShotsError(
            f"there are {images} supports, the limit is {max_shots}; send fewer",
            field="support_image",
        )


def _fusion(form: Form) -> Fusion:
    name = form.options.get("fusion", "average")
    for fusion in FUSIONS:
        if name == fusion:
            return fusion
    raise InvalidOptionError(
        f"fusion is {name[:80]!r}; send {' or '.join(FUSIONS)}", field="fusion"
    )
