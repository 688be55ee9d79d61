"""create_app: the rooms of the service wired together."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial

from fastapi import FastAPI

from service.checkpoints.named import named_checkpoints, of_default
from service.http import problems
from service.http.budget import Budget, disk_room
from service.http.deadline import Deadlines
from service.http.guard import Guard
from service.http.head import HeadAsGet
from service.http.observe import Observe
from service.http.openapi import describe
from service.http.origins import (
    EXPOSED_HEADERS,
    CrossOrigin,
    Origins,
    allowed_hosts,
    split_names,
)
from service.images.decoders import Decoders
from service.inference.engine import Engine, Prediction, Work
from service.inference.loading import Loader, memory_bytes, run_in_turn
from service.inference.memory import telling_of_memory
from service.inference.queue import InferenceQueue
from service.inference.registry import ModelRegistry, Outcome
from service.library.records import StoreLimits
from service.library.sets import Library
from service.library.threads import LibraryThreads
from service.metrics.telemetry import Telemetry
from service.release import installed_version
from service.routes import (
    annotations,
    batch,
    complete,
    masks,
    models,
    multiclass,
    operations,
    page,
    segment,
    supports,
)
from service.segment.runtime import Runtime
from service.segment.watching import tell_models, watch
from service.settings import Settings, read_settings

_log = logging.getLogger(__name__)
DESCRIPTION = """\
Show an object once, in a photograph with its mask, and get its mask in any other photograph.

Errors are problem JSON (RFC 9457) with a stable `code`; [/docs/errors](/docs/errors) lists them.
"""


def create_app(
    settings: Settings | None = None, engine: Engine | None = None, library: Library | None = None
) -> FastAPI:
    """The app; its lifespan loads the checkpoint and opens the database, unless they are given.

    It warms the network, and closes the database at its end. Raises SettingsError; entering the
    lifespan raises SettingsError, CheckpointError, ConfigError or DeviceError.
    """
    settings = settings or read_settings()
    telemetry = Telemetry()
    app = FastAPI(
        title="SG-One Service",
        version=installed_version(),
        summary="Few-shot segmentation as a service",
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(_lifespan, settings, engine, library),
    )
    app.state.telemetry = telemetry
    app.state.runtime = None
    app.state.on_end = _nothing
    app.state.on_reload = _nothing
    app.include_router(segment.router)
    app.include_router(multiclass.router)
    app.include_router(batch.router)
    app.include_router(complete.router)
    app.include_router(supports.router)
    app.include_router(masks.router)
    app.include_router(annotations.router)
    app.include_router(models.router)
    app.include_router(operations.router)
    app.include_router(page.router)
    problems.install(app)
    _add_middleware(app, settings)
    app.add_middleware(Observe, telemetry=telemetry)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """From the innermost on: a request meets the last one first."""
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        Deadlines,
        timeout_ms=settings.request_timeout_ms,
        prefix=segment.PATH,
        per_item={batch.PATH},
    )
    origins = split_names(settings.cors_origins or "")
    app.add_middleware(Origins, allowed_hosts=allowed_hosts(settings), allowed_origins=origins)
    app.add_middleware(
        Guard,
        max_upload_bytes=settings.max_upload_bytes,
        max_bytes_of=dict.fromkeys((batch.PATH, annotations.PATH), settings.max_batch_bytes),
        patience_ms=settings.request_timeout_ms,
        memory=Budget(settings.max_bodies_bytes, "memory"),
        disk=Budget(settings.max_spool_bytes, "disk", partial(disk_room, settings.spool_dir)),
    )
    if origins:
        app.add_middleware(
            CrossOrigin,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=EXPOSED_HEADERS,
        )


def open_library(settings: Settings) -> Library:
    """The stored supports; SettingsError where their database cannot be opened."""
    limits = StoreLimits(settings.max_sets, settings.max_stored_bytes)
    return Library.open(settings.database_url, limits)


@asynccontextmanager
async def _lifespan(
    settings: Settings, engine: Engine | None, library: Library | None, app: FastAPI
) -> AsyncIterator[None]:
    if engine is None:
        engine = await asyncio.to_thread(Engine.load, of_default(settings))
    if library is None:
        library = await asyncio.to_thread(open_library, settings)
    queue = _open_queue(settings, app)
    telemetry: Telemetry = app.state.telemetry
    with (
        ThreadPoolExecutor(settings.decode_threads, "decode") as threads,
        LibraryThreads() as storage,
    ):
        try:
            with _open_decoders(
                settings, telemetry
            ) as decoders:  # which end first: threads wait for them
                engine.restore(await run_in_turn(engine, engine.warm_up_tasks(), queue))
                models = ModelRegistry(
                    named_checkpoints(settings),
                    engine,
                    Loader(settings, type(engine), queue),
                    memory_bytes,
                    settings.max_models_bytes,
                    partial(_follow, app),
                )
                app.state.runtime = Runtime(
                    settings, engine, queue, threads, library, storage, telemetry, models, decoders
                )
                watch(telemetry, app.state.runtime)
                async with telemetry.exposition.kept_fresh():
                    yield
        finally:
            if (runtime := app.state.runtime) is not None:
                await runtime.models.close()
            await queue.close()
            await asyncio.to_thread(library.close)
            app.state.runtime = None


def _open_decoders(
    settings: Settings, telemetry: Telemetry
) -> AbstractContextManager[Decoders | None]:
    """None where a system cannot fork: files are decoded by threads there, which nothing ends."""
    if not hasattr(os, "memfd_create"):
        return nullcontext()
    return Decoders(
        settings.decode_threads,
        settings.request_timeout_ms / 1e3,
        lambda cause: telemetry.decoder_losses.labels(cause).inc(),
    )


def _open_queue(settings: Settings, app: FastAPI) -> InferenceQueue[Work, Prediction]:
    """``app.state.on_end`` is called, on another thread, where inference has ended for good."""
    return InferenceQueue(
        telling_of_memory(_compute),
        settings.max_queue,
        on_crash=app.state.telemetry.inference_crashes.inc,
        on_end=lambda: app.state.on_end(),
    )


def _compute(work: Work) -> Prediction:
    return work()


def _nothing() -> None:
    pass


def _follow(app: FastAPI, name: str, outcome: Outcome) -> None:
    """A model was loaded, dropped or replaced: requests and metrics go by it from now on."""
    telemetry, runtime = app.state.telemetry, app.state.runtime
    _log.info("model %s: %s", name, outcome)
    telemetry.model_changes.labels(name, outcome).inc()
    tell_models(telemetry, runtime.models)
    app.state.runtime = replace(runtime, engine=runtime.models.engines[0])
