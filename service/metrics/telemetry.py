"""What one app counts and times, and what it holds at the moment."""

from collections.abc import Iterable
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from service.metrics.exposition import Exposition

STAGES = ("decode", "queue", "encode", "segment", "render")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Telemetry:
    """The metrics of one app, by name; ``exposition`` shows them to Prometheus."""

    def __init__(self) -> None:
        # A series beside each, with the time at which it was made, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.exposition = Exposition()
        self.gauges = Gauges(self.exposition.registry)
        count = partial(Counter, registry=self.exposition.registry)
        time = partial(Histogram, registry=self.exposition.registry, buckets=_BUCKETS)
        self.requests = count(
            "sgone_requests",
            "Requests by method, route template and status.",
            ("method", "route", "status"),
        )
        self.request_seconds = time(
            "sgone_request_seconds",
            "Time from a request's headers to the end of its reply.",
            ("route",),
        )
        self.stage_seconds = time(
            "sgone_stage_seconds",
            f"Time of one stage of a request: {', '.join(STAGES)}.",
            ("stage",),
        )
        self.supports = count(
            "sgone_supports",
            "Supports of answered requests: encoded for them (computed), or at hand (kept).",
            ("encoding",),
        )
        self.problems = count(
            "sgone_problems", "Errors by code: replies, and failed queries of a batch.", ("code",)
        )
        self.inference_crashes = count(
            "sgone_inference_crashes",
            "Crashes of the inference thread; another takes its place, but for the last.",
        )
        self.decoder_losses = count(
            "sgone_decoder_losses",
            "Processes ended because their file took too long (late), or that crashed by it.",
            ("cause",),
        )
        self.model_requests = count(
            "sgone_model_requests", "Requests that were given a model, by its name.", ("model",)
        )
        self.model_changes = count(
            "sgone_model_changes",
            "Models loaded, failed to load, dropped, reloaded, or kept as their file was unfit.",
            ("model", "outcome"),
        )
        self._show_zeros()

    def count_request(self, method: str, route: str, status: int) -> None:
        """Count a request; methods that are not HTTP's own are one, so that labels stay few."""
        known = method if method in _METHODS else "other"
        self.requests.labels(known, route, str(status)).inc()

    def count_refused(self, status: int, code: str) -> None:
        """Count a connection that was refused, or cut off, outside of any route."""
        self.count_request("other", "unmatched", status)
        self.count_problem(code)

    def count_supports(self, computed: int, kept: int) -> None:
        """Count the supports of one request."""
        self.supports.labels("computed").inc(computed)
        self.supports.labels("kept").inc(kept)

    def count_problem(self, code: str) -> None:
        """Count an error reply, or a query of a batch that failed."""
        self.problems.labels(code).inc()

    def _show_zeros(self) -> None:
        """Labels whose values are known are shown before they are first counted."""
        for stage in STAGES:
            self.stage_seconds.labels(stage)
        for cause in ("late", "crashed"):
            self.decoder_losses.labels(cause)
        self.count_supports(computed=0, kept=0)


class Gauges:
    """What an app holds now. Several workers are added up: each has its own memory and queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self.queue_depth = gauge("sgone_queue_depth", "Requests that wait for the network.")
        self.prototype_cache = gauge(
            "sgone_prototype_cache_bytes", "Encodings of sent supports that are kept in memory."
        )
        self.device_memory = gauge(
            "sgone_device_memory_bytes",
            "Memory that torch holds on the GPU; 0 on CPU (see process_resident_memory_bytes).",
        )
        # prometheus_client's Info, which says the same, does not work among several workers.
        self.build = gauge(
            "sgone_info",
            "What this instance runs; 0 of a model that it has dropped or replaced.",
            ("version", "model", "checkpoint_sha256", "executor", "device", "precision"),
            multiprocess_mode="livemax",
        )
        self.model_loaded = gauge("sgone_model_loaded", "Whether a model is in memory.", ("model",))
        self.model_memory = gauge(
            "sgone_model_memory_bytes",
            "What a model took when it was loaded; 0 where it is not, or was at the start.",
            ("model",),
        )
        self._builds: set[tuple[str, ...]] = set()

    def show_builds(self, builds: Iterable[tuple[str, ...]]) -> None:
        """What runs now, by the labels of ``build``; what ran before is 0.

        A series cannot be removed among several workers.
        """
        running = set(builds)
        self._builds |= running
        for build in self._builds:
            self.build.labels(*build).set(build in running)
