"""Which names the service answers to, and which web pages may make it work."""

import pytest
from starlette.testclient import TestClient

from pictures import one_shot_form
from service.app import create_app
from service.settings import Settings

PAGE = "http://tool.example:3000"


@pytest.fixture
def open_client(settings: Settings, engine):
    """A service that a page of another origin may call."""
    opened = settings.model_copy(update={"cors_origins": f"{PAGE}, https://other.example"})
    with TestClient(create_app(opened, engine), raise_server_exceptions=False) as client:
        yield client


def listening_on(settings: Settings, engine, host: str, allowed: str | None = None) -> TestClient:
    changed = settings.model_copy(update={"host": host, "allowed_hosts": allowed})
    return TestClient(create_app(changed, engine), raise_server_exceptions=False)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("path", ["/supports", "/", "/healthz", "/nothing"])
def test_a_foreign_name_is_refused_where_only_this_machine_may_ask(client, host, path) -> None:
    reply = client.get(path, headers={"Host": host})
    assert (reply.status_code, reply.json()["code"]) == (421, "foreign_host")
    assert "SGONE_ALLOWED_HOSTS" in reply.json()["detail"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
        "192.168.0.7",
        "service:8000",
        "page.localhost",
    ],
)
def test_local_names_and_addresses_are_answered(client, host) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_every_name_is_answered_where_the_network_may_ask(settings, engine) -> None:
    asked = listening_on(settings, engine, "0.0.0.0")
    assert asked.get("/healthz", headers={"Host": "masks.example"}).status_code == 200


@pytest.mark.parametrize(("host", "status"), [("masks.example", 200), ("other.example", 421)])
def test_named_hosts_are_the_only_foreign_ones(settings, engine, host, status) -> None:
    asked = listening_on(settings, engine, "0.0.0.0", "masks.example, MASKS.example.org")
    assert asked.get("/healthz", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://testserver:81", "Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/supports"),
        ("DELETE", "/supports/x"),
        ("PATCH", "/supports/x"),
        ("POST", "/segment"),
    ],
)
def test_a_page_of_another_site_may_not_write(client, headers, method, path) -> None:
    reply = client.request(method, path, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (403, "cross_site")
    assert "SGONE_CORS_ORIGINS" in reply.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://testserver"},
        {"Origin": "https://masks.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://masks.example", "X-Forwarded-Host": "masks.example"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=["no browser", "own", "own behind a proxy", "own, old browser, proxy", "typed"],
)
def test_the_services_own_page_and_programs_may_write(client, headers) -> None:
    reply = client.post("/segment", headers=headers, content=b"")
    assert reply.status_code == 415  # which only the route itself says


def test_a_foreign_page_may_read_what_shows_nothing_secret(client) -> None:
    reply = client.get("/healthz", headers={"Origin": "http://evil.example"})
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers


def test_a_page_of_an_allowed_origin_gets_its_mask_and_reads_its_headers(open_client) -> None:
    headers = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
    reply = open_client.post("/segment", files=one_shot_form(), headers=headers)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == PAGE
    exposed = reply.headers["access-control-expose-headers"]
    assert {"X-Object-Found", "X-Legend", "Server-Timing", "Retry-After"} <= set(
        exposed.split(", ")
    )


def test_an_error_can_be_read_by_an_allowed_page(open_client) -> None:
    reply = open_client.post("/segment", headers={"Origin": PAGE}, content=b"")
    assert reply.status_code == 415
    assert reply.headers["access-control-allow-origin"] == PAGE


def preflight(client, origin: str, method: str, **headers: str):
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return client.options("/supports/x", headers=asked | headers)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_preflight_of_an_allowed_origin_is_answered(open_client, method) -> None:
    reply = preflight(open_client, PAGE, method)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == PAGE


def test_an_allowed_page_of_the_web_may_reach_a_private_network(open_client) -> None:
    asked = {"Access-Control-Request-Private-Network": "true"}
    reply = preflight(open_client, PAGE, "POST", **asked)
    assert reply.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_refused_preflight_is_a_problem_and_counted(open_client, origin) -> None:
    reply = preflight(open_client, origin, "POST")
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, reply.json()["code"]) == (403, "cross_site")
    assert "access-control-allow-origin" not in reply.headers
    assert 'sgone_problems_total{code="cross_site"} 1.0' in open_client.get("/metrics").text


def test_a_preflight_for_a_method_that_is_not_answered_names_those_that_are(open_client) -> None:
    reply = preflight(open_client, PAGE, "TRACE")
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")
    assert "DELETE" in reply.headers["allow"]


@pytest.mark.parametrize("prefix", ["/sgone", "/a/b.c/", "/sgone/"])
def test_addresses_in_replies_stay_below_a_proxys_path(client, prefix) -> None:
    reply = client.get("/nothing", headers={"X-Forwarded-Prefix": prefix})
    assert reply.json()["type"] == prefix.rstrip("/") + "/docs/errors#not_found"
    assert reply.json()["instance"] == prefix.rstrip("/") + "/nothing"


@pytest.mark.parametrize("prefix", ["//evil.example", "http://evil.example", "/../x y", "/" * 300])
def test_a_prefix_that_is_no_path_is_ignored(client, prefix) -> None:
    reply = client.get("/nothing", headers={"X-Forwarded-Prefix": prefix})
    assert reply.json()["type"] == "/docs/errors#not_found"


def test_a_trailing_slash_is_no_redirect(client) -> None:
    assert client.post("/segment/", follow_redirects=False).status_code == 404
