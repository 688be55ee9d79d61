"""HEAD is answered wherever GET is."""

import pytest

PATHS = ["/", "/healthz", "/readyz", "/info", "/metrics", "/docs", "/openapi.json", "/supports"]


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(client, path) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # whose length grows with each request
        assert head.headers.get("content-length") == get.headers.get("content-length")


def test_head_fails_as_get_does(client) -> None:
    assert client.head("/supports/nothing").status_code == 404
    assert client.head("/nothing").status_code == 404


def test_a_refused_method_is_told_that_head_is_answered(client) -> None:
    reply = client.put("/healthz")
    assert reply.status_code == 405
    assert {"GET", "HEAD"} <= set(reply.headers["allow"].split(", "))


def test_head_is_counted_under_its_route(client) -> None:
    client.head("/healthz")
    assert (
        'sgone_requests_total{method="HEAD",route="/healthz",status="200"}'
        in client.get("/metrics").text
    )
