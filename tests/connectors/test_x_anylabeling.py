"""X-AnyLabeling's remote server: requests as its remote_server.py sends them."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from pictures import encode, object_mask, photograph
from service.client import SegmentationClient
from service.connectors.sets import MIN_AREA
from service.connectors.x_anylabeling import create_server
from serving import served

PHOTOGRAPH = encode(photograph(seed=3))
URI = f"data:image/png;base64,{base64.b64encode(PHOTOGRAPH).decode()}"


@pytest.fixture
def http(service: SegmentationClient) -> Iterator[httpx.Client]:
    with served(create_server(service)) as url:
        headers = {"Content-Type": "application/json", "Token": ""}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
            yield http


@pytest.fixture
def sets(service: SegmentationClient) -> list[str]:
    """Two stored sets; gives their ids."""
    mug = service.create_support_set("mug", [(photograph(), object_mask())])
    return [mug.id, service.create_support_set("dog", [(photograph(seed=9), ~object_mask())]).id]


def predict(http: httpx.Client, **changes: Any) -> httpx.Response:
    parameters = {"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001}
    request = {"model": "sg-one", "image": URI, "params": {**parameters, "filter_classes": []}}
    return http.post("/v1/predict", json={**request, **changes})


def shapes(response: httpx.Response) -> list[dict[str, Any]]:
    reply = response.raise_for_status().json()
    assert reply["success"]
    return list(reply["data"]["shapes"])


def test_one_model_has_the_stored_sets_as_classes(http: httpx.Client, sets: list[str]) -> None:
    models = http.get("/v1/models").raise_for_status().json()["data"]
    assert list(models) == ["sg-one"]
    assert models["sg-one"]["classes"] == ["mug", "dog"]
    info = http.get("/v1/models/sg-one/info").raise_for_status().json()["data"]
    assert info == {"model_id": "sg-one", **models["sg-one"]}
    assert http.get("/health").json()["models_loaded"] == 1


def test_a_class_is_outlined_as_the_service_finds_it(
    http: httpx.Client, service: SegmentationClient, sets: list[str]
) -> None:
    found = service.segment(PHOTOGRAPH, support_set=sets[0], output="json", min_area=MIN_AREA)
    assert found.found
    parts = shapes(predict(http, params={"filter_classes": ["mug"]}))
    assert {part["shape_type"] for part in parts} == {"polygon"}
    assert {part["label"] for part in parts} == {"mug"}
    assert [np.ravel(part["points"][:-1]).tolist() for part in parts] == found.polygons
    assert all(part["points"][0] == part["points"][-1] for part in parts)


def test_no_class_chosen_means_all_of_them(
    http: httpx.Client, service: SegmentationClient, sets: list[str]
) -> None:
    reply = service.segment_multiclass(PHOTOGRAPH, support_sets=sets, min_area=MIN_AREA)
    expected = {each.label: len(each.polygons) for each in reply.classes if each.found}
    assert len(expected) == 2
    found = [shape["label"] for shape in shapes(predict(http))]
    assert {label: found.count(label) for label in found} == expected


def test_a_threshold_above_the_presence_leaves_nothing(
    http: httpx.Client, service: SegmentationClient, sets: list[str]
) -> None:
    presence = service.segment(
        PHOTOGRAPH, support_set=sets[0], output="json", min_area=MIN_AREA
    ).presence
    assert presence is not None and presence < 0.9999999
    for threshold, there in ((presence / 2, True), (1.0, False)):
        parameters = {"filter_classes": ["mug"], "conf_threshold": threshold}
        assert bool(shapes(predict(http, params=parameters))) == there


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": "data:image/png;base64,@@"}, "no base64"),
        ({"image": base64.b64encode(b"no photograph").decode()}, "not an image"),
        ({"model": "yolo11n"}, "no model 'yolo11n'"),
        ({"params": {"filter_classes": ["cup"]}}, "no stored set"),
        ({"image": 3}, "body.image"),
    ],
)
def test_what_cannot_be_predicted_is_a_problem(
    http: httpx.Client, sets: list[str], changes: dict[str, Any], said: str
) -> None:
    reply = predict(http, **changes)
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    assert said in reply.json()["detail"]


def test_without_any_set_it_says_so(http: httpx.Client) -> None:
    assert "store what shows the object first" in predict(http).json()["detail"]
    assert http.get("/v1/models").json()["data"]["sg-one"]["classes"] == []
