"""Work that nobody waits for any more ends at its next step, wherever it is."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from gated import TIMEOUT
from pictures import encode, file, grey_mask, photograph
from service.app import create_app
from service.giving_up import GivenUpError, go_on, until
from service.images.classes import clean_classes
from service.images.coco import trace_polygons
from service.images.render import overlay_png, png
from service.inference.engine import Engine
from service.options import Shaping
from service.settings import Settings

SUPPORTS = 8
FATAL = 3


class Held:
    """Stands for a function; its third call waits until the client has its reply."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.calls = 0
        self.replied = threading.Event()
        self._call = call

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == FATAL:
            assert self.replied.wait(TIMEOUT)
        return self._call(*arguments, **options)


@pytest.fixture
def hasty(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    """A client of a service whose requests may take a second."""
    limited = settings.model_copy(update={"request_timeout_ms": 1000})
    with TestClient(create_app(limited, engine), raise_server_exceptions=False) as client:
        yield client


def form(*more: Any) -> Any:
    """So many supports, and other parts."""
    images = [file("support_image", encode(photograph(seed=seed))) for seed in range(SUPPORTS)]
    return [*images, *[file("support_mask", grey_mask())] * SUPPORTS, *more]


QUERY = file("query_image", encode(photograph(seed=99)))
CLASSES = form(*[("support_label", (None, f"class {n}")) for n in range(SUPPORTS)], QUERY)
MULTICLASS = "/segment/multiclass?presence_threshold=0&output="


def check_it_ends(client: TestClient, held: Held, path: str, parts: Any) -> None:
    reply = client.post(path, files=parts)
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
    held.replied.set()
    time.sleep(0.3)
    assert held.calls <= FATAL  # fewer where the machine is busy
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("output", ["mask", "overlay", "json"])
def test_classes_are_rendered_no_further_than_their_deadline(
    hasty: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    held = Held(engine.restore)
    monkeypatch.setattr(engine, "restore", held)
    check_it_ends(hasty, held, MULTICLASS + output, CLASSES)


@pytest.mark.parametrize(
    ("function", "output"),
    [
        ("service.images.classes.clean_mask", "mask&fill_holes=true"),
        ("service.images.classes.tint_object", "overlay"),
        ("service.images.multiclass.describe_object", "json"),
    ],
)
def test_every_step_of_many_classes_ends(
    hasty: TestClient, monkeypatch: pytest.MonkeyPatch, function: str, output: str
) -> None:
    module, name = function.rsplit(".", 1)
    held = Held(getattr(__import__(module, fromlist=[name]), name))
    monkeypatch.setattr(function, held)
    check_it_ends(hasty, held, f"{MULTICLASS}{output}&threshold=0.01", CLASSES)


@pytest.mark.parametrize("step", ["encode", "find"])
def test_the_network_goes_no_further_than_the_deadline(
    hasty: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    held = Held(getattr(engine.executor, step))
    monkeypatch.setattr(engine.executor, step, held)
    check_it_ends(hasty, held, MULTICLASS + "mask", CLASSES)


def test_pairs_to_store_are_read_no_further_than_the_deadline(
    hasty: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(__import__("service.images.thumbnail", fromlist=["_"]).thumbnail_png)
    monkeypatch.setattr("service.segment.new_pairs.thumbnail_png", held)
    check_it_ends(hasty, held, "/supports", form(("name", (None, "Mugs"))))
    assert hasty.get("/supports").json()["total"] == 0


NOISE = np.random.default_rng(0).random((64, 64)) > 0.5


@pytest.mark.parametrize(
    "work",
    [
        lambda: trace_polygons(NOISE),
        lambda: overlay_png(photograph(64, 64), NOISE),
        lambda: clean_classes(NOISE.astype(np.uint8), Shaping(fill_holes=True)),
    ],
    ids=["polygons", "overlay", "classes"],
)
def test_work_on_one_mask_ends_between_its_parts(work: Callable[[], Any]) -> None:
    given_up = threading.Event()
    with until(given_up):
        work()
        given_up.set()
        with pytest.raises(GivenUpError):
            work()


def test_a_png_is_written_no_further_once_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Mock(side_effect=[None] * 20 + [GivenUpError])
    monkeypatch.setattr("service.images.render.go_on", steps)
    with pytest.raises(GivenUpError):
        png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8)))


def test_what_nobody_bounds_goes_on() -> None:
    go_on()
    with until(threading.Event()):
        go_on()


def test_encodings_are_kept_on_the_librarys_own_threads(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.post("/supports", files=form(("name", (None, "Mugs"))))
    library = client.app.state.runtime.library  # type: ignore[attr-defined]
    names: list[str] = []
    monkeypatch.setattr(
        library,
        "keep_encodings",
        lambda key, encodings: names.append(threading.current_thread().name),
    )
    for path in ("/segment/kshot", "/segment/batch"):
        reply = client.post(f"{path}?support_set={made.json()['id']}", files=[QUERY])
        assert reply.status_code == 200
    assert [name.partition("_")[0] for name in names] == ["library", "library"]
