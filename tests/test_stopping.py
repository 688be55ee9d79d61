"""SIGTERM under load loses nothing: what was sent over an open connection is answered.

``STOPS=20 pytest tests/test_stopping.py`` tries as often as that.
"""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from crowd import Crowd
from processes import serving

pytestmark = pytest.mark.slow

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
