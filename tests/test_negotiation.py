"""The Accept header against what is on offer."""

import pytest

from service.errors import NotAcceptableError
from service.http.negotiation import negotiate

OFFERS = ("image/png", "application/json")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("text/html, image/avif, image/webp, */*;q=0.8", "image/png"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/json, image/png", "image/png"),
        ("application/json, image/*", "application/json"),
        ("application/json, image/png;q=0.9", "application/json"),
        ("application/json;q=0.9, image/png", "image/png"),
        ("application/json;q=0.1, */*;q=0.2", "image/png"),
        ("image/png;q=0, */*", "application/json"),
        ("image/*;q=0.2, image/png;q=0, application/json;q=0.1", "application/json"),
        ("application/json;q=high", "application/json"),
        (",, application/json ,", "application/json"),
    ],
)
def test_what_the_client_weighs_most_is_chosen(accept: str, chosen: str) -> None:
    assert negotiate(accept, OFFERS) == chosen


@pytest.mark.parametrize("accept", ["text/html", "image/webp", "image/png;q=0", "png", "*/*;q=0"])
def test_nothing_acceptable_is_told_with_what_is_on_offer(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match="on offer is image/png or application/json"):
        negotiate(accept, OFFERS)
