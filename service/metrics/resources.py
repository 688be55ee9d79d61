"""A process's memory, CPU time and files, in a form that workers can add up.

prometheus_client's ProcessCollector tells them of one process: custom collectors do not work in
its multiprocess mode.
"""

import threading
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

# How ProcessCollector's gauges of several workers make one.
_MODES: dict[str, Literal["livesum", "livemin"]] = {
    "process_virtual_memory_bytes": "livesum",
    "process_resident_memory_bytes": "livesum",
    "process_open_fds": "livesum",
    "process_max_fds": "livesum",
    "process_start_time_seconds": "livemin",
}
_CPU = "process_cpu_seconds"


class JointResources:
    """ProcessCollector's metrics under the same names, as they were at the last ``refresh``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._collector = ProcessCollector(registry=None)
        self._gauges: dict[str, Gauge] = {}
        self._cpu = Counter(
            _CPU, "Total user and system CPU time spent in seconds.", registry=registry
        )
        self._cpu_counted = 0.0
        self._lock = threading.Lock()
        for family in self._collector.collect():
            if mode := _MODES.get(family.name):
                self._gauges[family.name] = Gauge(
                    family.name, family.documentation, multiprocess_mode=mode, registry=registry
                )

    def refresh(self) -> None:
        """Read this process's figures. For any thread."""
        with self._lock:
            for family in self._collector.collect():
                value = family.samples[0].value
                if family.name == _CPU:
                    self._cpu.inc(value - self._cpu_counted)
                    self._cpu_counted = value
                elif family.name in self._gauges:
                    self._gauges[family.name].set(value)
