"""POST /segment/multiclass: each pixel's class, its legend, and an error for each bad input."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from starlette.testclient import TestClient

from model.episode import Support
from pictures import Parts, encode, file, grey_mask, object_mask, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.schemas import MulticlassSegmentation
from service.settings import Settings

# Its decoder is not yet written for NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PATH = "/segment/multiclass"
PHOTOGRAPH = photograph(37, 51, seed=1)
QUERY: Parts = [file("query_image", encode(PHOTOGRAPH))]
ANIMALS = (("cat", 5), ("dog", 6), ("cat", 7))


def supports(*seeds: int) -> Parts:
    parts: Parts = []
    for seed in seeds:
        parts.append(file("support_image", encode(photograph(seed=seed))))
        parts.append(file("support_mask", grey_mask()))
    return parts


def labelled(*shots: tuple[str, int]) -> Any:
    """A support of each label and seed, without the query."""
    labels = [("support_label", (None, label)) for label, _ in shots]
    return [*supports(*(seed for _, seed in shots)), *labels]


def ask(client: TestClient, shots: Any = ANIMALS, **params: Any) -> Any:
    response = client.post(PATH, params=params, files=[*labelled(*shots), *QUERY])
    assert response.status_code == 200, response.text
    return response


def store(client: TestClient, name: str, label: str, *seeds: int) -> str:
    texts = {"name": name, "label": label}
    response = client.post("/supports", files=supports(*seeds), data=texts)
    assert response.status_code == 201, response.text
    set_id: str = response.json()["id"]
    return set_id


def problem(response: Any, status: int, code: str, field: str | None = None) -> str:
    body = response.json()
    assert (response.status_code, body["code"], body.get("field")) == (status, code, field), body
    return str(body["detail"])


def probabilities(engine: Engine, *classes: tuple[int, ...]) -> NDArray[np.float32]:
    """(N, 37, 51) as the Predictor predicts them for the seeds of each class."""
    return np.stack(
        [
            engine.predictor.predict(
                [Support(photograph(seed=seed), object_mask()) for seed in seeds],
                PHOTOGRAPH,
                refined=True,
            )
            for seeds in classes
        ]
    )


def index_map(found: NDArray[np.float32], threshold: float = 0.75) -> NDArray[Any]:
    return np.where(found.max(axis=0) > threshold, found.argmax(axis=0) + 1, 0)


def read_indices(response: Any) -> NDArray[Any]:
    image = Image.open(BytesIO(response.content))
    assert (image.format, image.mode) == ("PNG", "P")
    return np.array(image)


# The mask


def test_each_pixel_has_the_index_of_its_surest_class(client: TestClient, engine: Engine) -> None:
    expected = index_map(probabilities(engine, (5, 7), (6,)))
    assert set(np.unique(expected)) == {0, 1, 2}
    assert_array_equal(read_indices(ask(client)), expected)


def test_the_threshold_is_the_requests(client: TestClient, engine: Engine) -> None:
    expected = index_map(probabilities(engine, (5, 7), (6,)), 0.2)
    assert_array_equal(read_indices(ask(client, threshold="0.2")), expected)


def test_one_class_is_the_mask_of_kshot(client: TestClient) -> None:
    one = ask(client, [("cat", 5), ("cat", 6)], fusion="union", threshold="0.5")
    k = client.post("/segment/kshot", data={"fusion": "union"}, files=[*supports(5, 6), *QUERY])
    assert_array_equal(read_indices(one) * 255, np.array(Image.open(BytesIO(k.content))))


def test_the_palette_is_that_of_the_legend(client: TestClient) -> None:
    response = ask(client)
    palette = Image.open(BytesIO(response.content)).getpalette()
    assert palette is not None
    for entry in json.loads(response.headers["x-legend"]):
        start = 3 * entry["index"]
        assert "#{:02x}{:02x}{:02x}".format(*palette[start : start + 3]) == entry["colour"]


@pytest.mark.parametrize("output", ["mask", "overlay"])
def test_the_legend_is_in_the_header_and_in_the_picture(client: TestClient, output: str) -> None:
    response = ask(client, [("Kätzchen", 5), ("dog", 6)], output=output)
    text = response.headers["x-legend"]
    image = Image.open(BytesIO(response.content))
    image.load()
    assert image.text["legend"] == text  # type: ignore[attr-defined]
    assert text.isascii()
    legend = json.loads(text)
    assert [(e["index"], e["label"], e["colour"]) for e in legend] == [
        (1, "Kätzchen", "#800000"),
        (2, "dog", "#008000"),
    ]


def test_the_legend_tells_score_and_area_of_each_class(client: TestClient, engine: Engine) -> None:
    response = ask(client)
    found, indices = probabilities(engine, (5, 7), (6,)), read_indices(response)
    for number, entry in enumerate(json.loads(response.headers["x-legend"])):
        mask = indices == number + 1
        assert (entry["area"], entry["found"]) == (mask.sum(), True)
        assert entry["score"] == pytest.approx(found[number][mask].mean(), abs=1e-6)


def test_a_legend_too_long_for_a_header_is_in_the_picture_alone(client: TestClient) -> None:
    labels = [(chr(0x4E00 + number) * 200, number) for number in range(4)]
    response = ask(client, labels)
    assert "x-legend" not in response.headers
    image = Image.open(BytesIO(response.content))
    image.load()
    legend = json.loads(image.text["legend"])  # type: ignore[attr-defined]
    assert [entry["label"] for entry in legend] == [label for label, _ in labels]


def test_the_overlay_tints_every_class(client: TestClient) -> None:
    image = Image.open(BytesIO(ask(client, output="overlay").content))
    indices = read_indices(ask(client))
    assert image.mode == "RGB"
    changed = (np.array(image) != PHOTOGRAPH).any(axis=2)
    for index in (1, 2):
        assert changed[indices == index].mean() > 0.95
    assert not changed[indices == 0].any()


# JSON


def test_json_tells_each_class_as_the_mask_shows_it(client: TestClient) -> None:
    indices = read_indices(ask(client))
    body = ask(client, output="json").json()
    assert MulticlassSegmentation.model_validate(body).model_dump(mode="json") == body
    assert (body["size"], body["threshold"], body["model"]) == ([37, 51], 0.75, "tiny")
    assert [(c["index"], c["label"]) for c in body["classes"]] == [(1, "cat"), (2, "dog")]
    for found in body["classes"]:
        mask = coco.decode(found["segmentation"])
        assert_array_equal(mask, indices == found["index"])
        assert found["area"] == mask.sum()


def test_json_is_chosen_by_accept(client: TestClient) -> None:
    files = [*labelled(*ANIMALS), *QUERY]
    response = client.post(PATH, files=files, headers={"Accept": "application/json"})
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.headers["x-legend"])[0]["label"] == "cat"


def test_nothing_found_is_told_of_each_class(client: TestClient) -> None:
    body = ask(client, output="json", min_area="1888").json()
    for found in body["classes"]:
        assert (found["found"], found["score"], found["area"]) == (False, 0, 0)
        assert (found["bbox"], found["polygons"]) == (None, [])
    assert not read_indices(ask(client, min_area="1888")).any()


# Stored sets


def test_stored_sets_are_classes_by_their_label_or_name(client: TestClient, engine: Engine) -> None:
    sets = [store(client, "Pets", "cat", 5, 7), store(client, "dog", "", 6)]
    for _ in ("encoded now", "encoded before"):
        response = client.post(PATH, params={"support_set": sets}, files=QUERY)
        legend = json.loads(response.headers["x-legend"])
        assert [entry["label"] for entry in legend] == ["cat", "dog"]
        assert_array_equal(read_indices(response), index_map(probabilities(engine, (5, 7), (6,))))


def test_sets_and_supports_of_one_label_are_one_class(client: TestClient, engine: Engine) -> None:
    params = {"support_set": [store(client, "one", "dog", 8), store(client, "two", "cat", 7)]}
    files = [*labelled(("cat", 5), ("dog", 6)), *QUERY]
    response = client.post(PATH, params=params, files=files)
    expected = index_map(probabilities(engine, (5, 7), (6, 8)))
    assert_array_equal(read_indices(response), expected)


def test_a_set_that_is_named_twice_counts_once(client: TestClient) -> None:
    set_id = store(client, "one", "dog", *range(6))
    response = client.post(PATH, params={"support_set": [set_id, set_id]}, files=QUERY)
    assert response.status_code == 200, response.text


def test_a_set_that_does_not_exist_is_told(client: TestClient) -> None:
    response = client.post(PATH, params={"support_set": "0" * 32}, files=QUERY)
    problem(response, 404, "support_set_not_found")


# What is refused


@pytest.mark.parametrize("name", ["support_image", "support_mask", "query_image"])
def test_a_missing_part_is_named(client: TestClient, name: str) -> None:
    files = [part for part in [*labelled(*ANIMALS), *QUERY] if part[0] != name]
    problem(client.post(PATH, files=files), 422, "missing_part", name)


@pytest.mark.parametrize("name", ["support_mask", "support_label"])
def test_every_image_has_a_mask_and_a_label(client: TestClient, name: str) -> None:
    files = [*labelled(*ANIMALS), *QUERY]
    files.remove(next(part for part in files if part[0] == name))
    problem(client.post(PATH, files=files), 422, "support_count_mismatch", name)


@pytest.mark.parametrize("label", ["", "  ", "x" * 201, "a\nb"])
def test_a_label_that_names_nothing_is_refused(client: TestClient, label: str) -> None:
    files = [*labelled(("cat", 5), (label, 6)), *QUERY]
    problem(client.post(PATH, files=files), 422, "invalid_option", "support_label[1]")


@pytest.mark.parametrize("output", ["probability", "cutout"])
def test_an_output_of_one_object_is_refused(client: TestClient, output: str) -> None:
    response = client.post(PATH, params={"output": output}, files=[*labelled(*ANIMALS), *QUERY])
    assert "mask, overlay or json" in problem(response, 422, "invalid_option", "output")


def test_a_bad_support_is_named_by_its_place(client: TestClient) -> None:
    files = [*labelled(("cat", 5)), ("support_label", (None, "dog")), *QUERY]
    files += [file("support_image", encode(PHOTOGRAPH)), file("support_mask", b"no mask")]
    problem(client.post(PATH, files=files), 422, "undecodable_image", "support_mask[1]")


def test_there_are_limits_of_classes_and_of_shots_of_a_class(
    settings: Settings, engine: Engine
) -> None:
    settings = settings.model_copy(update={"max_classes": 2, "max_shots": 2})
    with TestClient(create_app(settings, engine)) as client:
        full = [("cat", 1), ("cat", 2), ("dog", 3), ("dog", 4)]
        assert ask(client, full).status_code == 200
        for more, code in ((("bird", 5), "too_many_classes"), (("cat", 5), "too_many_shots")):
            files = [*labelled(*full, more), *QUERY]
            problem(client.post(PATH, files=files), 422, code)
            set_id = store(client, code, more[0], 5)
            params = {"support_set": set_id}
            response = client.post(PATH, params=params, files=[*labelled(*full), *QUERY])
            problem(response, 422, code)


# The network


def test_the_query_is_read_once_for_all_classes(client: TestClient, engine: Engine) -> None:
    read: list[Any] = []
    backbone = engine.executor.network.backbone
    handle = backbone.register_forward_hook(lambda *_: read.append(_))
    try:
        ask(client, [("cat", 5), ("dog", 6), ("bird", 7)])
    finally:
        handle.remove()
    assert len(read) == 3 + 1
