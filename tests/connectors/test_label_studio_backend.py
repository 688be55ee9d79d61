"""The backend as Label Studio calls it: predictions for tasks, supports from annotations."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pictures import encode, object_mask, photograph
from service.client import SegmentationClient
from service.connectors.label_studio.backend import MAX_REQUEST_BYTES, create_backend
from service.connectors.label_studio.brush import decode_brush
from service.connectors.label_studio.labelling import read_interface
from service.connectors.label_studio.ledger import Ledger
from service.connectors.label_studio.regions import read_masks
from service.connectors.label_studio.studio import Studio
from service.connectors.sets import MIN_AREA
from serving import served
from studios import POLYGON, Backend, FakeStudio, drawn

PHOTOGRAPH = encode(photograph(seed=3))
TASK = 7


@pytest.fixture
def task(fake: FakeStudio) -> dict[str, Any]:
    return fake.add_task(TASK, PHOTOGRAPH)


@pytest.fixture
def mug(service: SegmentationClient) -> str:
    """A stored set of another case than its label in the project; gives its id."""
    return service.create_support_set("Mug", [(photograph(), object_mask())]).id


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def shots(service: SegmentationClient) -> dict[str, int]:
    return {stored.name: stored.shots for stored in service.list_support_sets().items}


def test_it_is_up_and_its_version_changes_with_the_sets(
    backend: Backend, service: SegmentationClient, mug: str
) -> None:
    assert backend.http.get("/health").json()["status"] == "UP"
    before = backend.setup()
    assert backend.setup() == before
    service.add_pairs(mug, [(photograph(seed=5), object_mask())])
    assert backend.setup() != before


def test_a_brush_is_the_mask_of_the_label_s_set(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any]
) -> None:
    (prediction,) = backend.predicted(task)
    (region,) = prediction["result"]
    mask = service.segment(PHOTOGRAPH, support_set=mug, min_area=MIN_AREA)
    assert mask.any()
    assert_array_equal(decode_brush(region["value"]["rle"], 48, 64), mask)
    assert region["value"]["brushlabels"] == ["mug"]
    assert prediction["model_version"] == backend.setup()
    assert prediction["score"] == region["score"] > 0


def test_several_labels_are_several_sets_that_share_no_pixel(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any]
) -> None:
    dog = service.create_support_set("Dog", [(photograph(seed=9), ~object_mask())], label="animal")
    (prediction,) = backend.predicted(task)
    masks = read_masks(prediction["result"], read_interface(backend.fake.label_config))
    reply = service.segment_multiclass(PHOTOGRAPH, support_sets=[mug, dog.id], min_area=MIN_AREA)
    expected = {each.label: each.mask for each in reply.classes if each.found}
    assert len(expected) == 2
    assert_array_equal(masks["mug"], expected["Mug"])
    assert_array_equal(masks["Dog"], expected["animal"])
    assert not (masks["mug"] & masks["Dog"]).any()


def test_two_sets_that_the_service_takes_for_one_class_are_told(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any]
) -> None:
    service.create_support_set("Dog", [(photograph(seed=9), object_mask())], label="Mug")
    problem = backend.predict(task).json()
    assert "have both the label 'Mug'" in problem["detail"]


def test_a_project_with_polygons_gets_polygons(
    backend: Backend, mug: str, task: dict[str, Any]
) -> None:
    backend.fake.label_config = POLYGON
    (prediction,) = backend.predicted(task)
    assert {region["type"] for region in prediction["result"]} == {"polygonlabels"}
    assert all(len(region["value"]["points"]) >= 3 for region in prediction["result"])


def test_without_a_set_a_task_has_no_prediction(backend: Backend, task: dict[str, Any]) -> None:
    assert backend.predicted(task, task) == [[], []]
    assert backend.fake.asked == []


def test_a_bad_task_does_not_fail_its_neighbours(
    backend: Backend, mug: str, task: dict[str, Any]
) -> None:
    broken = backend.fake.add_task(8, b"no photograph")
    elsewhere = {"id": 9, "data": {"photo": "http://127.0.0.1:9/secret"}}
    nowhere = {"id": 10, "data": {"other": "x"}}
    first, *others, last = backend.predicted(task, broken, elsewhere, nowhere, task)
    assert len(first["result"]) == 1
    assert last["result"][0]["value"] == first["result"][0]["value"]
    assert [each["error"]["code"] for each in others] == [
        "undecodable_image",
        "refused",
        "refused",
    ]
    assert not any("result" in each for each in others)


def test_a_single_task_that_fails_is_problem_json(backend: Backend, mug: str) -> None:
    reply = backend.predict({"id": 9, "data": {"photo": "http://127.0.0.1:9/secret"}})
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    assert "does not lie in Label Studio" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("path", "content", "status", "code"),
    [
        ("/setup", {"schema": "<View/>"}, 422, "refused"),
        ("/setup", {}, 422, "invalid_request"),
        ("/predict", {"tasks": 3, "label_config": ""}, 422, "invalid_request"),
        ("/webhook", [], 422, "invalid_request"),
        ("/nothing", {}, 404, "http"),
    ],
)
def test_what_label_studio_would_not_send_is_a_problem(
    backend: Backend, path: str, content: Any, status: int, code: str
) -> None:
    reply = backend.http.post(path, json=content)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_web_pages_and_endless_bodies_are_refused(backend: Backend) -> None:
    page = {"Origin": "http://127.0.0.1"}
    reply = backend.http.post("/webhook", json={"action": "PROJECT_UPDATED"}, headers=page)
    assert (reply.status_code, reply.json()["code"]) == (403, "web_page")
    reply = backend.http.post(
        "/webhook", content=b'{"action": "A"}', headers={"Content-Type": "text/plain"}
    )
    assert reply.status_code == 422

    def endless() -> Iterator[bytes]:
        for _ in range(80):
            yield bytes(1024 * 1024)

    for content in (endless(), bytes(MAX_REQUEST_BYTES + 1)):
        try:
            reply = backend.http.post("/webhook", content=content)
        except httpx.WriteError:  # the reply came, and the connection was closed, meanwhile
            continue
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


def test_the_first_annotation_makes_a_set_and_later_ones_add_to_it(
    backend: Backend, service: SegmentationClient, task: dict[str, Any]
) -> None:
    version = backend.setup()
    backend.fake.annotate(1, TASK, [drawn(object_mask())])
    backend.hear("ANNOTATION_CREATED", annotation={"id": 1}, task={"id": TASK})
    wait_until(lambda: shots(service) == {"mug": 1})
    assert backend.setup() != version
    backend.fake.add_task(8, encode(photograph(seed=4)))
    backend.fake.annotate(2, 8, [drawn(object_mask()), drawn(~object_mask(), "Dog")])
    backend.hear("ANNOTATIONS_CREATED", annotation=[{"id": 2}])
    wait_until(lambda: shots(service) == {"mug": 2, "Dog": 1})
    assert backend.predicted(task)[0]["result"]


def test_an_updated_annotation_replaces_its_pair_and_a_deleted_one_leaves(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any]
) -> None:
    backend.fake.annotate(1, TASK, [drawn(object_mask())])
    backend.hear("ANNOTATION_CREATED", annotation={"id": 1})
    wait_until(lambda: shots(service) == {"Mug": 2})
    small = object_mask() & (np.arange(64) < 30)
    backend.fake.annotate(1, TASK, [drawn(small)])
    backend.hear("ANNOTATION_UPDATED", annotation={"id": 1})

    def areas() -> list[int]:
        return [pair.area for pair in service.get_support_set(mug).pairs]

    wait_until(lambda: areas()[1:] == [small.sum()])
    backend.fake.annotate(1, TASK, [])
    backend.hear("ANNOTATION_UPDATED", annotation={"id": 1})
    wait_until(lambda: shots(service) == {"Mug": 1})
    backend.fake.annotate(1, TASK, [drawn(small)])
    backend.hear("ANNOTATION_UPDATED", annotation={"id": 1})
    wait_until(lambda: shots(service) == {"Mug": 2})
    backend.fake.annotations.clear()
    backend.hear("ANNOTATIONS_DELETED", annotations=[{"id": 1}])
    wait_until(lambda: areas() == [object_mask().sum()])


@pytest.mark.parametrize("by", ["annotation", "task", "skip"])
def test_the_last_pair_of_a_set_takes_the_set_with_it(
    backend: Backend, service: SegmentationClient, task: dict[str, Any], by: str
) -> None:
    backend.fake.annotate(1, TASK, [drawn(object_mask())])
    backend.hear("ANNOTATION_CREATED", annotation={"id": 1})
    wait_until(lambda: shots(service) == {"mug": 1})
    if by == "skip":
        backend.fake.annotations[1]["was_cancelled"] = True
        backend.hear("ANNOTATION_UPDATED", annotation={"id": 1})
    else:
        backend.fake.annotations.clear()
        event = {"tasks": [{"id": TASK}]} if by == "task" else {"annotations": [{"id": 1}]}
        backend.hear("TASKS_DELETED" if by == "task" else "ANNOTATIONS_DELETED", **event)
    wait_until(lambda: shots(service) == {})


def test_a_forged_event_teaches_nothing(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any], ledger: Ledger
) -> None:
    backend.fake.annotate(1, TASK, [drawn(object_mask())])
    backend.hear("ANNOTATION_CREATED", annotation={"id": 99, "result": [drawn(~object_mask())]})
    wait_until(lambda: ledger.pending() == [])
    assert shots(service) == {"Mug": 1}


def test_an_annotation_that_cannot_be_used_is_left_and_the_next_is_learned(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any]
) -> None:
    wrong_size = drawn(np.ones((9, 9), np.bool_))
    backend.fake.annotate(1, TASK, [wrong_size])
    backend.fake.annotate(2, TASK, [{**drawn(object_mask()), "image_rotation": 90}])
    backend.fake.annotate(3, TASK, [drawn(object_mask())])
    for number in (1, 2, 3):
        backend.hear("ANNOTATION_CREATED", annotation={"id": number})
    wait_until(lambda: shots(service) == {"Mug": 2})


def test_a_photograph_that_label_studio_fails_on_keeps_no_other_waiting(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any], ledger: Ledger
) -> None:
    path = backend.fake.add_task(8, PHOTOGRAPH)["data"]["photo"]
    backend.fake.broken.add(path)
    backend.fake.annotate(1, 8, [drawn(object_mask())])
    backend.fake.annotate(2, TASK, [drawn(object_mask())])
    backend.hear("ANNOTATIONS_CREATED", annotation=[{"id": 1}, {"id": 2}])
    wait_until(lambda: [change.subject for change in ledger.pending()] == [1])
    assert shots(service) == {"Mug": 2}
    backend.fake.broken.clear()
    wait_until(lambda: shots(service) == {"Mug": 3})


def test_a_full_set_stays_as_it_is(
    backend: Backend, service: SegmentationClient, mug: str, task: dict[str, Any], ledger: Ledger
) -> None:
    pairs = [(photograph(seed=seed), object_mask()) for seed in range(9)]
    service.add_pairs(mug, pairs)
    backend.fake.annotate(1, TASK, [drawn(object_mask())])
    backend.hear("ANNOTATION_CREATED", annotation={"id": 1})
    wait_until(lambda: ledger.pending() == [])
    assert shots(service) == {"Mug": 10}
    assert backend.predicted(task)[0]["result"]


@pytest.mark.parametrize("refusal", [503, 401])
def test_what_is_heard_while_label_studio_refuses_is_learned_after_a_restart(
    service: SegmentationClient,
    studio: Studio,
    ledger: Ledger,
    fake: FakeStudio,
    mug: str,
    refusal: int,
) -> None:
    fake.add_task(TASK, PHOTOGRAPH)
    fake.annotate(1, TASK, [drawn(object_mask())])
    fake.refusal = refusal
    with served(create_backend(service, studio, ledger)) as url, httpx.Client(base_url=url) as http:
        event = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}}
        started = time.monotonic()
        assert http.post("/webhook", json=event).status_code == 201
        assert time.monotonic() - started < 1
        wait_until(lambda: fake.asked != [])
    assert shots(service) == {"Mug": 1}
    fake.refusal = 0
    with served(create_backend(service, studio, ledger)):
        wait_until(lambda: shots(service) == {"Mug": 2})
        wait_until(lambda: ledger.pending() == [])


def test_a_service_that_is_away_is_told_and_waited_for(
    studio: Studio, ledger: Ledger, fake: FakeStudio
) -> None:
    fake.add_task(TASK, PHOTOGRAPH)
    fake.annotate(1, TASK, [drawn(object_mask())])
    with (
        closing(SegmentationClient("http://127.0.0.1:9")) as nobody,
        served(create_backend(nobody, studio, ledger)) as url,
        httpx.Client(base_url=url) as http,
    ):
        reply = http.post("/setup", json={"schema": fake.label_config})
        assert (reply.status_code, reply.json()["code"]) == (503, "service_unreachable")
        http.post("/webhook", json={"action": "ANNOTATION_CREATED", "annotation": {"id": 1}})
        wait_until(lambda: "/data/upload/1/photo 7.png" in fake.asked)
    assert [change.subject for change in ledger.pending()] == [1]
