"""/supports over HTTP: stored sets from their upload to their end, and every error on the way."""

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from databases import limit_pages
from pictures import Parts, encode, file, grey_mask, object_mask, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.library.database import Database
from service.library.sets import Library
from service.segment.runtime import Runtime
from service.settings import Settings

NOBODY = "0" * 32


def pairs(*seeds: int) -> Parts:
    """A photograph and a mask for each seed."""
    parts: Parts = []
    for seed in seeds:
        parts.append(file("support_image", encode(photograph(seed=seed))))
        parts.append(file("support_mask", grey_mask()))
    return parts


def create(client: TestClient, name: str = "Mugs", *seeds: int, **texts: str) -> Any:
    """The reply's body, which is that of a new set."""
    response = client.post("/supports", files=pairs(*(seeds or (0,))), data={"name": name, **texts})
    assert response.status_code == 201, response.text
    return response.json()


def problem(response: Any, status: int, code: str, field: str | None = None) -> str:
    """The detail of a reply that must be this problem."""
    body = response.json()
    found = (response.status_code, body["code"], body.get("field"))
    assert found == (status, code, field), body
    assert response.headers["content-type"] == "application/problem+json"
    return str(body["detail"])


# Sets


def test_a_new_set_is_described_where_its_location_says(client: TestClient) -> None:
    response = client.post("/supports", files=pairs(0, 1), data={"name": "Mugs", "label": "mug"})
    assert response.status_code == 201
    created = response.json()
    assert response.headers["location"] == f"/supports/{created['id']}"
    assert client.get(response.headers["location"]).json() == created
    assert (created["name"], created["label"], created["shots"]) == ("Mugs", "mug", 2)
    assert re.fullmatch("[0-9a-f]{32}", created["id"])
    area = int(object_mask().sum())
    for pair in created["pairs"]:
        assert (pair["width"], pair["height"], pair["area"]) == (64, 48, area)


def test_moments_are_rfc_3339_in_utc(client: TestClient) -> None:
    created = create(client)
    for moment in (created["created"], created["pairs"][0]["created"]):
        assert moment.endswith("Z")
        age = datetime.now(UTC) - datetime.fromisoformat(moment)
        assert timedelta(0) <= age < timedelta(minutes=1)


def test_a_set_without_a_label_has_none(client: TestClient) -> None:
    assert create(client)["label"] is None
    assert create(client, "others", label="  ")["label"] is None


def test_sets_are_listed_newest_first_in_pages(client: TestClient) -> None:
    assert client.get("/supports").json() == {"items": [], "total": 0}
    made = [create(client, f"set {number}") for number in range(3)]
    assert client.get("/supports").json() == {"items": made[::-1], "total": 3}
    page = client.get("/supports", params={"limit": 1, "offset": 1}).json()
    assert page == {"items": [made[1]], "total": 3}


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "0"), ("limit", "1000"), ("offset", "-1"), ("offset", "9" * 30)]
)
def test_an_impossible_page_is_refused(client: TestClient, name: str, value: str) -> None:
    problem(client.get("/supports", params={name: value}), 422, "invalid_request", name)


def test_a_deleted_set_is_gone(client: TestClient) -> None:
    url = f"/supports/{create(client)['id']}"
    response = client.delete(url)
    assert (response.status_code, response.content) == (204, b"")
    problem(client.get(url), 404, "support_set_not_found")
    problem(client.delete(url), 404, "support_set_not_found")


def test_pairs_are_added_and_deleted(client: TestClient) -> None:
    created = create(client, "Mugs", 0)
    url = f"/supports/{created['id']}"
    response = client.post(f"{url}/pairs", files=pairs(1, 2))
    assert response.status_code == 201
    assert response.json()["pairs"][:1] == created["pairs"]
    assert client.get(url).json() == response.json()
    second = response.json()["pairs"][1]["id"]
    assert client.delete(f"{url}/pairs/{second}").status_code == 204
    assert second not in [pair["id"] for pair in client.get(url).json()["pairs"]]


def test_the_last_pair_of_a_set_cannot_go(client: TestClient) -> None:
    created = create(client)
    url = f"/supports/{created['id']}"
    response = client.delete(f"{url}/pairs/{created['pairs'][0]['id']}")
    assert "delete the set" in problem(response, 409, "last_pair")
    assert client.get(url).json() == created


def test_a_name_that_is_taken_is_a_conflict(client: TestClient) -> None:
    create(client)
    response = client.post("/supports", files=pairs(1), data={"name": " Mugs "})
    problem(response, 409, "name_taken", "name")


@pytest.mark.parametrize("set_id", [NOBODY, "nothing", "a%00b", "%ff", "x" * 1000])
def test_a_set_that_does_not_exist_is_told_on_every_path(client: TestClient, set_id: str) -> None:
    url = f"/supports/{set_id}"
    for response in (
        client.get(url),
        client.delete(url),
        client.patch(url, files={"name": (None, "new")}),
        client.get(f"{url}/export"),
        client.get(f"{url}/thumbnail"),
        client.post(f"{url}/pairs", files=pairs(0)),
        client.delete(f"{url}/pairs/{NOBODY}"),
        client.put(f"{url}/pairs/{NOBODY}", files=pairs(0)),
        client.put(f"{url}/pairs/{NOBODY}", files=pairs(0)[1:]),
        client.get(f"{url}/pairs/{NOBODY}/image"),
        client.get(f"{url}/pairs/{NOBODY}/mask"),
    ):
        problem(response, 404, "support_set_not_found")


def test_a_pair_that_does_not_exist_is_told_on_every_path(client: TestClient) -> None:
    url = f"/supports/{create(client)['id']}/pairs/{NOBODY}"
    for response in (
        client.delete(url),
        client.put(url, files=pairs(0)),
        client.put(url, files=pairs(0)[:1]),
        client.get(f"{url}/image"),
        client.get(f"{url}/mask"),
    ):
        problem(response, 404, "pair_not_found")


# Changes


def texts(**values: str) -> Any:
    """A form of texts alone, as browsers send it."""
    return {name: (None, value) for name, value in values.items()}


def test_a_set_is_renamed_and_gets_another_label(client: TestClient) -> None:
    created = create(client, "Mugs", label="mug")
    url = f"/supports/{created['id']}"
    response = client.patch(url, files=texts(name=" Cups "))
    assert response.status_code == 200
    assert response.json() == {**created, "name": "Cups"}
    assert client.patch(url, files=texts(label="cup")).json()["label"] == "cup"
    assert client.patch(url, files=texts(label="")).json() == {
        **created, "name": "Cups", "label": None
    }  # fmt: skip
    assert client.get(url).json() == {**created, "name": "Cups", "label": None}


@pytest.mark.parametrize(
    ("sent", "status", "code", "field"),
    [
        ({"name": "Cups"}, 409, "name_taken", "name"),
        ({"name": " "}, 422, "missing_part", "name"),
        ({"name": "x" * 201}, 422, "invalid_option", "name"),
        ({"label": "two\nlines"}, 422, "invalid_option", "label"),
        ({"id": NOBODY}, 422, "unexpected_part", "id"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(
    client: TestClient, sent: dict[str, str], status: int, code: str, field: str
) -> None:
    create(client, "Cups", 1)
    created = create(client, "Mugs", label="mug")
    url = f"/supports/{created['id']}"
    problem(client.patch(url, files=texts(**sent)), status, code, field)
    assert client.get(url).json() == created


def test_a_change_of_nothing_is_told(client: TestClient) -> None:
    url = f"/supports/{create(client)['id']}"
    empty = {"content-type": "multipart/form-data; boundary=b"}
    response = client.patch(url, content=b"--b--\r\n", headers=empty)
    problem(response, 422, "missing_part", "name")
    url += f"/pairs/{client.get(url).json()['pairs'][0]['id']}"
    response = client.put(url, content=b"--b--\r\n", headers=empty)
    problem(response, 422, "missing_part", "support_mask")


def test_a_mask_is_repainted_and_the_photograph_stays(client: TestClient) -> None:
    created = create(client, "Mugs", 0, 1, 2)
    pair = created["pairs"][1]
    url = f"/supports/{created['id']}/pairs/{pair['id']}"
    mask = grey_mask(~object_mask())
    changed = client.put(url, files=[file("support_mask", mask)]).json()
    assert [each["id"] for each in changed["pairs"]] == [each["id"] for each in created["pairs"]]
    assert changed["pairs"][1]["area"] == 64 * 48 - pair["area"]
    assert client.get(f"{url}/mask").content == mask
    assert client.get(f"{url}/image").content == encode(photograph(seed=1))
    assert client.get(f"/supports/{created['id']}").json() == changed


def test_a_photograph_is_replaced_and_the_thumbnail_follows(client: TestClient) -> None:
    created, other = create(client, "Mugs", 3), create(client, "other", 4)
    url = f"/supports/{created['id']}/pairs/{created['pairs'][0]['id']}"
    assert client.put(url, files=pairs(4)[:1]).status_code == 200
    assert (thumbnail(client, created["id"]) == thumbnail(client, other["id"])).all()
    assert client.get(f"{url}/mask").content == grey_mask()


def test_both_halves_may_be_of_another_size(client: TestClient) -> None:
    created = create(client)
    url = f"/supports/{created['id']}/pairs/{created['pairs'][0]['id']}"
    parts = [
        file("support_image", encode(photograph(30, 20))),
        file("support_mask", grey_mask(object_mask(30, 20))),
    ]
    for part in parts:
        problem(client.put(url, files=[part]), 422, "mask_size_mismatch", "support_mask")
    (pair,) = client.put(url, files=parts).json()["pairs"]
    assert (pair["width"], pair["height"]) == (20, 30)


def test_a_pair_that_is_replaced_twice_at_once_stays_a_pair(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = create(client)
    url = f"/supports/{created['id']}/pairs/{created['pairs'][0]['id']}"
    decode = Runtime.decode_shot

    def and_another_comes_first(runtime: Runtime, *parts: Any) -> Any:
        monkeypatch.setattr(Runtime, "decode_shot", decode)
        assert client.put(url, files=pairs(5)).status_code == 200
        return decode(runtime, *parts)

    monkeypatch.setattr(Runtime, "decode_shot", and_another_comes_first)
    late = client.put(url, files=[file("support_mask", grey_mask(~object_mask()))])
    problem(late, 409, "pair_changed")
    assert client.get(f"{url}/mask").content == grey_mask()


def test_a_repainted_mask_is_what_the_next_request_uses(client: TestClient) -> None:
    created = create(client)
    query = [file("query_image", encode(photograph(seed=9)))]
    asked = f"/segment?support_set={created['id']}&output=probability"
    before = [client.post(asked, files=query).content for _ in range(2)]
    url = f"/supports/{created['id']}/pairs/{created['pairs'][0]['id']}"
    mask = grey_mask(~object_mask())
    client.put(url, files=[file("support_mask", mask)])
    after = [client.post(asked, files=query).content for _ in range(2)]
    sent = [file("support_image", encode(photograph())), file("support_mask", mask), *query]
    assert before[0] == before[1] != after[0]
    expected = client.post("/segment?output=probability", files=sent).content
    assert after == [expected, expected]


# Files


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_files_come_back_byte_for_byte_with_the_type_of_their_content(
    client: TestClient, kind: str
) -> None:
    image, mask = encode(photograph(), kind), grey_mask()
    parts = [
        ("support_image", ("x.html", image, "text/html")),
        ("support_mask", ("y.svg", mask, "image/svg+xml")),
    ]
    created = client.post("/supports", files=parts, data={"name": kind}).json()
    url = f"/supports/{created['id']}/pairs/{created['pairs'][0]['id']}"
    stored_image, stored_mask = client.get(f"{url}/image"), client.get(f"{url}/mask")
    assert (stored_image.content, stored_mask.content) == (image, mask)
    assert stored_image.headers["content-type"] == f"image/{kind.lower()}"
    assert stored_mask.headers["content-type"] == "image/png"
    assert stored_mask.headers["x-content-type-options"] == "nosniff"


def test_a_jpeg_of_several_pictures_is_a_jpeg(client: TestClient) -> None:
    first, second = (Image.fromarray(photograph(seed=seed)) for seed in (0, 1))
    image = encode(first, "MPO", save_all=True, append_images=[second])
    parts = [file("support_image", image), file("support_mask", grey_mask())]
    created = client.post("/supports", files=parts, data={"name": "phone"}).json()
    url = f"/supports/{created['id']}/pairs/{created['pairs'][0]['id']}/image"
    assert client.get(url).headers["content-type"] == "image/jpeg"


def test_sizes_are_of_the_upright_photograph(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    parts = [
        file("support_image", encode(photograph(48, 64), "JPEG", exif=exif)),
        file("support_mask", grey_mask(object_mask(64, 48))),
    ]
    created = client.post("/supports", files=parts, data={"name": "turned"}).json()
    pair = created["pairs"][0]
    assert (pair["width"], pair["height"]) == (48, 64)


def thumbnail(client: TestClient, set_id: str) -> Any:
    response = client.get(f"/supports/{set_id}/thumbnail")
    assert response.headers["content-type"] == "image/png"
    return np.array(Image.open(BytesIO(response.content)))


def test_the_thumbnail_is_small_and_shows_the_object(client: TestClient) -> None:
    mask = object_mask(300, 600)
    grey = np.full((300, 600, 3), 128, np.uint8)
    parts = [file("support_image", encode(grey)), file("support_mask", grey_mask(mask))]
    created = client.post("/supports", files=parts, data={"name": "large"}).json()
    picture = thumbnail(client, created["id"])
    assert picture.shape == (128, 256, 3)
    coloured = (picture != 128).any(axis=2)
    small = np.array(Image.fromarray(mask).resize((256, 128), Image.Resampling.NEAREST))
    assert coloured[small].mean() > 0.95
    assert coloured[~small].mean() < 0.05


def test_a_tiny_object_shows_in_the_thumbnail(client: TestClient) -> None:
    mask = np.zeros((2000, 2000), np.bool_)
    mask[1000, 1000] = True
    grey = np.full((2000, 2000, 3), 128, np.uint8)
    parts = [file("support_image", encode(grey)), file("support_mask", grey_mask(mask))]
    created = client.post("/supports", files=parts, data={"name": "tiny"}).json()
    assert (thumbnail(client, created["id"]) != 128).any()


def test_the_thumbnail_is_of_the_first_pair_that_is_left(client: TestClient) -> None:
    created = create(client, "Mugs", 3, 4)
    client.delete(f"/supports/{created['id']}/pairs/{created['pairs'][0]['id']}")
    other = create(client, "other", 4)
    assert (thumbnail(client, created["id"]) == thumbnail(client, other["id"])).all()


# What is refused


@pytest.mark.parametrize("texts", [{}, {"name": ""}, {"name": "  "}])
def test_a_set_needs_a_name(client: TestClient, texts: dict[str, str]) -> None:
    problem(client.post("/supports", files=pairs(0), data=texts), 422, "missing_part", "name")


@pytest.mark.parametrize("part", ["name", "label"])
@pytest.mark.parametrize("text", ["x" * 201, "two\nlines", "a\0b"])
def test_a_text_that_is_too_long_or_cannot_be_shown_is_refused(
    client: TestClient, part: str, text: str
) -> None:
    response = client.post("/supports", files=pairs(0), data={"name": "Mugs", part: text})
    problem(response, 422, "invalid_option", part)


def test_a_text_of_any_script_and_of_the_full_length_is_kept(client: TestClient) -> None:
    name = "Ärmel 茶杯 🍵".ljust(200, "é")
    assert create(client, name, label=name)["name"] == name


@pytest.mark.parametrize("name", ["support_image", "support_mask"])
@pytest.mark.parametrize("path", ["/supports", "/supports/{id}/pairs"])
def test_a_missing_file_is_named(client: TestClient, path: str, name: str) -> None:
    url = path.format(id=create(client)["id"])
    parts = [*(part for part in pairs(0) if part[0] != name)]
    if path == "/supports":
        parts.append(("name", (None, "new")))  # type: ignore[arg-type]
    problem(client.post(url, files=parts), 422, "missing_part", name)


def test_unequal_numbers_of_images_and_masks_are_told(client: TestClient) -> None:
    response = client.post("/supports", files=pairs(0, 1)[:3], data={"name": "Mugs"})
    problem(response, 422, "support_count_mismatch", "support_mask")


def test_a_set_has_no_more_pairs_than_a_request_may_have_supports(
    client: TestClient, settings: Settings
) -> None:
    most = settings.max_shots
    response = client.post("/supports", files=pairs(*range(most + 1)), data={"name": "Mugs"})
    problem(response, 422, "too_many_shots", "support_image")
    url = f"/supports/{create(client, 'Mugs', *range(most - 1))['id']}/pairs"
    problem(client.post(url, files=pairs(1, 2)), 422, "too_many_shots", "support_image")
    assert client.post(url, files=pairs(1)).status_code == 201


def test_a_query_has_no_place_in_a_set(client: TestClient) -> None:
    parts = [*pairs(0), file("query_image", encode(photograph()))]
    response = client.post("/supports", files=parts, data={"name": "Mugs"})
    problem(response, 422, "unexpected_part", "query_image")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (grey_mask(object_mask() & False), 422, "empty_mask"),
        (grey_mask(object_mask(10, 10)), 422, "mask_size_mismatch"),
        (grey_mask()[:60], 422, "undecodable_image"),
        (b"GIF89a", 415, "unsupported_media_type"),
    ],
    ids=["empty", "size", "cut off", "type"],
)
def test_one_bad_file_and_nothing_is_stored(
    client: TestClient, content: bytes, status: int, code: str
) -> None:
    parts = [*pairs(0), file("support_image", encode(photograph())), file("support_mask", content)]
    response = client.post("/supports", files=parts, data={"name": "Mugs"})
    problem(response, status, code, "support_mask[1]")
    assert client.get("/supports").json()["total"] == 0
    created = create(client)
    problem(client.post(f"/supports/{created['id']}/pairs", files=parts), status, code,
            "support_mask[1]")  # fmt: skip
    assert client.get(f"/supports/{created['id']}").json() == created


# The database


@pytest.fixture
def database(settings: Settings) -> Path:
    return Path(settings.database_url.removeprefix("sqlite:///"))


def test_sets_outlive_the_process(settings: Settings, engine: Engine) -> None:
    with TestClient(create_app(settings, engine)) as client:
        created = create(client)
    with TestClient(create_app(settings, engine)) as client:
        assert client.get("/supports").json() == {"items": [created], "total": 1}


def test_two_services_share_a_database(settings: Settings, engine: Engine) -> None:
    with (
        TestClient(create_app(settings, engine)) as first,
        TestClient(create_app(settings, engine)) as second,
    ):
        created = create(first)
        assert second.get(f"/supports/{created['id']}").json() == created
        problem(second.post("/supports", files=pairs(0), data={"name": "Mugs"}), 409,
                "name_taken", "name")  # fmt: skip


def test_a_locked_database_is_busy_until_it_is_free(
    impatient_client: TestClient, database: Path
) -> None:
    client = impatient_client
    created = create(client)
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    response = client.post("/supports", files=pairs(0), data={"name": "new"})
    assert "try again" in problem(response, 503, "storage_busy")
    assert response.headers["retry-after"] == "5"
    problem(client.delete(f"/supports/{created['id']}"), 503, "storage_busy")
    other.execute("COMMIT")
    other.close()
    assert create(client, "new")["shots"] == 1
    assert client.get(f"/supports/{created['id']}").json() == created


def test_a_full_database_is_told_and_goes_on_serving(settings: Settings, engine: Engine) -> None:
    database = Database.open(settings.database_url)
    with TestClient(create_app(settings, engine, Library(database))) as client:
        created = create(client)
        limit_pages(database, 0)
        noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
        parts = [
            file("support_image", encode(noise)),
            file("support_mask", grey_mask(object_mask(200, 200))),
        ]
        response = client.post("/supports", files=parts, data={"name": "new"})
        problem(response, 507, "storage_full")
        assert client.get("/supports").json() == {"items": [created], "total": 1}
        limit_pages(database, 1_000_000)
        assert client.post("/supports", files=parts, data={"name": "new"}).status_code == 201


def test_a_full_queue_refuses_uploads(settings: Settings, engine: Engine) -> None:
    limited = settings.model_copy(update={"max_queue": 1})
    app = create_app(limited, engine)
    with TestClient(app) as client, app.state.runtime.queue.admit():
        response = client.post("/supports", files=pairs(0), data={"name": "Mugs"})
        problem(response, 429, "queue_full")
        assert client.get("/supports").json()["total"] == 0
