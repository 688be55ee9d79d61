"""For operators: alive, ready, what runs, how it fares, and what each error means."""

from html import escape

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from service.http.openapi import problem_responses
from service.http.problems import catalogue
from service.release import installed_version
from service.schemas import Health, Info, Limits
from service.segment.runtime import Running, Runtime

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
    responses=problem_responses(503),
)
async def info(runtime: Running) -> Info:
    """Model, checkpoint, device, precision, limits and version."""
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


def describe_instance(runtime: Runtime) -> Info:
    """The reply of /info."""
    engine, settings = runtime.engine, runtime.settings
    return Info(
        version=installed_version(),
        model=engine.checkpoint.card.name,
        architecture=engine.checkpoint.architecture.backbone,
        checkpoint_sha256=engine.checkpoint.sha256,
        classes_seen=list(engine.checkpoint.card.classes),
        executor=engine.executor.name,
        device=engine.executor.device,
        precision=engine.executor.precision,
        input_side=engine.predictor.transform.side,
        object_threshold=engine.checkpoint.decision.object_threshold,
        presence_threshold=engine.checkpoint.decision.presence_threshold,
        presence_is_learned=engine.checkpoint.architecture.presence,
        limits=Limits(
            max_shots=settings.max_shots,
            max_classes=settings.max_classes,
            max_queries=settings.max_queries,
            max_image_pixels=settings.max_image_pixels,
            max_upload_bytes=settings.max_upload_bytes,
            max_batch_bytes=settings.max_batch_bytes,
            max_queue=settings.max_queue,
            request_timeout_ms=settings.request_timeout_ms,
        ),
    )
