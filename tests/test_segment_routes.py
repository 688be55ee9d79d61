"""POST /segment and POST /segment/kshot: the mask, and an error for each bad input."""

import asyncio
import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from starlette.testclient import TestClient

from model.decision import Decision
from model.episode import Support
from pictures import (
    Parts,
    encode,
    file,
    grey_mask,
    k_shot_form,
    object_mask,
    one_shot_form,
    photograph,
    read_mask,
    scope,
)
from service.app import create_app
from service.inference.engine import Engine
from service.settings import Settings, read_settings

QUERY = photograph(37, 51, seed=1)
STAGES = ["decode", "queue", "encode", "segment", "render"]


def expected(engine: Engine, seeds: list[int], fusion: Any = "average") -> Any:
    """The mask that the Predictor itself predicts for supports of these seeds."""
    supports = [Support(photograph(seed=seed), object_mask()) for seed in seeds]
    return (engine.predictor.predict(supports, QUERY, fusion, refined=True) > 0.5) * 255


def replaced(parts: Parts, name: str, content: bytes, media_type: str = "") -> Parts:
    return [file(name, content, media_type) if part[0] == name else part for part in parts]


def without(parts: Parts, name: str) -> Parts:
    return [part for part in parts if part[0] != name]


def problem(response: Any, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """The reply's problem JSON, whose common members are checked here for every error."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"/docs/errors#{code}"
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    assert body.get("field") == field
    return body


# The mask


def test_one_support_gives_the_predictors_mask_at_the_querys_size(
    client: TestClient, engine: Engine
) -> None:
    response = client.post("/segment", files=one_shot_form())
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    mask = read_mask(response.content)
    assert_array_equal(mask, expected(engine, [0]))
    assert set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_several_supports_are_fused_as_asked(
    client: TestClient, engine: Engine, fusion: str
) -> None:
    response = client.post("/segment/kshot", files=k_shot_form(3), data={"fusion": fusion})
    assert_array_equal(read_mask(response.content), expected(engine, [10, 11, 12], fusion))


def test_without_refinement_the_mask_is_the_networks_own(
    client: TestClient, engine: Engine
) -> None:
    supports = [Support(photograph(seed=0), object_mask())]
    own = engine.predictor.predict(supports, QUERY, refined=False) > 0.5
    plain = client.post("/segment?refine=false", files=one_shot_form())
    refined = client.post("/segment", files=one_shot_form())
    assert_array_equal(read_mask(plain.content), own * 255)
    assert plain.content != refined.content


def test_an_object_below_the_requests_presence_is_not_marked(client: TestClient) -> None:
    found = client.post("/segment?presence_threshold=0", files=one_shot_form())
    presence = float(found.headers["X-Object-Presence"])
    assert found.headers["X-Object-Found"] == "true"
    assert 0 < presence < 1
    missed = client.post("/segment?presence_threshold=1", files=one_shot_form())
    assert missed.headers["X-Object-Found"] == "false"
    assert not read_mask(missed.content).any()
    assert float(missed.headers["X-Object-Presence"]) == presence


def test_the_checkpoints_presence_threshold_holds_where_none_is_asked(
    settings: Settings, engine: Engine
) -> None:
    wary = dataclasses.replace(engine.checkpoint, decision=Decision(presence_threshold=1.0))
    app = create_app(settings, Engine(wary, engine.executor))
    with TestClient(app) as client:
        reply = client.post("/segment?output=json", files=one_shot_form()).json()
        assert reply["found"] is False
        assert reply["area"] == 0
        assert 0 < reply["presence"] < 1
        asked = client.post("/segment?output=json&presence_threshold=0", files=one_shot_form())
        assert asked.json()["found"] is True


def test_a_presence_threshold_beyond_one_is_refused(client: TestClient) -> None:
    response = client.post("/segment?presence_threshold=1.5", files=one_shot_form())
    problem(response, 422, "invalid_option", "presence_threshold")


def test_the_two_fusions_differ_on_the_test_pictures(engine: Engine) -> None:
    union = expected(engine, [10, 11, 12], "union")
    assert (union != expected(engine, [10, 11, 12], "average")).any()


def test_average_is_the_fusion_where_none_is_asked(client: TestClient, engine: Engine) -> None:
    response = client.post("/segment/kshot", files=k_shot_form(3))
    assert_array_equal(read_mask(response.content), expected(engine, [10, 11, 12], "average"))


def test_one_shot_of_kshot_is_segment(client: TestClient) -> None:
    one = client.post("/segment", files=one_shot_form())
    k = client.post("/segment/kshot", files=one_shot_form())
    assert one.content == k.content


def test_supports_pair_up_in_the_order_sent(client: TestClient, engine: Engine) -> None:
    masks = [object_mask(), ~object_mask()]
    parts: Parts = [file("query_image", encode(QUERY))]
    parts += [file("support_image", encode(photograph(seed=seed))) for seed in (10, 11)]
    parts += [file("support_mask", grey_mask(mask)) for mask in masks]
    supports = [
        Support(photograph(seed=seed), mask) for seed, mask in zip((10, 11), masks, strict=True)
    ]
    response = client.post("/segment/kshot", files=parts)
    mask = engine.predictor.predict(supports, QUERY, refined=True) > 0.5
    assert_array_equal(read_mask(response.content), mask * 255)


def test_the_mask_has_the_size_of_the_upright_query(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    parts = replaced(one_shot_form(), "query_image", encode(photograph(40, 80), exif=exif))
    assert read_mask(client.post("/segment", files=parts).content).shape == (80, 40)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (700, 900)])
def test_any_size_of_query_comes_back_in_its_size(
    client: TestClient, height: int, width: int
) -> None:
    parts = replaced(one_shot_form(), "query_image", encode(photograph(height, width)))
    assert read_mask(client.post("/segment", files=parts).content).shape == (height, width)


def test_the_times_of_all_stages_are_told(client: TestClient) -> None:
    header = client.post("/segment", files=one_shot_form()).headers["server-timing"]
    assert [entry.split(";dur=")[0] for entry in header.split(", ")] == STAGES
    assert all(float(entry.split(";dur=")[1]) >= 0 for entry in header.split(", "))


# The form


@pytest.mark.parametrize("name", ["support_image", "support_mask", "query_image"])
@pytest.mark.parametrize("path", ["/segment", "/segment/kshot"])
def test_a_missing_part_is_named(client: TestClient, path: str, name: str) -> None:
    response = client.post(path, files=without(one_shot_form(), name))
    problem(response, 422, "missing_part", name)


@pytest.mark.parametrize("name", ["support_image", "support_mask", "query_image"])
def test_a_part_sent_twice_to_segment_is_named(client: TestClient, name: str) -> None:
    again = [part for part in one_shot_form() if part[0] == name]
    response = client.post("/segment", files=one_shot_form() + again)
    problem(response, 422, "duplicate_part", name)


@pytest.mark.parametrize("name", ["query_image", "fusion"])
def test_a_part_that_kshot_takes_once_is_named_when_sent_twice(
    client: TestClient, name: str
) -> None:
    parts = [*k_shot_form(1), ("fusion", (None, "union"))]
    again = [part for part in parts if part[0] == name]
    response = client.post("/segment/kshot", files=parts + again)
    problem(response, 422, "duplicate_part", name)


@pytest.mark.parametrize(
    ("path", "name"), [("/segment", "image"), ("/segment", "fusion"), ("/segment/kshot", "shots")]
)
def test_an_unknown_part_is_named(client: TestClient, path: str, name: str) -> None:
    response = client.post(path, files=one_shot_form(), data={name: "union"})
    body = problem(response, 422, "unexpected_part", name)
    assert "support_image, support_mask" in body["detail"] or "query_image" in body["detail"]


def test_text_where_a_file_is_due_is_named(client: TestClient) -> None:
    parts = without(one_shot_form(), "query_image")
    response = client.post("/segment", files=parts, data={"query_image": "query.jpg"})
    assert "@FILE" in problem(response, 422, "not_a_file", "query_image")["detail"]


def test_text_where_one_of_several_files_is_due_is_named_by_its_index(client: TestClient) -> None:
    parts = [*k_shot_form(1), ("support_image", (None, "second.jpg")), *k_shot_form(1)[2:]]
    problem(client.post("/segment/kshot", files=parts), 422, "not_a_file", "support_image[1]")


def test_a_file_where_text_is_due_is_named(client: TestClient) -> None:
    parts = [*k_shot_form(1), file("fusion", b"union")]
    problem(client.post("/segment/kshot", files=parts), 422, "not_a_file", "fusion")


def test_an_unknown_fusion_is_answered_with_the_known_ones(client: TestClient) -> None:
    response = client.post("/segment/kshot", files=k_shot_form(1), data={"fusion": "median"})
    body = problem(response, 422, "invalid_option", "fusion")
    assert "'median'; send average or union" in body["detail"]


def test_unequal_numbers_of_images_and_masks_are_told(client: TestClient) -> None:
    parts = [*k_shot_form(2), file("support_image", encode(photograph()))]
    body = problem(
        client.post("/segment/kshot", files=parts), 422, "support_count_mismatch", "support_mask"
    )
    assert "3 support_image and 2 support_mask" in body["detail"]


def test_as_many_shots_as_allowed_are_answered(client: TestClient, settings: Settings) -> None:
    response = client.post("/segment/kshot", files=k_shot_form(settings.max_shots))
    assert response.status_code == 200


def test_more_shots_than_allowed_are_refused(client: TestClient, settings: Settings) -> None:
    response = client.post("/segment/kshot", files=k_shot_form(settings.max_shots + 1))
    assert "the limit is 10" in problem(response, 422, "too_many_shots", "support_image")["detail"]


def test_more_parts_than_any_request_needs_are_refused(client: TestClient) -> None:
    parts = [file("support_image", b"x")] * 100
    problem(client.post("/segment", files=parts), 422, "too_many_parts")


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/x-www-form-urlencoded", ""]
)
def test_a_body_that_is_no_multipart_form_is_an_unsupported_type(
    client: TestClient, media_type: str
) -> None:
    response = client.post("/segment", content=b"{}", headers={"Content-Type": media_type})
    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        pytest.param("multipart/form-data", b"--a--\r\n", id="no boundary"),
        pytest.param("multipart/form-data; boundary=a", b"no boundary at all", id="garbage"),
        pytest.param(
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="query_image"\r\n\r\nhalf',
            id="cut off",
        ),
        pytest.param(
            "multipart/form-data; boundary=a", b"--a\r\nX: y\r\n\r\n\r\n--a--\r\n", id="no name"
        ),
    ],
)
def test_a_form_that_cannot_be_read_is_malformed(
    client: TestClient, media_type: str, content: bytes
) -> None:
    response = client.post("/segment", content=content, headers={"Content-Type": media_type})
    problem(response, 400, "malformed_body")


# The images


@pytest.mark.parametrize("name", ["support_image", "support_mask", "query_image"])
def test_an_undecodable_image_is_named(client: TestClient, name: str) -> None:
    parts = replaced(one_shot_form(), name, encode(photograph())[:200])
    problem(client.post("/segment", files=parts), 422, "undecodable_image", name)


def test_where_no_image_can_be_decoded_the_first_support_is_named(client: TestClient) -> None:
    parts = [file(name, b"") for name, _ in k_shot_form(3)]
    response = client.post("/segment/kshot", files=parts)
    problem(response, 422, "undecodable_image", "support_image[0]")


def test_an_image_among_several_is_named_by_its_index(client: TestClient) -> None:
    parts = k_shot_form(3)
    parts[4] = file("support_mask", b"")
    response = client.post("/segment/kshot", files=parts)
    problem(response, 422, "undecodable_image", "support_mask[1]")


@pytest.mark.parametrize("name", ["support_image", "support_mask", "query_image"])
def test_a_part_of_another_type_is_named(client: TestClient, name: str) -> None:
    parts = replaced(one_shot_form(), name, encode(photograph(), "GIF"), "image/gif")
    problem(client.post("/segment", files=parts), 415, "unsupported_media_type", name)


def test_an_empty_mask_is_refused(client: TestClient) -> None:
    parts = replaced(one_shot_form(), "support_mask", grey_mask(object_mask() & False))
    problem(client.post("/segment", files=parts), 422, "empty_mask", "support_mask")


def test_a_mask_of_another_size_is_refused(client: TestClient) -> None:
    parts = replaced(one_shot_form(), "support_mask", grey_mask(object_mask(48, 65)))
    body = problem(client.post("/segment", files=parts), 422, "mask_size_mismatch", "support_mask")
    assert "mask is 65x48, its image is 64x48" in body["detail"]


# The limits


def limited_client(settings: Settings, engine: Engine, **limits: int) -> TestClient:
    limited = read_settings(checkpoint=settings.checkpoint, **limits)
    return TestClient(create_app(limited, engine), raise_server_exceptions=False)


def test_too_many_pixels_are_refused(settings: Settings, engine: Engine) -> None:
    parts = replaced(one_shot_form(), "query_image", encode(photograph(50, 80)))
    with limited_client(settings, engine, max_image_pixels=48 * 64) as client:
        response = client.post("/segment", files=parts)
    problem(response, 413, "too_many_pixels", "query_image")


def test_a_declared_length_above_the_limit_is_answered_before_the_body_is_read(
    settings: Settings, engine: Engine
) -> None:
    events: list[str] = []

    async def receive() -> Any:
        events.append("read")
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        events.append(str(message.get("status") or json.loads(message["body"] or "{}").get("code")))

    with limited_client(settings, engine, max_upload_bytes=1000) as client:
        request = client.build_request("POST", "/segment", headers=FORM, content=bytes(1001))
        asyncio.run(client.app(scope(request), receive, send))
    assert events == ["413", "payload_too_large", "read", "None"]


def test_a_declared_length_above_the_limit_closes_the_connection(
    settings: Settings, engine: Engine
) -> None:
    with limited_client(settings, engine, max_upload_bytes=1000) as client:
        response = client.post("/segment", headers=FORM, content=bytes(1001))
    problem(response, 413, "payload_too_large")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/nowhere", "/segment"])
def test_a_reply_before_the_body_is_read_closes_the_connection(
    client: TestClient, path: str
) -> None:
    response = client.post(path, content=b"{}", headers={"Content-Type": "application/json"})
    assert response.headers["connection"] == "close"


def test_a_reply_after_the_body_is_read_keeps_the_connection(client: TestClient) -> None:
    assert "connection" not in client.post("/segment", files=one_shot_form()).headers
    assert "connection" not in client.get("/healthz").headers


def test_a_body_without_length_is_refused_once_it_is_over_the_limit(
    settings: Settings, engine: Engine
) -> None:
    body = client_body()
    with limited_client(settings, engine, max_upload_bytes=len(body) - 1) as client:
        response = client.post("/segment", headers=FORM, content=iter([body]))
    problem(response, 413, "payload_too_large")


def test_a_body_of_exactly_the_limit_is_taken(settings: Settings, engine: Engine) -> None:
    body = client_body()
    with limited_client(settings, engine, max_upload_bytes=len(body)) as client:
        assert client.post("/segment", headers=FORM, content=iter([body])).status_code == 200


FORM = {"Content-Type": "multipart/form-data; boundary=limit"}


def client_body() -> bytes:
    lines = []
    for name, (filename, content, _) in one_shot_form():
        disposition = f'form-data; name="{name}"; filename="{filename}"'
        lines += [b"--limit\r\nContent-Disposition: ", disposition.encode(), b"\r\n\r\n"]
        lines += [content, b"\r\n"]
    return b"".join([*lines, b"--limit--\r\n"])


def test_a_blank_option_is_not_set_and_a_checkbox_is_true(client: TestClient) -> None:
    blank = {"threshold": "", "label": " ", "fill_holes": "on"}
    response = client.post("/segment", files=one_shot_form(), data=blank)
    assert response.status_code == 200
    plain = client.post("/segment?fill_holes=true", files=one_shot_form())
    assert response.content == plain.content
