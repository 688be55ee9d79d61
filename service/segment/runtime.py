"""What the routes of a running app share, made in its lifespan and handed to each request."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from model.episode import Photograph, Support
from model.images.masks import MaskFormat, MaskReading
from service.errors import DuplicatePartError, NotReadyError
from service.giving_up import go_on, until
from service.http.deadline import within
from service.http.spool import SentPart
from service.images.answer import Finding, find_object
from service.images.codec import Part, decode_photograph, decode_shot
from service.images.decoders import Decoders
from service.images.nursery import LARGE_PIXELS
from service.inference.engine import Engine, Prediction, Work
from service.inference.queue import InferenceQueue
from service.inference.registry import ModelRegistry
from service.library.sets import Library
from service.library.threads import LibraryThreads
from service.metrics.telemetry import Telemetry
from service.options import Options
from service.segment.inputs import MODEL
from service.segment.stored_masks import as_stored
from service.settings import Settings

Value = TypeVar("Value")
# Lines of text; more than the encodings that fit into their cache.
MAX_READINGS = 10_000
# How often a thread that waits for its turn looks up.
_TICK_SECONDS = 0.1


class Readings:
    """How the masks of kept encodings were read, which are not decoded again; for any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, key: bytes, reading: str) -> None:
        """Of many, the latest stay."""
        with self._lock:
            self._kept[key] = reading
            if len(self._kept) > MAX_READINGS:
                self._kept.popitem(last=False)

    def get(self, key: bytes) -> str | None:
        """None where it is not kept."""
        with self._lock:
            return self._kept.get(key)


@dataclass(frozen=True)
class Runtime:
    """The rooms behind the routes, with the model of one request: ``engine``.

    ``threads`` wait for decoders, and encode.
    """

    settings: Settings
    engine: Engine
    queue: InferenceQueue[Work, Prediction]
    threads: ThreadPoolExecutor
    library: Library
    storage: LibraryThreads
    telemetry: Telemetry
    models: ModelRegistry
    decoders: Decoders | None = None
    readings: Readings = field(default_factory=Readings)
    large: threading.Lock = field(default_factory=threading.Lock)

    def decode_photograph(self, file: SentPart) -> Photograph:
        """For ``in_thread``; raises PayloadTooLargeError and the codec's errors."""
        part = file.read(self.settings.max_upload_bytes)
        return decode_photograph(part, self.settings.max_image_pixels)

    def decode_shot(
        self, image: Part, mask: Part, mask_format: MaskFormat = "auto"
    ) -> tuple[Support, MaskReading]:
        """For ``in_thread``; raises the codec's errors."""
        return decode_shot(image, mask, self.settings.max_image_pixels, mask_format)

    def stored_mask(self, mask: Part, area: int) -> Part:
        """For ``in_thread``: a stored pair's mask as it was read then; raises UnclearMaskError."""
        return as_stored(mask, area, self.settings.max_image_pixels)

    def find_object(self, prediction: Prediction, options: Options) -> Finding:
        """For ``in_thread``: the one object that was looked for."""
        probability, (presence,) = self.engine.restore(prediction), prediction.presence
        decision = options.decide(self.engine.checkpoint.decision)
        return find_object(probability, presence, decision, options)

    @contextmanager
    def turn(self, size: tuple[int, int]) -> Iterator[None]:
        """For ``in_thread``: one large picture is worked on at a time, as it takes up to 1 GB."""
        height, width = size
        if height * width <= LARGE_PIXELS:
            yield
            return
        while not self.large.acquire(timeout=_TICK_SECONDS):
            go_on()
        try:
            yield
        finally:
            self.large.release()

    async def in_thread(self, work: Callable[[], Value]) -> Value:
        """Run ``work`` on a thread of the pool, off the event loop.

        Where this is cancelled, what it decodes is ended, and all else at its next step.
        """
        given_up = threading.Event()
        run = partial(self._run, work, given_up)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, run)
        except asyncio.CancelledError:
            given_up.set()
            raise

    def _run(self, work: Callable[[], Value], given_up: threading.Event) -> Value:
        decoding = self.decoders.at_work(given_up) if self.decoders else nullcontext()
        with until(given_up), decoding:
            return work()

    def check_ready(self) -> None:
        """Raise ShuttingDownError or NotReadyError unless work is taken and done."""
        self.queue.check_ready()
        if self.decoders is not None and not self.decoders.up:
            self.threads.submit(self.decoders.revive)
            raise NotReadyError("no image can be decoded now; ask again in a moment")


async def settle(works: Iterable[Awaitable[Value]]) -> list[Value]:
    """Await all, side by side; where some fail, the error is that of the first in order."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    return [value_of(outcome) for outcome in outcomes]


def value_of(outcome: Value | BaseException) -> Value:
    """What ``asyncio.gather`` has returned of one work; raised if it is an error."""
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def running(request: Request) -> Runtime:
    """The app's runtime; NotReadyError before its lifespan has begun and after it has ended.

    A coroutine, as FastAPI runs plain functions on a thread, which takes longer than this does.
    """
    runtime: Runtime | None = getattr(request.app.state, "runtime", None)
    if runtime is None:
        raise NotReadyError("the checkpoint is not loaded yet; ask again in a moment")
    return runtime


Running = Annotated[Runtime, Depends(running)]


async def _with_model(request: Request, runtime: Running) -> AsyncIterator[Runtime]:
    """What a request names as its model stays loaded until all of the reply is out.

    Raises DuplicatePartError, ModelNotFoundError, ModelNotLoadedError, or DeadlineExceededError
    where loading takes too long.
    """
    names = request.query_params.getlist(MODEL.name)
    if len(names) > 1:
        raise DuplicatePartError(f"{MODEL.name} is sent more than once; send one", field=MODEL.name)
    with runtime.models.wanted(names[0] if names else None) as model:
        if model.loaded is None:
            async with within(runtime.settings.request_timeout_ms / 1e3):
                await runtime.models.load(model)
        runtime.telemetry.model_requests.labels(model.name).inc()
        with model.in_use() as engine:
            yield runtime if engine is runtime.engine else replace(runtime, engine=engine)


WithModel = Annotated[Runtime, Depends(_with_model)]
