"""Presence over HTTP: nothing is marked where the object is not, in whatever form."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from starlette.testclient import TestClient

from bright import DECISION, BrightEngine, bright
from model.checkpoint import Card, save_checkpoint
from model.decision import CLASS_THRESHOLD
from model.episode import Support
from model.network.sgone import SGOne
from model.transforms import TransformConfig
from networks import NETWORKS, SIDE, settle_statistics
from pictures import encode, file, grey_mask, object_mask, photograph, read_mask
from service.app import create_app
from service.inference.engine import Engine
from service.settings import Settings, read_settings

DARK = (photograph(37, 51, seed=1) // 8).astype(np.uint8)
LIGHT = photograph(37, 51, seed=1)
SUPPORTS = [
    file("support_image", encode(photograph())),
    file("support_mask", grey_mask()),
]


@pytest.fixture
def bright_engine(engine: Engine) -> BrightEngine:
    """The tiny network with brightness for presence."""
    return bright(engine)


@pytest.fixture
def lit(settings: Settings, bright_engine: BrightEngine) -> Iterator[TestClient]:
    """A client of a service whose network knows of presence."""
    with TestClient(create_app(settings, bright_engine)) as client:
        yield client


def ask(client: TestClient, query: Any, path: str = "/segment", **options: str) -> Any:
    files = [*SUPPORTS, file("query_image", encode(query))]
    response = client.post(path, files=files, params=options)
    assert response.status_code == 200, response.text
    return response


def described(client: TestClient, query: Any, **options: str) -> Any:
    return ask(client, query, output="json", **options).json()


def test_an_object_that_is_there_has_its_mask_and_its_presence(lit: TestClient) -> None:
    found = described(lit, LIGHT)
    assert found["found"] and found["area"] > 0
    assert DECISION.presence_threshold < found["presence"] <= 1


def test_an_object_that_is_absent_marks_nothing(lit: TestClient) -> None:
    found = described(lit, DARK)
    assert 0 < found["presence"] < DECISION.presence_threshold
    assert (found["found"], found["area"], found["score"], found["bbox"]) == (False, 0, 0, None)
    assert found["polygons"] == []


def test_the_headers_say_so_whatever_the_form(lit: TestClient) -> None:
    for output in ("mask", "probability", "overlay", "cutout", "json"):
        headers = ask(lit, DARK, output=output).headers
        assert headers["X-Object-Found"] == "false"
        assert 0 < float(headers["X-Object-Presence"]) < DECISION.presence_threshold


def test_every_form_of_an_absent_object_is_empty(lit: TestClient) -> None:
    assert not read_mask(ask(lit, DARK).content).any()
    overlay = Image.open(BytesIO(ask(lit, DARK, output="overlay").content))
    assert_array_equal(np.array(overlay), DARK)
    cutout = Image.open(BytesIO(ask(lit, DARK, output="cutout").content))
    assert not np.array(cutout)[..., 3].any()


def test_the_probability_is_what_the_network_says_before_any_threshold(lit: TestClient) -> None:
    assert np.array(Image.open(BytesIO(ask(lit, DARK, output="probability").content))).any()


def test_a_presence_threshold_of_0_always_marks(lit: TestClient) -> None:
    assert described(lit, DARK, presence_threshold="0")["found"]


def test_a_request_may_ask_for_more_presence(lit: TestClient) -> None:
    assert not described(lit, LIGHT, presence_threshold="0.99")["found"]


def test_the_thresholds_are_the_networks_own_unless_the_request_says_otherwise(
    lit: TestClient,
) -> None:
    own = described(lit, LIGHT)
    assert (own["threshold"], own["presence_threshold"]) == (0.4, 0.25)
    given = described(lit, LIGHT, threshold="0.7", presence_threshold="0.1")
    assert (given["threshold"], given["presence_threshold"]) == (0.7, 0.1)
    auto = described(lit, LIGHT, threshold="auto", presence_threshold="auto")
    assert auto == own


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "sure"])
def test_a_presence_threshold_that_is_none_is_refused_with_those_there_are(
    lit: TestClient, value: str
) -> None:
    files = [*SUPPORTS, file("query_image", encode(LIGHT))]
    response = lit.post("/segment", files=files, params={"presence_threshold": value})
    assert response.status_code == 422
    assert response.json()["field"] == "presence_threshold"
    assert "send a number from 0 to 1, or auto" in response.json()["detail"]


def test_a_network_without_thresholds_of_its_own_always_marks(client: TestClient) -> None:
    found = described(client, DARK)
    assert (found["threshold"], found["presence_threshold"]) == (0.5, 0)
    assert 0 <= found["presence"] <= 1


def test_info_tells_the_networks_thresholds(lit: TestClient, client: TestClient) -> None:
    names = ("object_threshold", "presence_threshold", "presence_is_learned")
    assert [lit.get("/info").json()[name] for name in names] == [0.4, 0.25, True]
    assert [client.get("/info").json()[name] for name in names] == [0.5, 0, False]


def test_the_records_of_a_batch_tell_presence_and_absent_queries_are_no_errors(
    lit: TestClient,
) -> None:
    queries = [("query_image", (f"{n}.png", encode(q))) for n, q in enumerate((LIGHT, DARK))]
    lines = lit.post(
        "/segment/batch",
        files=[*SUPPORTS, *queries],
        headers={"Accept": "application/x-ndjson"},
    ).text.splitlines()
    light, dark = map(json.loads, lines)
    assert (light["status"], dark["status"]) == ("ok", "ok")
    assert (light["found"], dark["found"]) == (True, False)
    assert dark["presence"] < 0.25 < light["presence"]
    archive = lit.post("/segment/batch", files=[*SUPPORTS, *queries])
    with ZipFile(BytesIO(archive.content)) as members:
        masks = [read_mask(members.read(name)) for name in members.namelist()[:2]]
    assert masks[0].any() and not masks[1].any()


def multiclass(client: TestClient, **options: str) -> Any:
    pairs = [
        (file("support_image", encode(photograph(seed=seed))), file("support_mask", grey_mask()))
        for seed in (5, 6)
    ]
    files = [*pairs[0], *pairs[1], file("query_image", encode(LIGHT))]
    data = {"support_label": ["cat", "dog"]}
    response = client.post("/segment/multiclass", files=files, data=data, params=options)
    assert response.status_code == 200, response.text
    return response


def test_each_class_follows_its_own_presence(lit: TestClient, bright_engine: BrightEngine) -> None:
    both = multiclass(lit, output="json").json()["classes"]
    assert [found["found"] for found in both] == [True, True]
    bright_engine.absent = frozenset({0})
    cat, dog = multiclass(lit, output="json").json()["classes"]
    assert (cat["found"], cat["area"], cat["score"], cat["presence"]) == (False, 0, 0, 0)
    assert dog["found"] and dog["area"] >= both[1]["area"]
    assert set(np.unique(np.array(Image.open(BytesIO(multiclass(lit).content))))) == {0, 2}


def test_where_every_class_is_absent_all_is_background(
    lit: TestClient, bright_engine: BrightEngine
) -> None:
    bright_engine.absent = frozenset({0, 1})
    response = multiclass(lit)
    assert not np.array(Image.open(BytesIO(response.content))).any()
    legend = json.loads(response.headers["X-Legend"])
    assert [(entry["found"], entry["presence"]) for entry in legend] == [(False, 0), (False, 0)]


def test_pixels_of_several_classes_must_be_surer_where_presence_leaves_none_out(
    lit: TestClient, client: TestClient
) -> None:
    assert multiclass(lit, output="json").json()["threshold"] == 0.4
    always = multiclass(lit, output="json", presence_threshold="0").json()
    assert always["threshold"] == CLASS_THRESHOLD
    assert multiclass(client, output="json").json()["threshold"] == CLASS_THRESHOLD
    assert multiclass(client, output="json", threshold="0.3").json()["threshold"] == 0.3


def test_a_network_with_a_presence_branch_is_served_with_what_it_says(
    settings: Settings, tmp_path: Any
) -> None:
    network = settle_statistics(SGOne(NETWORKS["presence"])).eval()
    path = tmp_path / "presence.safetensors"
    card = Card("presence", ("cat",), "noise", 0, {}, "2026-01-01", "none", "")
    save_checkpoint(path, network, TransformConfig(SIDE, stride=32), card, "float32", DECISION)
    served = Engine.load(
        read_settings(checkpoint=path, device="cpu", precision="float32", executor="torch")
    )
    predictor = served.predictor
    shots = predictor.encode_support(
        [predictor.prepare_support(Support(photograph(), object_mask()))]
    )
    expected = predictor.find(predictor.prepare_query(LIGHT), shots).presence
    with TestClient(create_app(settings, served)) as client:
        found = described(client, LIGHT)
        assert found["presence"] == pytest.approx(expected, abs=1e-5)
        assert found["presence_threshold"] == 0.25
        assert client.get("/info").json()["presence_is_learned"]
