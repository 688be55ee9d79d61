"""What Prometheus reads: the metrics of this process, or of all workers."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service.metrics.joint import FOLDER_VARIABLE
from service.metrics.resources import JointResources

# How old another worker's gauges may be.
_REFRESH_SECONDS = 1.0


class Exposition:
    """A registry, and the text that shows it.

    In one of several workers (PROMETHEUS_MULTIPROC_DIR is set) the text shows all of theirs.
    """

    def __init__(self) -> None:
        # Not prometheus_client's own: a process can hold several apps.
        self.registry = CollectorRegistry()
        self._shown = self.registry
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._resources: JointResources | None = None
        if FOLDER_VARIABLE in os.environ:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown)  # type: ignore[no-untyped-call]
            self._resources = JointResources(self.registry)
        else:
            ProcessCollector(registry=self.registry)

    def watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Let ``gauge`` show what ``value`` returns; each refresh asks it.

        Gauge.set_function does the same, but not among several workers.
        """
        self._watched.append((gauge, value))

    def text(self) -> bytes:
        """The metrics in Prometheus's text format."""
        self._refresh()
        return generate_latest(self._shown)

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Refresh every second: another worker shows this one's gauges as they were last set."""
        task = asyncio.create_task(self._keep_fresh()) if self._resources is not None else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _keep_fresh(self) -> None:
        while True:
            self._refresh()
            await asyncio.sleep(_REFRESH_SECONDS)

    def _refresh(self) -> None:
        for gauge, value in self._watched:
            gauge.set(value())
        if self._resources is not None:
            self._resources.refresh()
