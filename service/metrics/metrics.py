"""Prometheus's metrics of one app."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service.metrics.joint import FOLDER_VARIABLE
from service.metrics.process import ProcessMetrics

STAGES = ("decode", "queue", "encode", "segment", "render")
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
# How old another worker's gauges may be.
_REFRESH_SECONDS = 1.0


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

    def count_refused(self, status: int, code: str) -> None:
        """A connection that was refused, or cut off, outside of any route."""
        self.requests.labels("unmatched", str(status)).inc()
        self.problems.labels(code).inc()

    def count_supports(self, computed: int, kept: int) -> None:
        """Those of one request."""
        self.supports.labels("computed").inc(computed)
        self.supports.labels("kept").inc(kept)

    def exposition(self) -> bytes:
        """The metrics in Prometheus's text format."""
        self.refresh()
        return generate_latest(self._shown)
