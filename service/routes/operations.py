"""For operators: alive, ready, what runs, how it fares, and what each error means."""

from html import escape

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from service.http.openapi import describe_parameters, problem_responses
from service.http.problems import catalogue
from service.schemas import Health, Info
from service.segment.inputs import MODEL
from service.segment.models import describe_instance
from service.segment.runtime import Running, WithModel

router = APIRouter(tags=["operations"])


@router.get("/healthz", operation_id="health", summary="Is the process alive")
async def health() -> Health:
    """200 as long as the process answers."""
    return Health(status="alive")


@router.get(
    "/readyz",
    operation_id="readiness",
    summary="Can it segment",
    responses=problem_responses(503),
)
async def readiness(runtime: Running) -> Health:
    """200 once the checkpoint is loaded and warm, 503 before and during shutdown."""
    runtime.check_ready()
    return Health(status="ready")


@router.get(
    "/info",
    operation_id="info",
    summary="What runs here",
    responses=problem_responses(404, 422, 503),
    openapi_extra=describe_parameters(MODEL),
)
async def info(runtime: WithModel) -> Info:
    """Model, checkpoint, device, precision, limits and version; of the default, or of `model`."""
    return describe_instance(runtime)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"description": "Metrics.", "content": {"text/plain": {}}}},
)
async def metrics(request: Request) -> Response:
    """Requests by route and status, stage latencies, queue depth, memory."""
    text = await run_in_threadpool(request.app.state.telemetry.exposition.text)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/docs/errors", include_in_schema=False)
async def errors() -> HTMLResponse:
    """What the ``type`` of every problem points to."""
    rows = "".join(
        f'<dt id="{error.code}"><code>{error.code}</code> ({error.status}): {escape(error.title)}'
        f"</dt><dd>{escape(error.__doc__ or '')}</dd>"
        for error in catalogue()
    )
    return HTMLResponse(f"<!doctype html><title>Errors</title><h1>Errors</h1><dl>{rows}</dl>")
