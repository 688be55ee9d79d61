"""Stored sets in place of supports: /segment and /segment/kshot with ?support_set=ID."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pictures import Parts, encode, file, k_shot_form, one_shot_form, photograph
from service.settings import Settings

PATHS = ["/segment", "/segment/kshot"]
QUERY: Parts = [file("query_image", encode(photograph(37, 51, seed=1)))]


def store(client: TestClient, parts: Parts) -> str:
    """The id of a new set of these supports."""
    supports = [part for part in parts if part[0] != "query_image"]
    response = client.post("/supports", files=supports, data={"name": "Mugs"})
    assert response.status_code == 201, response.text
    set_id: str = response.json()["id"]
    return set_id


def problem(response: Any, status: int, code: str, field: str | None = None) -> None:
    body = response.json()
    assert (response.status_code, body["code"], body.get("field")) == (status, code, field), body


@pytest.mark.parametrize("path", PATHS)
def test_a_stored_set_gives_the_mask_of_its_supports(client: TestClient, path: str) -> None:
    sent = client.post(path, files=one_shot_form())
    set_id = store(client, one_shot_form())
    for _ in ("encoded now", "encoded before"):
        response = client.post(path, params={"support_set": set_id}, files=QUERY)
        assert response.status_code == 200, response.text
        assert response.content == sent.content
        assert response.headers["x-object-score"] == sent.headers["x-object-score"]


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_all_pairs_of_a_set_are_fused_as_asked(client: TestClient, fusion: str) -> None:
    sent = client.post("/segment/kshot", files=k_shot_form(3), data={"fusion": fusion})
    params = {"support_set": store(client, k_shot_form(3)), "fusion": fusion}
    assert client.post("/segment/kshot", params=params, files=QUERY).content == sent.content


def test_segment_averages_a_set_of_several_pairs(client: TestClient) -> None:
    sent = client.post("/segment/kshot", files=k_shot_form(3))
    params = {"support_set": store(client, k_shot_form(3))}
    assert client.post("/segment", params=params, files=QUERY).content == sent.content


def test_the_pairs_of_a_set_are_encoded_once(client: TestClient, settings: Settings) -> None:
    set_id = store(client, k_shot_form(3))
    for _ in range(2):
        client.post("/segment", params={"support_set": set_id}, files=QUERY)
        with sqlite3.connect(settings.database_url.removeprefix("sqlite:///")) as database:
            count = database.execute("SELECT count(*) FROM support_encoding").fetchone()
        database.close()
        assert count == (3,)


@pytest.mark.parametrize("path", PATHS)
def test_options_go_with_a_stored_set(client: TestClient, path: str) -> None:
    params = {"support_set": store(client, one_shot_form()), "output": "json", "label": "mug"}
    body = client.post(path, params=params, files=QUERY).json()
    assert (body["label"], body["size"]) == ("mug", [37, 51])


@pytest.mark.parametrize("path", PATHS)
def test_supports_beside_a_stored_set_are_unexpected(client: TestClient, path: str) -> None:
    params = {"support_set": store(client, one_shot_form())}
    response = client.post(path, params=params, files=one_shot_form())
    problem(response, 422, "unexpected_part", "support_image")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("set_id", ["0" * 32, "", "nothing", "a\0b"])
def test_a_set_that_does_not_exist_is_told(client: TestClient, path: str, set_id: str) -> None:
    response = client.post(path, params={"support_set": set_id}, files=QUERY)
    problem(response, 404, "support_set_not_found")


@pytest.mark.parametrize("path", PATHS)
def test_one_set_is_enough(client: TestClient, path: str) -> None:
    response = client.post(path, params={"support_set": ["0" * 32, "1" * 32]}, files=QUERY)
    problem(response, 422, "duplicate_part", "support_set")


def test_a_locked_database_fails_no_request_that_brings_its_supports(
    impatient_client: TestClient, settings: Settings
) -> None:
    set_id = store(impatient_client, one_shot_form())
    other = sqlite3.connect(
        Path(settings.database_url.removeprefix("sqlite:///")), isolation_level=None
    )
    other.execute("BEGIN EXCLUSIVE")
    for params, files in (({}, one_shot_form()), ({"support_set": set_id}, QUERY)):
        response = impatient_client.post("/segment", params=params, files=files)
        assert response.status_code == 200
    other.execute("COMMIT")
    other.close()
