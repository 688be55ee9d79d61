"""Rough marks over real HTTP, wherever a mask is taken: as the mask that they draw."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from PIL.ExifTags import Base

from pictures import encode, file, grey_mask, object_mask, photograph, read_mask
from service.app import create_app
from service.images.coco import encode_run_lengths
from service.images.drawing import draw_mark
from service.images.marks import MAX_MARK_BYTES, Mark
from service.inference.engine import Engine
from service.settings import Settings
from serving import served

ORIENTATION = Base.Orientation
MASK = object_mask()
EXACT = {"segmentation": {"size": MASK.shape, "counts": encode_run_lengths(MASK).counts}}
IMAGE, QUERY = encode(photograph()), encode(photograph(37, 51, seed=1))
SUPPORT, ASKED = file("support_image", IMAGE), file("query_image", QUERY)
DRAWN = file("support_mask", grey_mask())


@pytest.fixture
def web(settings: Settings, engine: Engine) -> Iterator[httpx.Client]:
    with served(create_app(settings, engine)) as url, httpx.Client(base_url=url) as web:
        yield web


def marked(
    mark: Any = EXACT, name: str | None = "mark.json", kind: str = "application/json"
) -> Any:
    content = mark if isinstance(mark, bytes) else json.dumps(mark).encode()
    return ("support_mark", (name, content, kind))


def problem(reply: httpx.Response) -> tuple[int, str, str]:
    said = reply.json()
    return reply.status_code, said["code"], said.get("field", "")


@pytest.mark.parametrize("path", ["/segment", "/segment/kshot", "/segment/batch"])
def test_a_mark_gives_the_reply_of_the_mask_that_it_draws(web: httpx.Client, path: str) -> None:
    accepted = {"Accept": "application/x-ndjson" if path == "/segment/batch" else "image/png"}
    mask = web.post(path, files=[SUPPORT, DRAWN, ASKED], headers=accepted)
    mark = web.post(path, files=[SUPPORT, marked(), ASKED], headers=accepted)
    assert mark.status_code == 200, mark.text
    assert mark.content == mask.content
    assert mark.headers["X-Mask-Reading"] == f"mark; share={MASK.mean():.4f}"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("mark.json", "application/json"), (None, "application/json"), (None, None), ("m", "x/y")],
)
def test_a_mark_is_a_file_or_text_of_any_declared_type(
    web: httpx.Client, name: str | None, kind: str | None
) -> None:
    content = json.dumps(EXACT)
    part = (name, content, kind) if kind else (name, content)
    reply = web.post("/segment", files=[SUPPORT, ("support_mark", part), ASKED])
    assert reply.headers["X-Mask-Reading"].startswith("mark; share=")


def test_masks_and_marks_mix_in_the_order_of_their_photographs(web: httpx.Client) -> None:
    other = file("support_image", encode(photograph(30, 40, seed=3)))
    small = {"strokes": [{"points": [[5, 5], [30, 20]], "width": 6}]}
    pairs = [SUPPORT, other, SUPPORT, marked(), marked(small), DRAWN, ASKED]
    reply = web.post("/segment/kshot", files=pairs)
    readings = reply.headers["X-Mask-Reading"].split(", ")
    assert [reading.partition(";")[0] for reading in readings] == ["mark", "mark", "light"]


def test_marks_show_classes(web: httpx.Client) -> None:
    files = [SUPPORT, marked(), ASKED]
    replies = [
        web.post("/segment/multiclass", files=form, data={"support_label": "cat"})
        for form in (files, [SUPPORT, DRAWN, ASKED])
    ]
    assert replies[0].status_code == 200, replies[0].text
    assert replies[0].content == replies[1].content


def test_a_stored_set_keeps_the_mask_that_a_mark_draws(web: httpx.Client) -> None:
    created = web.post("/supports", files=[SUPPORT, marked()], data={"name": "marked"})
    assert created.status_code == 201, created.text
    assert created.headers["X-Mask-Reading"].startswith("mark; ")
    pairs = f"/supports/{created.json()['id']}/pairs"
    first = created.json()["pairs"][0]
    assert first["area"] == MASK.sum()
    assert_array_equal(read_mask(web.get(f"{pairs}/{first['id']}/mask").content) > 0, MASK)

    dot = {"strokes": [{"points": [[40, 20]], "width": 9}]}
    added = web.post(pairs, files=[SUPPORT, marked(dot)])
    drawn = draw_mark(Mark.model_validate_json(json.dumps(dot)), MASK.shape)
    assert added.json()["pairs"][1]["area"] == drawn.sum()
    replaced = web.put(f"{pairs}/{first['id']}", files=[marked(dot)])
    assert replaced.status_code == 200, replaced.text
    assert replaced.json()["pairs"][0]["area"] == added.json()["pairs"][1]["area"]


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/segment", "POST", "mask_and_mark"),
        ("/segment/kshot", "POST", "support_count_mismatch"),
        ("/segment/batch", "POST", "support_count_mismatch"),
        ("/supports", "POST", "support_count_mismatch"),
        ("/supports/0/pairs", "POST", "support_count_mismatch"),
        ("/supports/0/pairs/0", "PUT", "mask_and_mark"),
    ],
)
def test_a_mask_and_a_mark_of_one_photograph_are_refused(
    web: httpx.Client, path: str, method: str, code: str
) -> None:
    files = [SUPPORT, DRAWN, marked(), *([ASKED] if "segment" in path else [])]
    data = {"name": "both"} if path == "/supports" else {}
    reply = web.request(method, path, files=files, data=data)
    assert problem(reply)[:2] == (422, code)


def test_neither_is_refused_as_a_missing_mask(web: httpx.Client) -> None:
    reply = web.post("/segment", files=[SUPPORT, ASKED])
    assert problem(reply) == (422, "missing_part", "support_mask")
    assert "support_mask or support_mark" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("mark", "status", "code"),
    [
        (b"no JSON", 422, "invalid_mark"),
        ({"points": [[64.5, 3]]}, 422, "mark_outside"),
        ({}, 422, "empty_mask"),
        ({"segmentation": {"size": [4, 4], "counts": [8, 8]}}, 422, "mask_size_mismatch"),
        (b" " * (MAX_MARK_BYTES + 1), 413, "payload_too_large"),
    ],
)
def test_what_is_wrong_with_a_mark_is_a_problem_that_names_it(
    web: httpx.Client, mark: Any, status: int, code: str
) -> None:
    reply = web.post("/segment/kshot", files=[SUPPORT, marked(mark), ASKED])
    assert problem(reply) == (status, code, "support_mark[0]")


def test_a_mark_counts_pixels_of_the_upright_photograph(web: httpx.Client) -> None:
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    image = file("support_image", encode(photograph(40, 80), "JPEG", exif=turned))
    inside = web.post("/segment", files=[image, marked({"points": [[39, 79]]}), ASKED])
    beyond = web.post("/segment", files=[image, marked({"points": [[79, 39]]}), ASKED])
    assert inside.status_code == 200, inside.text
    assert problem(beyond)[1] == "mark_outside"
    assert "40x80 upright" in beyond.json()["detail"]


def test_the_file_describes_the_mark_with_its_limits_and_an_example(web: httpx.Client) -> None:
    described = web.get("/openapi.json").json()
    mark = described["components"]["schemas"]["Mark"]
    for example in mark["examples"]:
        Mark.model_validate_json(json.dumps(example))
    assert mark["properties"]["points"]["maxItems"] > 0
    form = described["paths"]["/segment"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form["encoding"]["support_mark"] == {"contentType": "application/json"}
    part = form["schema"]["properties"]["support_mark"]
    assert part["contentMediaType"] == "application/json"
    assert part["contentSchema"] == {"$ref": "#/components/schemas/Mark"}


@pytest.mark.parametrize("path", ["/segment", "/segment/kshot", "/segment/batch"])
@pytest.mark.parametrize("name", [None, ""])
def test_a_blank_mark_is_none(web: httpx.Client, path: str, name: str | None) -> None:
    """The reference and HTML forms send parts that nobody has filled in."""
    reply = web.post(path, files=[SUPPORT, DRAWN, ASKED, marked(b"", name)])
    assert reply.status_code == 200, reply.text
    lone = web.post(path, files=[SUPPORT, ASKED, marked(b"", name)])
    assert problem(lone)[:2] == (422, "missing_part")
