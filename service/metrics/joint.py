"""Metrics of several workers as one: each writes files that all can read (prometheus_client's way).

prometheus_client looks at the variable when it is imported, so it is imported late here.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# The files are mapped into memory and written at each request: no disk should have them.
_MEMORY = Path("/dev/shm")


@contextmanager
def joint_metrics() -> Iterator[None]:
    """In the parent: a folder for the workers that are started inside, removed at the end."""
    in_memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sgone-metrics-", dir=in_memory) as folder:
        os.environ[FOLDER_VARIABLE] = folder
        yield


def forget_gauges(pid: int) -> None:
    """In the parent: a worker that has ended holds no memory and has no queue; its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def remove_metrics() -> None:
    """In a worker whose parent was killed, and could not remove them."""
    shutil.rmtree(os.environ[FOLDER_VARIABLE], ignore_errors=True)
