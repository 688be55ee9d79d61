"""What a client would rather have: its Accept header against the types on offer (RFC 9110)."""

import re
from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers

from service.errors import NotAcceptableError
from service.options import JSON, PNG

_WEIGHT = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def negotiate(accept: str, offers: Sequence[str]) -> str:
    """The media type of ``offers`` that the header weighs most.

    If two weigh the same, the one that is named more exactly wins: ``application/json, */*`` asks
    for JSON. If that is the same too, the earlier offer wins, as without a header.
    Raises NotAcceptableError where none has a weight above 0.
    """
    if not accept.strip():
        return offers[0]
    ranges = [_read_range(item) for item in accept.split(",") if item.strip()]
    best = max(offers, key=lambda offer: _preference(offer, ranges))
    weight, _ = _preference(best, ranges)
    if weight == 0:
        raise NotAcceptableError(
            f"Accept is {accept[:80]!r}, on offer is {' or '.join(offers)}; "
            "accept one of them, or leave the header out"
        )
    return best


def accepted(headers: Headers) -> str:
    """A request's Accept header, which may come in several lines."""
    return ",".join(headers.getlist("accept"))


def with_output(options: Mapping[str, str], headers: Headers) -> dict[str, str]:
    """``options``; where they name no ``output``, the Accept header chooses json or mask.

    Raises NotAcceptableError.
    """
    if "output" in options:
        return dict(options)
    chosen = "json" if negotiate(accepted(headers), (PNG, JSON)) == JSON else "mask"
    return {"output": chosen, **options}


def _read_range(item: str) -> tuple[str, float]:
    """``image/*;q=0.5`` -> ("image/*", 0.5); no weight, or an unreadable one, is 1."""
    weight = _WEIGHT.search(item)
    return item.partition(";")[0].strip().lower(), float(weight[1]) if weight else 1.0


def _preference(offer: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Weight and exactness of the most exact range that covers the offer; (0, 0) for none."""
    covering = ("*/*", offer.partition("/")[0] + "/*", offer)
    found = [
        (covering.index(media_range), weight)
        for media_range, weight in ranges
        if media_range in covering
    ]
    exactness, weight = max(found, default=(0, 0.0))
    return weight, exactness
