"""SIGTERM under load loses nothing: what was sent over an open connection is answered.

``STOPS=20 pytest tests/test_stopping.py`` tries as often as that.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest

from crowd import Crowd
from pictures import encode, file, one_shot_form
from processes import serving

pytestmark = pytest.mark.slow

# For the process to be taken off a busy machine.
SLACK_SECONDS = 15.0
STOPS = int(os.environ.get("STOPS", "2"))


@pytest.mark.parametrize("attempt", range(STOPS))
@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_stopped_under_load_answers_whoever_it_let_in(
    checkpoint: Path, workers: int, attempt: int
) -> None:
    with serving(checkpoint, "--workers", str(workers), "--drain-ms", "300") as server:
        server.wait_warm(workers)
        crowd = Crowd(server.url, seed=100 * attempt)
        crowd.start()
        crowd.wait_until_served()
        time.sleep(random.Random(attempt).uniform(0, 1))
        code = server.stop()
        crowd.join()
    print(f"{workers} workers: {dict(crowd.outcomes)}, readiness {Counter(crowd.readiness)}")
    assert code == 0
    assert set(crowd.outcomes) == {"200", "503"}
    *seen, last = crowd.readiness
    assert seen == sorted(seen)
    assert (set(seen), last) == ({200, 503}, None)


@pytest.mark.parametrize("attempt", range(STOPS))
def test_a_service_ends_in_time_whatever_it_decodes(checkpoint: Path, attempt: int) -> None:
    drain_ms, timeout_ms = 200, 2000
    flags = ["--drain-ms", str(drain_ms), "--request-timeout-ms", str(timeout_ms)]
    picture = file("query_image", encode(np.zeros((7000, 7000, 3), np.uint8), compress_level=1))
    with serving(checkpoint, *flags) as server:
        senders = [
            Thread(target=ask, args=(server.url, [*one_shot_form()[:2], picture])) for _ in range(8)
        ]
        for sender in senders:
            sender.start()
        time.sleep(random.Random(attempt).uniform(0.5, 1.5))
        started = time.monotonic()
        code = server.stop()
        took = time.monotonic() - started
        for sender in senders:
            sender.join()
    assert code == 0
    assert took < (drain_ms + timeout_ms) / 1e3 + 2 + SLACK_SECONDS


def ask(url: str, files: Any) -> None:
    """Send a form, whatever comes of it."""
    with suppress(httpx.HTTPError):
        httpx.post(f"{url}/segment", files=files, timeout=60, trust_env=False)


@pytest.mark.parametrize(("ends", "code"), [("pass", 0), ("sys.exit(0)", 0), ("sys.exit(1)", 1)])
def test_a_process_that_has_served_waits_for_no_thread(ends: str, code: int) -> None:
    program = (
        "import sys, threading, time\n"
        "from service.serve.process import ending_at_once\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        f"with ending_at_once():\n    print('served')\n    {ends}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (code, "served\n")


def test_an_error_while_serving_is_told_as_any_other() -> None:
    program = (
        "from service.serve.process import ending_at_once\n"
        "with ending_at_once():\n    raise OSError('no address')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "no address" in done.stderr
