"""The page and the API's reference: served whole, from here alone, under a strict policy."""

import re
from pathlib import Path
from typing import Any

import pytest

from service.routes.page import assets

WEB = Path(__file__).parents[1] / "service" / "web"
EXAMPLES = Path(__file__).parents[1] / "examples"
TEXTS = sorted(path for path in WEB.rglob("*") if path.suffix in (".html", ".js", ".css", ".svg"))
MAX_SCRIPT_LINES = 300

each_text = pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)


def directives(response: Any) -> dict[str, list[str]]:
    """The Content-Security-Policy, by directive."""
    parts = response.headers["content-security-policy"].split(";")
    return {name: values for name, *values in (part.split() for part in parts)}


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
        ("/web/app.js", "text/javascript; charset=utf-8"),
        ("/web/style.css", "text/css; charset=utf-8"),
        ("/web/icon.svg", "image/svg+xml"),
        ("/web/examples/astronaut.jpg", "image/jpeg"),
        ("/web/examples/astronaut.mask.png", "image/png"),
    ],
)
def test_a_file_is_served_with_its_type(client: Any, path: str, media_type: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/docs", "/web/app.js", "/web/icon.svg"])
def test_only_this_origin_may_give_scripts_styles_and_connections(client: Any, path: str) -> None:
    policy = directives(client.get(path))
    assert policy["default-src"] == ["'none'"]
    for name in ("script-src", "style-src", "connect-src"):
        assert policy[name] == ["'self'"]
    assert set(policy["img-src"]) == {"'self'", "blob:", "data:"}
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == ["'none'"]


def test_a_browser_that_has_the_file_gets_304(client: Any) -> None:
    first = client.get("/web/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/web/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    changed = client.get("/web/app.js", headers={"If-None-Match": '"of another version"'})
    assert changed.content == first.content


def test_a_head_request_gets_the_headers_alone(client: Any) -> None:
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/web/nothing.js",
        "/web/",
        "/web/../app.py",
        "/web/%2e%2e/app.py",
        "/docs/redoc.standalone.js",
    ],
)
def test_nothing_else_is_served(client: Any, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_every_file_of_the_page_is_served_and_read_once() -> None:
    files = {f"web/{p.relative_to(WEB).as_posix()}" for p in WEB.rglob("*") if p.is_file()}
    assert files <= set(assets())
    assert assets() is assets()


@each_text
def test_a_file_names_no_other_host(path: Path) -> None:
    addresses = re.findall(
        r"(?:https?:)?//[\w-]+(?:\.[\w-]+)+[^\s\"'<>]*", path.read_text(encoding="utf-8")
    )
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", ["index.html", "docs.html"])
def test_a_page_has_nothing_inline(name: str) -> None:
    page = (WEB / name).read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert all(not body for body in re.findall(r"<script[^>]*>([^<]*)</script>", page))


def test_an_id_stands_once_in_the_page() -> None:
    ids = re.findall(r'\sid="([^"]+)"', (WEB / "index.html").read_text(encoding="utf-8"))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", [p for p in TEXTS if p.suffix == ".js"], ids=lambda p: p.name)
def test_a_script_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) < MAX_SCRIPT_LINES
    assert lines[0].startswith("/** ")


def test_the_pages_examples_are_the_repositorys() -> None:
    for path in (WEB / "examples").iterdir():
        assert path.read_bytes() == (EXAMPLES / path.name).read_bytes()
