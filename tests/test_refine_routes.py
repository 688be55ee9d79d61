"""Crisp borders over HTTP: in every form of reply, and off where they are not wanted."""

import json
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from model.episode import Support
from model.refinement import FINEST
from pictures import encode, file, grey_mask, object_mask, one_shot_form, photograph, read_mask
from service.client import decode_rle
from service.inference.engine import Engine

QUERY = photograph(37, 51, seed=1)
SUPPORT = Support(photograph(), object_mask())


def expected(engine: Engine, *, refined: bool) -> NDArray[np.float32]:
    return engine.predictor.predict([SUPPORT], QUERY, refined=refined)


def ask(client: TestClient, **options: str) -> bytes:
    response = client.post("/segment", files=one_shot_form(), params=options)
    assert response.status_code == 200, response.text
    return response.content


@pytest.mark.parametrize("refined", [True, False])
def test_the_mask_and_the_probability_are_refined_unless_they_shall_not_be(
    client: TestClient, engine: Engine, refined: bool
) -> None:
    probability, refine = expected(engine, refined=refined), str(refined).lower()
    assert_array_equal(read_mask(ask(client, refine=refine)) > 0, probability > 0.5)
    picture = np.array(Image.open(BytesIO(ask(client, refine=refine, output="probability"))))
    assert_allclose(picture / 255, probability, atol=0.003)


def test_refinement_is_the_default_and_changes_the_mask(client: TestClient) -> None:
    assert ask(client) == ask(client, refine="true")
    assert ask(client) != ask(client, refine="false")


@pytest.mark.parametrize("refine", ["true", "false"])
def test_every_form_shows_the_same_mask(client: TestClient, refine: str) -> None:
    mask = read_mask(ask(client, refine=refine)) > 0
    record = json.loads(ask(client, refine=refine, output="json"))
    assert_array_equal(decode_rle(record["segmentation"]), mask)
    overlay = np.array(Image.open(BytesIO(ask(client, refine=refine, output="overlay"))))
    assert_array_equal((overlay != QUERY).any(axis=-1), mask)
    alpha = np.array(Image.open(BytesIO(ask(client, refine=refine, output="cutout"))))[..., 3]
    assert alpha[mask].mean() > 2 * alpha[~mask].mean()


@pytest.mark.parametrize("refine", ["true", "false"])
def test_a_batch_and_one_of_several_classes_have_the_mask_of_a_single_query(
    client: TestClient, refine: str
) -> None:
    options = {"refine": refine, "threshold": "0.5"}
    mask = read_mask(ask(client, **options))
    batch = client.post("/segment/batch", files=one_shot_form(), params=options)
    with ZipFile(BytesIO(batch.content)) as archive:
        assert_array_equal(read_mask(archive.read(archive.namelist()[0])), mask)
    classes = client.post(
        "/segment/multiclass",
        files=one_shot_form(),
        data={"support_label": "cat"},
        params=options,
    )
    assert_array_equal(np.array(Image.open(BytesIO(classes.content))) * 255, mask)


def test_a_large_query_is_refined_at_its_own_size(client: TestClient) -> None:
    parts: Any = [
        file("support_image", encode(photograph())),
        file("support_mask", grey_mask()),
        file("query_image", encode(photograph(300, FINEST + 401, seed=1))),
    ]
    response = client.post("/segment", files=parts)
    assert read_mask(response.content).shape == (300, FINEST + 401)


def test_what_waits_for_the_network_is_bounded_however_large_the_photograph(
    engine: Engine,
) -> None:
    photograph = np.zeros((3000, 4000, 3), np.uint8)
    guide = engine.prepare_query(photograph, refined=True).guide
    assert guide is not None
    assert guide.nbytes <= 3 * FINEST**2
    assert not np.shares_memory(guide, photograph)
    assert engine.prepare_query(photograph).guide is None
