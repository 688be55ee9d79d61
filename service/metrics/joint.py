"""The folder in which prometheus_client joins the metrics of several workers.

prometheus_client reads the variable when it is imported, so that it is imported late here.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Each request writes into these files, which are mapped into memory: keep them off the disk.
_MEMORY = Path("/dev/shm")


@contextmanager
def joint_metrics() -> Iterator[None]:
    """In the parent: make the folder for workers that start inside the block; remove it after."""
    in_memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sgone-metrics-", dir=in_memory) as folder:
        os.environ[FOLDER_VARIABLE] = folder
        yield


def forget_gauges(pid: int) -> None:
    """In the parent: drop the gauges of a worker that has ended. What it counted stays."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def remove_metrics() -> None:
    """In a worker: remove the folder, since the parent was killed and could not."""
    shutil.rmtree(os.environ[FOLDER_VARIABLE], ignore_errors=True)
