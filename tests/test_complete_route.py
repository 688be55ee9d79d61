"""``POST /segment/complete``: the photograph is its own support, and what is marked binds."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from model.episode import Support
from pictures import disc, encode, file, grey_mask, object_mask, photograph, read_mask
from service.app import create_app
from service.client import SegmentationClient, decode_rle
from service.images.drawing import draw_mark
from service.images.marks import Mark
from service.inference.engine import Engine
from service.settings import Settings
from serving import served

PATH = "/segment/complete"
PHOTOGRAPH = photograph()
IMAGE = file("support_image", encode(PHOTOGRAPH))
MASK = file("support_mask", grey_mask())
STROKE: Any = {"strokes": [{"points": [[18, 8], [40, 20]], "width": 4}]}
ROUGH = draw_mark(Mark.model_validate_json(json.dumps(STROKE)), PHOTOGRAPH.shape[:2])


@pytest.fixture
def url(settings: Settings, engine: Engine) -> Iterator[str]:
    with served(create_app(settings, engine)) as url:
        yield url


def expected(engine: Engine, rough: NDArray[np.bool_]) -> NDArray[np.float32]:
    support = Support(PHOTOGRAPH, rough)
    return engine.predictor.predict([support], PHOTOGRAPH, refined=True)


def ask(url: str, *parts: Any, **options: Any) -> httpx.Response:
    return httpx.post(url + PATH, files=[IMAGE, *parts], params=options)


def marked(mark: Any) -> Any:
    return ("support_mark", ("mark.json", json.dumps(mark)))


def test_the_photograph_is_its_own_support(url: str, engine: Engine) -> None:
    probability = expected(engine, object_mask())
    reply = ask(url, MASK)
    assert reply.status_code == 200, reply.text
    assert_array_equal(read_mask(reply.content) > 0, probability > 0.5)
    picture = np.array(Image.open(BytesIO(ask(url, MASK, output="probability").content)))
    assert_allclose(picture / 255, probability, atol=0.003)
    by_mark = ask(url, marked(STROKE))
    assert_array_equal(read_mask(by_mark.content) > 0, expected(engine, ROUGH) > 0.5)
    assert by_mark.headers["X-Mask-Reading"].startswith("mark; ")


def test_nothing_is_completed_on_background_or_beyond_a_box(url: str) -> None:
    free = read_mask(ask(url, marked(STROKE)).content) > 0
    line = {"points": [[0, 24], [64, 24]], "width": 10}
    below = read_mask(ask(url, marked({**STROKE, "background_strokes": [line]})).content) > 0
    assert free[24].any()
    assert not below[20:28].any()
    box = read_mask(ask(url, marked({"bbox": [16, 6, 26, 18]})).content) > 0
    assert not box[24:].any()
    assert not box[:, 42:].any()


def test_every_form_shows_the_same_mask(url: str) -> None:
    mark = marked({"bbox": [10, 5, 40, 30]})
    mask = read_mask(ask(url, mark).content) > 0
    assert mask.any()
    record = ask(url, mark, output="json", label="cat").json()
    assert (record["label"], record["presence_threshold"]) == ("cat", 0)
    assert_array_equal(decode_rle(record["segmentation"]), mask)
    overlay = np.array(Image.open(BytesIO(ask(url, mark, output="overlay").content)))
    assert_array_equal((overlay != PHOTOGRAPH).any(axis=-1), mask)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "missing_part"),
        ([MASK, marked(STROKE)], "mask_and_mark"),
        ([marked({"points": [[99, 1]]})], "mark_outside"),
        ([marked({"background_points": [[9, 1]]})], "empty_mask"),
        ([MASK, file("query_image", encode(PHOTOGRAPH))], "unexpected_part"),
    ],
)
def test_what_cannot_be_completed_is_a_problem(url: str, parts: Any, code: str) -> None:
    reply = ask(url, *parts)
    assert (reply.status_code, reply.json()["code"]) == (422, code)


def test_the_client_completes_masks_and_marks(url: str) -> None:
    with SegmentationClient(url) as client:
        for shown, part in (
            (disc(), file("support_mask", grey_mask(disc()))),
            (STROKE, marked(STROKE)),
        ):
            mask = client.complete(PHOTOGRAPH, shown, min_area=3)
            assert_array_equal(mask, read_mask(ask(url, part, min_area=3).content) > 0)
        found = client.complete(PHOTOGRAPH, STROKE, output="json", label="cat")
        assert (found.label, found.area) == ("cat", int(found.mask.sum()))
        assert client.complete(PHOTOGRAPH, STROKE, output="cutout").mode == "RGBA"
        probability = client.complete(PHOTOGRAPH, STROKE, output="probability")
    assert probability.dtype == np.float32
