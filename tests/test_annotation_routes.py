"""Formats over HTTP: of a batch, and POST /annotations of masks that are there already."""

import json
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from pycocotools import mask as coco_masks
from starlette.testclient import TestClient

from pictures import encode, file, grey_mask, object_mask, one_shot_form, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.options import FORMATS
from service.segment import annotations
from service.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PATH = "/annotations"
MASK = object_mask()
TWO = MASK.copy()
TWO[40:44, 2:9] = True
JSON = {"Accept": "application/json"}


def mask(name: str = "beach.png", pixels: Any = TWO) -> Any:
    return ("mask", (name, grey_mask(pixels), "image/png"))


def image(name: str = "beach.jpg", height: int = 48, width: int = 64) -> Any:
    return ("image", (name, encode(photograph(height, width)), "image/png"))


def ask(client: TestClient, *parts: Any, headers: Any = None, **options: str) -> Any:
    return client.post(PATH, files=[*parts], data=options, headers=headers or {})


def members(reply: Any) -> dict[str, bytes]:
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/zip"
    with ZipFile(BytesIO(reply.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def problem(reply: Any, status: int, code: str, field: str | None = None) -> str:
    body = reply.json()
    assert (reply.status_code, body["code"], body.get("field")) == (status, code, field), body
    return str(body["detail"])


# Masks that are there already


def test_masks_become_coco_under_their_names(client: TestClient) -> None:
    reply = ask(client, mask(), mask("street.jpg", MASK & False), label="person")
    (content,) = members(reply).values()
    coco = json.loads(content)
    assert [each["file_name"] for each in coco["images"]] == ["beach.png", "street.jpg"]
    assert coco["categories"] == [{"id": 1, "name": "person"}]
    (annotation,) = coco["annotations"]
    assert_array_equal(coco_masks.decode(annotation["segmentation"]), TWO)
    assert not {"presence", "score"} & annotation.keys()


def test_one_json_file_comes_plain_where_json_is_accepted(client: TestClient) -> None:
    reply = ask(client, mask(), headers=JSON, instances="true")
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.json()["annotations"]) == 2
    tasks = ask(client, mask(), headers=JSON, format="label_studio").json()
    assert list(tasks[0]) == ["data", "annotations"]


@pytest.mark.parametrize("names", ["yolo", "coco,csv", "csv", "masks"])
def test_what_is_not_one_json_file_is_refused_as_json(client: TestClient, names: str) -> None:
    told = problem(ask(client, mask(), headers=JSON, format=names), 422, "invalid_option", "format")
    assert "accept application/zip" in told


def test_every_format_at_once_and_the_photographs_own_name(client: TestClient) -> None:
    reply = ask(client, mask(), image(), format=",".join(FORMATS))
    found = members(reply)
    assert {"beach.png", "labels/beach.txt", "SegmentationClass/beach.png"} <= found.keys()
    assert json.loads(found["annotations.json"])["images"][0]["file_name"] == "beach.jpg"
    cutout = np.array(Image.open(BytesIO(found["beach.cutout.png"])))
    assert_array_equal(cutout[..., :3], photograph())
    assert_array_equal(np.array(Image.open(BytesIO(found["beach.png"]))) > 0, TWO)
    assert found["summary.csv"].splitlines()[1].startswith(b"beach.jpg,,")


def test_a_photograph_that_a_format_shows_is_missed(client: TestClient) -> None:
    parts = [mask("a.png"), mask("b.png"), image("a.jpg")]
    told = problem(ask(client, *parts, format="masks,cutouts"), 422, "unpaired_image", "mask[1]")
    assert "format cutouts shows the photograph" in told and "'b.png'" in told
    assert ask(client, *parts, format="masks").status_code == 200


def test_a_photograph_of_no_mask_is_told(client: TestClient) -> None:
    told = problem(ask(client, mask(), image("other.jpg")), 422, "unpaired_image", "image[0]")
    assert "'other.jpg'" in told


def test_a_photograph_of_another_size_is_told_before_the_reply(client: TestClient) -> None:
    parts = [mask("a.png"), mask("b.png"), image("a.jpg"), image("b.jpg", 48, 65)]
    told = problem(ask(client, *parts, format="overlays"), 422, "mask_size_mismatch", "mask[1]")
    assert told.startswith("mask[1] is 64x48, its image is 65x48")


def test_names_must_differ(client: TestClient) -> None:
    reply = ask(client, mask("x/a.png"), mask("y/a.jpg"))
    problem(reply, 422, "duplicate_name", "mask[1]")


def test_a_bad_mask_is_an_ordinary_error(client: TestClient) -> None:
    broken = ("mask", ("b.png", b"no image", "image/png"))
    problem(ask(client, mask(), broken), 422, "undecodable_image", "mask[1]")
    problem(ask(client), 415, "unsupported_media_type")
    problem(ask(client, image(), label="x"), 422, "missing_part", "mask")


def test_a_mask_of_noise_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MAX_RUNS", 300)
    noise = np.random.default_rng(0).random((48, 64)) > 0.5
    assert "smoother" in problem(ask(client, mask(pixels=noise)), 422, "invalid_image", "mask[0]")
    assert ask(client, mask()).status_code == 200


def test_how_a_mask_is_read_may_be_said(client: TestClient) -> None:
    labels = ("mask", ("a.png", encode(MASK.astype(np.uint8) * np.uint8(7)), "image/png"))
    coco = ask(client, labels, headers=JSON, mask_format="labels").json()
    assert coco["annotations"][0]["area"] == MASK.sum()


def test_there_are_limits_of_masks_bytes_and_time(settings: Settings, engine: Engine) -> None:
    few = settings.model_copy(update={"max_queries": 1})
    with TestClient(create_app(few, engine)) as client:
        problem(ask(client, mask("a.png"), mask("b.png")), 422, "too_many_queries", "mask")
    small = settings.model_copy(update={"max_upload_bytes": 100, "max_batch_bytes": 3000})
    with TestClient(create_app(small, engine)) as client:
        problem(ask(client, mask()), 413, "payload_too_large", "mask[0]")
        problem(ask(client, *[image(f"{n}.jpg") for n in range(9)]), 413, "payload_too_large")
    hasty = settings.model_copy(update={"request_timeout_ms": 1})
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8)
    slow = ("image", ("beach.png", encode(noise), "image/png"))
    with TestClient(create_app(hasty, engine)) as client:
        reply = ask(client, mask(pixels=object_mask(2000, 2000)), slow, format="cutouts")
        problem(reply, 504, "deadline_exceeded")


def test_a_full_queue_refuses(client: TestClient) -> None:
    queue = client.app.state.runtime.queue  # type: ignore[attr-defined]
    queue._max_queue = 0
    problem(ask(client, mask()), 429, "queue_full")


# Masks of several classes

LABELS = [("class_label", (None, label)) for label in ("cat", "dog", "cow")]
CLASSES = MASK.astype(np.uint8)
CLASSES[40:44, 2:9] = 3


def indexed(name: str = "beach.png", classes: Any = CLASSES) -> Any:
    return ("mask", (name, encode(classes), "image/png"))


def test_numbers_in_masks_are_classes_of_their_labels(client: TestClient) -> None:
    empty = indexed("street.jpg", CLASSES * np.uint8(0))
    coco = ask(client, *LABELS, indexed(), empty, headers=JSON).json()
    assert [each["file_name"] for each in coco["images"]] == ["beach.png", "street.jpg"]
    assert [(each["id"], each["name"]) for each in coco["categories"]] == [
        (1, "cat"), (2, "dog"), (3, "cow"),
    ]  # fmt: skip
    assert [(each["image_id"], each["category_id"]) for each in coco["annotations"]] == [
        (1, 1), (1, 3),
    ]  # fmt: skip
    for annotation in coco["annotations"]:
        drawn = coco_masks.decode(annotation["segmentation"])
        assert_array_equal(drawn, annotation["category_id"] == CLASSES)


def test_every_format_tells_the_classes_apart(client: TestClient) -> None:
    formats = "masks,overlays,cutouts,yolo,voc,label_studio,label_studio_polygons,csv,jsonl"
    found = members(ask(client, *LABELS, indexed(), image(), format=formats))
    for path in ("beach.png", "SegmentationClass/beach.png", "SegmentationObject/beach.png"):
        with Image.open(BytesIO(found[path])) as picture:
            assert picture.mode == "P"
            assert_array_equal(np.array(picture), CLASSES)
    with Image.open(BytesIO(found["beach.png"])) as picture:
        assert [each["label"] for each in json.loads(picture.info["legend"])] == [
            "cat", "dog", "cow",
        ]  # fmt: skip
    overlay = np.array(Image.open(BytesIO(found["beach.overlay.png"])))
    changed = (overlay != photograph()).any(axis=2)
    assert changed[CLASSES > 0].mean() > 0.99 and not changed[CLASSES == 0].any()
    lines = found["labels/beach.txt"].decode().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["0", "2"]
    assert json.loads(found["data.yaml"])["names"] == ["cat", "dog", "cow"]
    assert found["labelmap.txt"].count(b"\n") == 5
    for path, kind in [
        ("label-studio.json", "brushlabels"),
        ("label-studio-polygons.json", "polygonlabels"),
    ]:
        (task,) = json.loads(found[path])
        regions = task["annotations"][0]["result"]
        assert [each["id"] for each in regions] == ["part-1", "part-2"]
        assert [each["value"][kind] for each in regions] == [["cat"], ["cow"]]
    rows = found["summary.csv"].decode().splitlines()
    assert [row.split(",")[-1] for row in rows] == ["label", "cat", "dog", "cow"]
    areas = [json.loads(line)["area"] for line in found["summary.jsonl"].splitlines()]
    assert areas == [MASK.sum(), 0, 28]


def test_parts_of_all_classes_are_numbered_through(client: TestClient) -> None:
    classes = CLASSES.copy()
    classes[0:2, 0:2] = 1
    found = members(ask(client, *LABELS, indexed("a.png", classes), format="voc", instances="true"))
    numbers = np.array(Image.open(BytesIO(found["SegmentationObject/a.png"])))
    assert {(n, int(classes[numbers == n].max())) for n in (1, 2, 3)} == {(1, 1), (2, 1), (3, 3)}
    assert_array_equal(numbers > 0, classes > 0)


def test_an_indexed_file_is_read_by_its_numbers_and_void_is_background(client: TestClient) -> None:
    classes = CLASSES.copy()
    classes[0:2] = 255
    picture = Image.fromarray(classes)
    picture.putpalette([9, 9, 9] * 256)
    content = BytesIO()
    picture.save(content, "PNG")
    sent = ("mask", ("beach.png", content.getvalue(), "image/png"))
    coco = ask(client, *LABELS, sent, headers=JSON).json()
    assert sum(each["area"] for each in coco["annotations"]) == (CLASSES > 0).sum()


@pytest.mark.parametrize(
    ("parts", "status", "code", "field", "told"),
    [
        ([*LABELS[:2], indexed()], 422, "invalid_image", "mask[0]", "holds class 3"),
        ([*LABELS, indexed(classes=photograph())], 422, "invalid_image", "mask[0]", "indexed"),
        ([LABELS[0]] * 2 + [indexed()], 422, "invalid_option", "class_label", "are equal"),
        (
            [("class_label", (None, str(n))) for n in range(21)] + [indexed()],
            422, "too_many_classes", "class_label", "the limit is 20",
        ),
    ],
    ids=["no label", "colours", "equal", "many"],
)  # fmt: skip
def test_what_is_wrong_with_classes_is_told(
    client: TestClient, parts: Any, status: int, code: str, field: str, told: str
) -> None:
    assert told in problem(ask(client, *parts), status, code, field)


# Formats of a batch


def batch(client: TestClient, *names: str, headers: Any = None, **options: str) -> Any:
    queries = [
        ("query_image", (name, encode(photograph(37, 51, seed=seed)), "image/png"))
        for seed, name in enumerate(names, start=1)
    ]
    files = [*one_shot_form()[:2], *queries]
    return client.post("/segment/batch", files=files, data=options, headers=headers or {})


def test_a_batch_writes_the_formats_of_its_masks(client: TestClient) -> None:
    plain = members(batch(client, "a.jpg", "b.jpg"))
    found = members(batch(client, "a.jpg", "b.jpg", format="masks,coco,jsonl", label="cat"))
    assert list(found) == ["a.png", "b.png", "annotations.json", "summary.jsonl", "results.jsonl"]
    assert found["a.png"] == plain["0000_a.png"]
    coco = json.loads(found["annotations.json"])
    assert coco["categories"][0]["name"] == "cat"
    drawn = coco_masks.decode(coco["annotations"][1]["segmentation"]) * 255
    assert_array_equal(drawn, np.array(Image.open(BytesIO(plain["0001_b.png"]))))
    assert len(found["results.jsonl"].splitlines()) == 2


def test_what_output_says_may_stand_beside_a_format(client: TestClient) -> None:
    found = members(batch(client, "a.jpg", format="csv,output", output="cutout"))
    assert list(found) == ["0000_a.png", "summary.csv", "results.jsonl"]
    default = members(batch(client, "a.jpg", format="output"))
    assert default.keys() == members(batch(client, "a.jpg")).keys()


def test_a_query_that_fails_is_in_no_file_but_the_results(client: TestClient) -> None:
    files = [*one_shot_form()[:2], file("query_image", b"no image")]
    reply = client.post("/segment/batch", files=files, data={"format": "voc,coco"})
    found = members(reply)
    assert json.loads(found["annotations.json"])["images"] == []
    assert not [name for name in found if name.startswith("SegmentationClass")]
    assert json.loads(found["results.jsonl"])["status"] == "error"


def test_a_batch_of_formats_needs_names_that_differ(client: TestClient) -> None:
    problem(batch(client, "a.jpg", "a.png", format="yolo"), 422, "duplicate_name", "query_image[1]")


@pytest.mark.parametrize("names", ["", "cocoa", "coco,", "coco, yolo", "coco;yolo"])
def test_an_unknown_format_is_told_with_those_that_there_are(
    client: TestClient, names: str
) -> None:
    reply = batch(client, "a.jpg", format=names)
    if not names:
        assert reply.status_code == 200  # blank is not set
        return
    assert "coco, yolo" in problem(reply, 422, "invalid_option", "format")


def test_lines_of_json_hold_no_format(client: TestClient) -> None:
    lines = {"Accept": "application/x-ndjson"}
    reply = batch(client, "a.jpg", headers=lines, format="coco")
    assert "application/zip" in problem(reply, 422, "invalid_option", "format")


# Parts in JSON replies


@pytest.mark.parametrize("path", ["/segment", "/segment/kshot"])
def test_json_lists_the_parts_where_they_are_wanted(client: TestClient, path: str) -> None:
    parts = {"output": "json", "threshold": "0.4", "presence_threshold": "0"}
    plain = client.post(path, params=parts, files=one_shot_form()).json()
    told = client.post(path, params=parts | {"instances": "true"}, files=one_shot_form()).json()
    assert plain["instances"] is None
    assert told | {"instances": None} == plain
    assert sum(part["area"] for part in told["instances"]) == told["area"] > 0
    drawn = sum(coco_masks.decode(part["segmentation"]) for part in told["instances"])
    assert_array_equal(drawn, coco_masks.decode(told["segmentation"]))


def test_several_classes_list_their_parts(client: TestClient) -> None:
    files = [*one_shot_form(), ("support_label", (None, "cat"))]
    options = {"output": "json", "instances": "true", "presence_threshold": "0", "threshold": "0.4"}
    (found,) = client.post("/segment/multiclass", params=options, files=files).json()["classes"]
    assert sum(part["area"] for part in found["instances"]) == found["area"] > 0
