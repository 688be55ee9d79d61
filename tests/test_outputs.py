"""What a reply holds: every output, option and header of /segment and /segment/kshot."""

from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from starlette.testclient import TestClient

from model.episode import Support
from pictures import encode, file, k_shot_form, object_mask, one_shot_form, photograph, read_mask
from service.images.shape import shape_mask
from service.inference.engine import Engine
from service.options import Shaping
from service.schemas import Segmentation

# Its decoder is not yet written for NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

QUERY = photograph(37, 51, seed=1)
OUTPUTS = ["mask", "probability", "overlay", "cutout", "json"]
PATHS = ["/segment", "/segment/kshot"]
# More pixels than the query has, so that every part is dropped.
NOTHING = {"min_area": "1888"}


@pytest.fixture
def probability(engine: Engine) -> NDArray[np.float32]:
    """(37, 51) probability of the object in the query, as the Predictor itself predicts it."""
    return engine.predictor.predict([Support(photograph(), object_mask())], QUERY, refined=True)


def ask(client: TestClient, path: str = "/segment", accept: str = "*/*", **options: str) -> Any:
    """The reply to one support, the options being in the query string."""
    headers = {"Accept": accept}
    return client.post(path, params=options, files=one_shot_form(), headers=headers)


def read_pixels(response: Any, mode: str) -> NDArray[Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    image = Image.open(BytesIO(response.content))
    assert (image.format, image.mode, image.size) == ("PNG", mode, (51, 37))
    return np.array(image)


def read_json(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert Segmentation.model_validate(body).model_dump(mode="json") == body
    return body


def object_headers(response: Any) -> tuple[str, str, str]:
    names = ("x-object-found", "x-object-score", "x-object-area")
    found, score, area = (response.headers[name] for name in names)
    return found, score, area


def check_invalid(response: Any, code: str, field: str) -> str:
    body = response.json()
    assert (response.status_code, body["code"], body["field"]) == (422, code, field), body
    detail: str = body["detail"]
    return detail


# Outputs


@pytest.mark.parametrize("path", PATHS)
def test_the_mask_is_the_output_where_none_is_asked(client: TestClient, path: str) -> None:
    asked = ask(client, path, output="mask")
    assert ask(client, path).content == asked.content
    assert set(np.unique(read_pixels(asked, "L"))) == {0, 255}


@pytest.mark.parametrize(("depth", "mode", "white"), [("8", "L", 255), ("16", "I;16", 65535)])
def test_the_probability_comes_in_8_or_16_bits(
    client: TestClient, probability: NDArray[np.float32], depth: str, mode: str, white: int
) -> None:
    levels = read_pixels(ask(client, output="probability", depth=depth), mode)
    assert_array_equal(levels, np.rint(probability * white))


def test_the_probability_has_8_bits_where_no_depth_is_asked(client: TestClient) -> None:
    read_pixels(ask(client, output="probability"), "L")


def test_the_probability_is_the_same_whatever_shapes_the_mask(client: TestClient) -> None:
    shaped = ask(client, output="probability", threshold="0.9", **NOTHING)
    assert shaped.content == ask(client, output="probability").content
    assert object_headers(shaped) == ("false", "0.000", "0")


def test_the_overlay_is_the_query_with_the_object_painted_on(client: TestClient) -> None:
    overlay = read_pixels(ask(client, output="overlay"), "RGB")
    inside = read_mask(ask(client).content) > 0
    assert (overlay[inside] != QUERY[inside]).any(axis=1).mean() > 0.99
    assert_array_equal(overlay[~inside], QUERY[~inside])
    assert_array_equal(read_pixels(ask(client, output="overlay", **NOTHING), "RGB"), QUERY)


def test_the_cutout_is_the_query_with_the_mask_as_alpha(client: TestClient) -> None:
    cutout = read_pixels(ask(client, output="cutout", largest_component="1"), "RGBA")
    mask = read_mask(ask(client, largest_component="1").content)
    kernel = np.ones((9, 9), np.uint8)
    assert_array_equal(cutout[..., :3], QUERY)
    assert (cutout[..., 3][cv2.erode(mask, kernel) == 255] == 255).all()
    assert (cutout[..., 3][cv2.dilate(mask, kernel) == 0] == 0).all()


@pytest.mark.parametrize("output", ["overlay", "cutout"])
def test_a_picture_shows_the_upright_query(client: TestClient, output: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    parts = [*one_shot_form()[:2], file("query_image", encode(photograph(40, 80), exif=exif))]
    response = client.post("/segment", params={"output": output}, files=parts)
    assert Image.open(BytesIO(response.content)).size == (40, 80)


# JSON


@pytest.mark.parametrize("path", PATHS)
def test_json_tells_the_mask_as_run_lengths(client: TestClient, path: str) -> None:
    mask = read_mask(ask(client, path).content)
    body = read_json(ask(client, path, output="json"))
    assert_array_equal(coco.decode(body["segmentation"]) * 255, mask)
    assert body["size"] == body["segmentation"]["size"] == [37, 51]


def test_json_tells_box_area_and_score_of_the_mask(
    client: TestClient, probability: NDArray[np.float32]
) -> None:
    body = read_json(ask(client, output="json"))
    rows, columns = np.nonzero(probability > 0.5)
    left, top, width, height = body["bbox"]
    assert (left, top) == (columns.min(), rows.min())
    assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
    assert (body["found"], body["area"]) == (True, len(rows))
    assert body["score"] == pytest.approx(probability[probability > 0.5].mean(), abs=1e-6)


def test_the_polygons_cover_the_mask(client: TestClient) -> None:
    body = read_json(ask(client, output="json", largest_component="true", fill_holes="true"))
    mask = coco.decode(body["segmentation"])
    drawn = coco.decode(coco.merge(coco.frPyObjects(body["polygons"], *body["size"])))
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.9


def test_json_tells_label_threshold_and_checkpoint(client: TestClient, engine: Engine) -> None:
    body = read_json(ask(client, output="json", label="Kätzchen, 2", threshold="0.25"))
    assert (body["label"], body["threshold"]) == ("Kätzchen, 2", 0.25)
    assert (body["model"], body["checkpoint_sha256"]) == ("tiny", engine.checkpoint.sha256)
    assert read_json(ask(client, output="json"))["label"] is None


def test_nothing_found_is_an_answer(client: TestClient) -> None:
    response = ask(client, output="json", **NOTHING)
    body = read_json(response)
    assert object_headers(response) == ("false", "0.000", "0")
    assert (body["found"], body["score"], body["area"], body["bbox"]) == (False, 0, 0, None)
    assert body["polygons"] == []
    assert not coco.decode(body["segmentation"]).any()


# Headers


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_tells_of_the_object_in_its_headers(
    client: TestClient, probability: NDArray[np.float32], output: str
) -> None:
    mask = probability > 0.6
    response = ask(client, output=output, threshold="0.6")
    assert object_headers(response) == ("true", f"{probability[mask].mean():.3f}", str(mask.sum()))


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_answers_where_nothing_is_found(client: TestClient, output: str) -> None:
    response = ask(client, output=output, **NOTHING)
    assert response.status_code == 200
    assert object_headers(response) == ("false", "0.000", "0")


# Shaping


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": "0.05"},
        {"threshold": "9e-1"},
        {"min_area": "20"},
        {"largest_component": "true"},
        {"fill_holes": "1"},
        {"threshold": "0.4", "largest_component": "True", "fill_holes": "true", "min_area": "3"},
    ],
)
def test_the_mask_is_shaped_as_asked_in_the_query_string_or_the_form(
    client: TestClient, probability: NDArray[np.float32], options: dict[str, str]
) -> None:
    values: dict[str, Any] = options
    shaping = Shaping(**values)
    threshold = 0.5 if shaping.threshold == "auto" else shaping.threshold
    expected = shape_mask(probability, threshold, shaping) * 255
    in_form = client.post("/segment", data=options, files=one_shot_form())
    assert_array_equal(read_mask(ask(client, **options).content), expected)
    assert_array_equal(read_mask(in_form.content), expected)


def test_the_threshold_changes_the_mask(client: TestClient) -> None:
    areas = [object_headers(ask(client, threshold=t))[2] for t in ("0.1", "0.5", "0.9")]
    assert sorted(areas, key=int, reverse=True) == areas
    assert len(set(areas)) == 3


def test_a_flag_that_is_false_or_0_is_off(client: TestClient) -> None:
    plain = ask(client).content
    assert ask(client, fill_holes="false", largest_component="0").content == plain


def test_the_fusion_may_stand_in_the_query_string(client: TestClient) -> None:
    union = client.post("/segment/kshot", params={"fusion": "union"}, files=k_shot_form(3))
    as_part = client.post("/segment/kshot", data={"fusion": "union"}, files=k_shot_form(3))
    assert union.content == as_part.content


def test_every_option_may_be_a_part_beside_the_most_supports(client: TestClient) -> None:
    options = {
        **{"output": "json", "threshold": "0.5", "min_area": "0", "label": "x"},
        **{"fill_holes": "0", "largest_component": "0", "fusion": "average"},
    }
    read_json(client.post("/segment/kshot", data=options, files=k_shot_form(10)))


# Bad values


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("output", "png", "send mask, probability, overlay, cutout or json"),
        ("threshold", "0", "a number above 0 and below 1"),
        ("threshold", "1", "a number above 0 and below 1"),
        ("threshold", "-0.5", "a number above 0 and below 1"),
        ("threshold", "nan", "a number above 0 and below 1"),
        ("threshold", "inf", "a number above 0 and below 1"),
        ("threshold", "0,5", "a number above 0 and below 1"),
        ("min_area", "-1", "a whole number of pixels, 0 or more"),
        ("min_area", "1.5", "a whole number of pixels, 0 or more"),
        ("min_area", "9" * 5000, "a whole number of pixels, 0 or more"),
        ("fill_holes", "yes", "send true or false"),
        ("largest_component", "2", "send true or false"),
        ("label", "x" * 201, "send at most 200 characters"),
        ("depth", "16", "only with output=probability"),
    ],
)
def test_a_bad_value_is_named_with_what_to_send(
    client: TestClient, name: str, value: str, expected: str
) -> None:
    response = client.post("/segment", data={name: value}, files=one_shot_form())
    assert expected in check_invalid(response, "invalid_option", name)


@pytest.mark.parametrize("depth", ["12", "08", "16.0"])
def test_a_depth_is_8_or_16(client: TestClient, depth: str) -> None:
    response = ask(client, output="probability", depth=depth)
    assert "send 8 or 16" in check_invalid(response, "invalid_option", "depth")


def test_the_depth_that_every_picture_has_may_be_asked_for(client: TestClient) -> None:
    assert ask(client, output="mask", depth="8").content == ask(client).content


def test_an_option_in_the_form_and_in_the_query_string_is_sent_twice(client: TestClient) -> None:
    response = client.post(
        "/segment", params={"output": "mask"}, data={"output": "mask"}, files=one_shot_form()
    )
    check_invalid(response, "duplicate_part", "output")


def test_a_query_parameter_may_stand_once(client: TestClient) -> None:
    response = client.post("/segment?threshold=0.4&threshold=0.5", files=one_shot_form())
    check_invalid(response, "duplicate_part", "threshold")


@pytest.mark.parametrize("name", ["treshold", "query_image", "fusion"])
def test_an_unknown_query_parameter_is_named_with_the_known_ones(
    client: TestClient, name: str
) -> None:
    detail = check_invalid(ask(client, **{name: "union"}), "unexpected_part", name)
    known = detail.partition("send ")[2].split(", ")
    assert {"threshold", "presence_threshold", "refine", "largest_component"} <= set(known)


# The Accept header


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("application/json", "application/json"),
        ("image/png;q=0.5, application/json", "application/json"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_the_accept_header_chooses_where_no_output_is_asked(
    client: TestClient, path: str, accept: str, media_type: str
) -> None:
    assert ask(client, path, accept).headers["content-type"] == media_type


def test_what_cannot_be_answered_is_not_acceptable(client: TestClient) -> None:
    response = ask(client, accept="text/html")
    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
    assert response.headers["content-type"] == "application/problem+json"
    assert "image/png or application/json" in response.json()["detail"]


def test_an_output_that_is_asked_for_wins_over_the_accept_header(client: TestClient) -> None:
    read_pixels(ask(client, accept="application/json", output="mask"), "L")
    read_json(ask(client, accept="image/png", output="json"))
    read_pixels(ask(client, accept="text/html", output="overlay"), "RGB")
