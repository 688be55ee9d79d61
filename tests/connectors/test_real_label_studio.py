"""A real Label Studio: its own page shows the backend's masks, and a correction teaches the set.

LABEL_STUDIO=/path/to/label-studio runs it: `pip install label-studio` in an environment of its own,
which wants other versions of what this project needs, too.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.client import SegmentationClient
from service.connectors.label_studio.backend import create_backend
from service.connectors.label_studio.brush import decode_brush
from service.connectors.label_studio.ledger import Ledger
from service.connectors.label_studio.studio import Studio
from service.connectors.sets import MIN_AREA
from service.settings import SHIPPED_CHECKPOINT
from serving import served, served_checkpoint

EXECUTABLE = os.environ.get("LABEL_STUDIO")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EMAIL, PASSWORD, TOKEN = "tests@example.org", "of-the-tests-1", "0123456789abcdef0123"
HEADERS = {"Authorization": f"Token {TOKEN}"}
# Its first start writes some hundred migrations.
START_SECONDS, TIMEOUT_SECONDS = 1200, 180
CONFIGURATION = """
<View><Image name="image" value="$image" zoom="true"/><BrushLabels name="brush" toName="image">
<Label value="person" background="#ff5c00"/></BrushLabels></View>
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="LABEL_STUDIO names no label-studio"),
]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until(holds: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=10).is_success
    except httpx.TransportError:
        return False


@contextmanager
def label_studio(folder: Path) -> Iterator[str]:
    """A fresh one; it may call backends on this machine, and takes the user's legacy token."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
    }
    port = free_port()
    flags = ["--no-browser", "--port", str(port), "--username", EMAIL, "--password", PASSWORD]
    command = [str(EXECUTABLE), "start", *flags, "--user-token", TOKEN]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: process.poll() is not None or answers(url), START_SECONDS)
        assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")[-3000:]
        yield url
    finally:
        process.kill()
        process.wait()


class Project:
    """A project of Label Studio with the example photographs, by its API."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        project = {"title": "People", "label_config": CONFIGURATION}
        self.number = self.ask("POST", "/api/projects/", json=project)["id"]
        for name in ("astronaut", "grace_hopper"):
            path = EXAMPLES / f"{name}.jpg"
            files = {"file": (path.name, path.read_bytes(), "image/jpeg")}
            self.ask("POST", f"/api/projects/{self.number}/import", files=files)

    def connect(self, backend: str) -> None:
        """As *Settings, Model* does, and *Annotation, Use predictions to prelabel tasks*."""
        connection = {"project": self.number, "url": backend, "title": "SG-One"}
        assert self.ask("POST", "/api/ml/", json=connection)["readable_state"] == "Connected"
        changes = {"show_collab_predictions": True, "model_version": "SG-One"}
        self.ask("PATCH", f"/api/projects/{self.number}/", json=changes)

    def annotations(self) -> list[dict[str, Any]]:
        tasks = self.ask("GET", f"/api/tasks/?project={self.number}&fields=all")["tasks"]
        return [each for task in tasks for each in task["annotations"]]

    def ask(self, method: str, path: str, **content: Any) -> Any:
        response = self.http.request(method, path, **content)
        assert response.is_success, response.text
        return response.json() if response.content else None


def log_in(page: Any, url: str) -> None:
    page.goto(f"{url}/user/login/", wait_until="domcontentloaded")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "login" not in address, wait_until="domcontentloaded")


def correct(page: Any) -> None:
    """Select the predicted region, and paint what is missing at the photograph's lower right."""
    page.locator(".lsf-outliner-item").first.click()
    page.keyboard.press("b")
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.72 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.95 * box["height"], steps=20)
    page.mouse.up()


def test_its_page_shows_the_mask_and_a_correction_becomes_a_support(tmp_path: Path) -> None:
    from pages import CHROMIUM, launched_browser

    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    pair = (EXAMPLES / "photographer.jpg", EXAMPLES / "photographer.mask.png")
    with (
        label_studio(tmp_path) as url,
        served_checkpoint(SHIPPED_CHECKPOINT, tmp_path) as service_url,
        SegmentationClient(service_url) as service,
        closing(Studio(url, TOKEN)) as studio,
        closing(Ledger(tmp_path / "ledger.sqlite3", str(studio.url))) as ledger,
        served(create_backend(service, studio, ledger)) as backend,
        httpx.Client(base_url=url, headers=HEADERS, timeout=TIMEOUT_SECONDS) as http,
        launched_browser() as browser,
    ):
        person = service.create_support_set("person", [pair])
        predicted = service.segment(
            EXAMPLES / "astronaut.jpg", support_set=person.id, min_area=MIN_AREA
        )
        project = Project(http)
        project.connect(backend)

        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(1000 * TIMEOUT_SECONDS)
        log_in(page, url)
        page.goto(f"{url}/projects/{project.number}/data?labeling=1", wait_until="domcontentloaded")
        page.locator(".lsf-outliner-item").first.wait_for()
        page.locator("canvas").first.wait_for()
        page.screenshot(path=tmp_path / "predicted.png")
        correct(page)
        page.screenshot(path=tmp_path / "corrected.png")
        page.get_by_test_id("bottombar-submit-button").click()

        wait_until(lambda: service.get_support_set(person.id).shots == 2)
        (annotation,) = project.annotations()
        (region,) = annotation["result"]
        corrected = decode_brush(region["value"]["rle"], *predicted.shape)
        added = corrected & ~predicted
        assert np.sum(predicted & ~corrected) < 0.01 * predicted.sum()
        assert added.sum() > 500
        assert service.get_support_set(person.id).pairs[1].area == corrected.sum()

        project.ask("DELETE", f"/api/annotations/{annotation['id']}/")
        wait_until(lambda: service.get_support_set(person.id).shots == 1)
