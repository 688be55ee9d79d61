"""Memory does not grow with the number of requests.

``REQUESTS=20000 pytest tests/test_memory_growth.py`` looks longer.
"""

import os
import re
from pathlib import Path

import httpx
import pytest

from pictures import encode, file, one_shot_form, photograph
from processes import TIMEOUT, serving

pytestmark = pytest.mark.slow

REQUESTS = int(os.environ.get("REQUESTS", "2000"))
WARM_UP = 100


def resident_bytes(pid: int) -> int:
    (kilobytes,) = re.findall(
        r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    )
    return int(kilobytes) * 1024


def test_thousands_of_requests_leave_memory_as_it_was(checkpoint: Path) -> None:
    measured = []
    with serving(checkpoint, "--drain-ms", "0") as server, httpx.Client() as client:
        for number in range(1, REQUESTS + 1):
            query = encode(photograph(40 + number % 50, 60), "PNG")
            parts = [*one_shot_form()[:2], file("query_image", query)]
            client.post(f"{server.url}/segment", files=parts, timeout=TIMEOUT).raise_for_status()
            if number % WARM_UP == 0:
                measured.append(resident_bytes(server.process.pid))
    print([f"{count / 1e6:.1f}" for count in measured])
    assert measured[-1] < measured[0] * 1.05
