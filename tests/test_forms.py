"""Bodies as clients of every kind send them, and as nobody should: text, names, files, bounds."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from pictures import encode, grey_mask, photograph

BOUNDARY = "forms"
FILES = {
    "support_image": encode(photograph()),
    "support_mask": grey_mask(),
    "query_image": encode(photograph(37, 51, seed=1)),
}
PATHS = ("/segment", "/segment/kshot", "/segment/multiclass", "/segment/batch", "/supports")
each_path = pytest.mark.parametrize("path", PATHS)


def part(name: str, content: bytes, tail: str = "", *headers: str) -> bytes:
    """One part; ``tail`` goes on its Content-Disposition."""
    lines = [f'Content-Disposition: form-data; name="{name}"{tail}', *headers]
    return "\r\n".join([f"--{BOUNDARY}", *lines, "", ""]).encode() + content + b"\r\n"


def files(path: str, tail: str = '; filename="a.png"', *headers: str) -> list[bytes]:
    names = [name for name in FILES if path != "/supports" or name != "query_image"]
    return [part(name, FILES[name], tail, *headers) for name in names]


def post(client: TestClient, path: str, parts: list[bytes], charset: str = "") -> Any:
    content_type = f"multipart/form-data; boundary={BOUNDARY}{charset}"
    body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    return client.post(path, content=body, headers={"Content-Type": content_type})


def text_of(path: str, text: bytes, *headers: str) -> bytes:
    """The label that the endpoint takes."""
    return part("support_label" if path == "/segment/multiclass" else "label", text, "", *headers)


def problem(response: Any, status: int, code: str, field: str | None = None) -> str:
    body = response.json()
    assert (response.status_code, body["code"], body.get("field")) == (status, code, field), body
    return str(body["detail"])


# Charsets


@each_path
@pytest.mark.parametrize("charset", ["punycode", "utf-7", "utf-16", "idna", "rot13", "no-such"])
def test_text_is_never_decoded_by_a_codec_of_the_clients_choice(
    client: TestClient, path: str, charset: str
) -> None:
    parts = [*files(path), text_of(path, b"+2AA-")]
    response = post(client, path, parts, f"; charset={charset}")
    assert "UTF-8" in problem(response, 415, "unsupported_media_type")


@each_path
def test_a_text_part_with_a_charset_of_its_own_is_held_to_the_same(
    client: TestClient, path: str
) -> None:
    text = text_of(path, b"+2AA-", "Content-Type: text/plain; charset=utf-7")
    problem(post(client, path, [*files(path), text]), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("charset", "label"),
    [
        ("", "Kätzchen".encode()),
        ("; charset=UTF-8", "Kätzchen".encode()),
        ('; charset="utf-8"', "Kätzchen".encode()),
        ("; charset=us-ascii", "Kätzchen".encode()),
        ("; charset=ISO-8859-1", "Kätzchen".encode("latin-1")),
    ],
)
def test_utf_8_and_latin_1_are_read(client: TestClient, charset: str, label: bytes) -> None:
    parts = [*files("/segment"), part("label", label), part("output", b"json")]
    assert post(client, "/segment", parts, charset).json()["label"] == "Kätzchen"


def test_a_text_part_may_say_latin_1_of_itself(client: TestClient) -> None:
    label = part(
        "label", "Kätzchen".encode("latin-1"), "", "Content-Type: text/plain; charset=latin1"
    )
    response = post(client, "/segment", [*files("/segment"), label, part("output", b"json")])
    assert response.json()["label"] == "Kätzchen"


@each_path
@pytest.mark.parametrize("text", [b"K\xe4tzchen", b"\xed\xa0\x80"], ids=["latin-1", "surrogate"])
def test_text_that_is_not_utf_8_is_refused(client: TestClient, path: str, text: bytes) -> None:
    field = "support_label" if path == "/segment/multiclass" else "label"
    response = post(client, path, [*files(path), text_of(path, text)])
    assert "send it as UTF-8" in problem(response, 422, "invalid_option", field)


# Files


@pytest.mark.parametrize(
    ("tail", "headers"),
    [
        ("", ["Content-Type: image/png"]),
        ("", ["Content-Type: application/octet-stream"]),
        ("; filename*=UTF-8''a%20cat.png", []),
        ("; filename*=utf-7''a.png", []),
    ],
)
@each_path
def test_a_file_needs_no_file_name(
    client: TestClient, path: str, tail: str, headers: list[str]
) -> None:
    extra = {
        "/supports": [part("name", b"mug")],
        "/segment/multiclass": [part("support_label", b"cat")],
    }
    response = post(client, path, [*files(path, tail, *headers), *extra.get(path, [])])
    assert response.is_success, response.text


@pytest.mark.parametrize("headers", [[], ["Content-Type: text/plain"]])
def test_a_text_in_place_of_a_file_is_told_of_the_file_name(
    client: TestClient, headers: list[str]
) -> None:
    detail = problem(
        post(client, "/segment", files("/segment", "", *headers)),
        422,
        "not_a_file",
        "support_image",
    )
    assert "filename" in detail
    assert "@FILE" in detail


def test_a_long_text_in_place_of_a_file_is_told_the_same(client: TestClient) -> None:
    parts = [part("query_image", b"x" * 20_000), *files("/segment")[:2]]
    problem(post(client, "/segment", parts), 422, "not_a_file", "query_image")


@pytest.mark.parametrize(
    ("tail", "name"),
    [
        ('; filename="katze.png"', "katze.png"),
        ('; filename="k\u00e4tzchen.png"', "kätzchen.png"),
        ("; filename*=UTF-8''k%C3%A4tzchen.png", "kätzchen.png"),
        ("; filename*=utf-7''%ff.png", "\ufffd.png"),
    ],
)
def test_a_record_of_a_batch_has_the_file_name(client: TestClient, tail: str, name: str) -> None:
    parts = [*files("/segment/batch")[:2], part("query_image", FILES["query_image"], tail, "A: b")]
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    headers = {"Content-Type": content_type, "Accept": "application/x-ndjson"}
    response = client.post("/segment/batch", content=body, headers=headers)
    assert json.loads(response.content)["name"] == name


# Bounds


@each_path
def test_a_text_has_a_bound_in_bytes(client: TestClient, path: str) -> None:
    field = "support_label" if path == "/segment/multiclass" else "label"
    response = post(client, path, [*files(path), text_of(path, b"x" * 20_000)])
    assert "16384 bytes" in problem(response, 422, "invalid_option", field)


@each_path
@pytest.mark.parametrize("name", ["no_such_part", "\u00e9\u0000", "x" * 1000])
@pytest.mark.parametrize("content", [b"x", b"\xff", b"x" * 20_000], ids=["text", "bytes", "long"])
def test_an_unknown_name_is_told_in_short(
    client: TestClient, path: str, name: str, content: bytes
) -> None:
    response = post(client, path, [*files(path), part(name, content)])
    problem(response, 422, "unexpected_part", name[:80])


@pytest.mark.parametrize("name", ["query_image[]", "query_image[0]", "threshold[]", "label[a]"])
def test_a_name_with_brackets_is_told_without_them(client: TestClient, name: str) -> None:
    response = post(client, "/segment", [*files("/segment"), part(name, b"x")])
    detail = problem(response, 422, "unexpected_part", name)
    assert f"send {name.partition('[')[0]}, without brackets" in detail


@each_path
@pytest.mark.parametrize("what", ["name", "filename"])
def test_names_are_bounded(client: TestClient, path: str, what: str) -> None:
    long = part("x" * 5000, b"") if what == "name" else part("x", b"", f'; filename="{"y" * 5000}"')
    problem(post(client, path, [*files(path), long]), 400, "malformed_body")


@each_path
def test_a_text_too_long_for_its_place_is_named(client: TestClient, path: str) -> None:
    extra = [part("name", b"mug")] if path == "/supports" else []
    field = "support_label[0]" if path == "/segment/multiclass" else "label"
    response = post(client, path, [*files(path), *extra, text_of(path, b"x" * 201)])
    assert "200" in problem(response, 422, "invalid_option", field)
