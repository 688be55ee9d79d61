"""What operators see: Prometheus metrics, the access log, request ids and stage times."""

import asyncio
import logging
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import quote

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problems import problem_response
from service.metrics.joint import FOLDER_VARIABLE
from service.metrics.logs import ACCESS
from service.metrics.process import ProcessMetrics

STAGES = ("decode", "queue", "encode", "segment", "render")
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
# How old another worker's gauges may be.
_REFRESH_SECONDS = 1.0
_PROBES = ("/healthz", "/readyz", "/metrics")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger(__name__)
_access_log = logging.getLogger(ACCESS)


class Timings(dict[str, float]):
    """Seconds of each stage that a request has been through, by its name in STAGES."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block; a block that raises is not counted."""
        started = time.perf_counter()
        yield
        self[name] = time.perf_counter() - started

    def header(self) -> str:
        """The value of Server-Timing, in milliseconds."""
        return ", ".join(f"{name};dur={seconds * 1e3:.1f}" for name, seconds in self.items())


class Telemetry:
    """The metrics of one app, in a registry of its own, so that a process can hold several apps.

    In one of several workers (PROMETHEUS_MULTIPROC_DIR is set) what is shown is all of theirs.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._shown = self.registry
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._process: ProcessMetrics | None = None
        if FOLDER_VARIABLE in os.environ:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown)  # type: ignore[no-untyped-call]
            self._process = ProcessMetrics(self.registry)
        else:
            ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "sgone_requests",
            "Requests by route template and status.",
            ("route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "sgone_request_seconds",
            "Time from a request's headers to the end of its reply.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "sgone_stage_seconds",
            f"Time of one stage of a request: {', '.join(STAGES)}.",
            ("stage",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        for stage in STAGES:
            self.stage_seconds.labels(stage)
        self.supports = Counter(
            "sgone_supports",
            "Supports of answered requests: encoded for them (computed), or at hand (kept).",
            ("encoding",),
            registry=self.registry,
        )
        for encoding in ("computed", "kept"):
            self.supports.labels(encoding)
        self.prototype_cache = Gauge(
            "sgone_prototype_cache_bytes",
            "Encodings of sent supports that are kept in memory.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.queue_depth = Gauge(
            "sgone_queue_depth",
            "Requests that wait for the network.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.problems = Counter(
            "sgone_problems", "Error replies by code.", ("code",), registry=self.registry
        )
        self.inference_crashes = Counter(
            "sgone_inference_crashes",
            "Crashes of the inference thread; another takes its place, but for the last.",
            registry=self.registry,
        )
        self.device_memory = Gauge(
            "sgone_device_memory_bytes",
            "Memory that torch holds on the GPU; 0 on CPU (see process_resident_memory_bytes).",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        # prometheus_client's Info, which says the same, does not work among several workers.
        self.build = Gauge(
            "sgone_info",
            "What this instance runs.",
            ("version", "model", "checkpoint_sha256", "executor", "device", "precision"),
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Let ``gauge`` show what ``value`` returns, which is asked at each ``refresh``."""
        self._watched.append((gauge, value))

    def refresh(self) -> None:
        """Bring this process's gauges up to date."""
        for gauge, value in self._watched:
            gauge.set(value())
        if self._process is not None:
            self._process.refresh()

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Refresh now and then: the worker that is asked shows the others' gauges as written."""
        task = asyncio.create_task(self._keep_fresh()) if self._process is not None else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _keep_fresh(self) -> None:
        while True:
            self.refresh()
            await asyncio.sleep(_REFRESH_SECONDS)

    def count_supports(self, computed: int, kept: int) -> None:
        """Those of one request."""
        self.supports.labels("computed").inc(computed)
        self.supports.labels("kept").inc(kept)

    def exposition(self) -> bytes:
        """The metrics in Prometheus's text format."""
        self.refresh()
        return generate_latest(self._shown)


class Observe:
    """The outermost ASGI middleware: request id, times, metrics, access log, and the last resort.

    An exception that nothing foresaw becomes a generic 500 here, with its traceback in the log.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        observed = _Observed(scope, send)
        try:
            await self.app(scope, receive, observed.send)
        except Exception as error:
            _log.exception("request failed", extra={"request_id": observed.request_id})
            if observed.status:
                raise
            await problem_response(scope, error)(scope, receive, observed.send)
        finally:
            self._report(scope, observed)

    def _report(self, scope: Scope, observed: "_Observed") -> None:
        seconds = time.perf_counter() - observed.started
        route = getattr(scope.get("route"), "path", "unmatched")
        self.telemetry.requests.labels(route, str(observed.status)).inc()
        self.telemetry.request_seconds.labels(route).observe(seconds)
        if "code" in scope["state"]:
            self.telemetry.problems.labels(scope["state"]["code"]).inc()
        for stage, stage_seconds in observed.timings.items():
            self.telemetry.stage_seconds.labels(stage).observe(stage_seconds)
        _access_log.log(
            logging.DEBUG if route in _PROBES else logging.INFO,
            "%s %s %d",
            scope["method"],
            quote(scope["path"]),
            observed.status,
            extra=_access_fields(scope, observed, seconds),
        )


class _Observed:
    """One request under observation; its id and timings are in the scope's state."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self.started = time.perf_counter()
        self.status = 0
        self.timings = Timings()
        self.request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["timings"] = self.timings
        state["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            if self.timings:
                headers["Server-Timing"] = self.timings.header()
        await self._send(message)


def _access_fields(scope: Scope, observed: _Observed, seconds: float) -> dict[str, object]:
    stages = {f"{name}_ms": round(value * 1e3, 1) for name, value in observed.timings.items()}
    error = {"code": scope["state"]["code"]} if "code" in scope["state"] else {}
    return {
        "request_id": observed.request_id,
        **error,
        "total_ms": round(seconds * 1e3, 1),
        **stages,
    }


def _request_id(scope: Scope) -> str:
    """The client's own id where it is harmless in a log, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
