"""Any request that the OpenAPI description allows, and many that it does not: no surprise.

FUZZ_CASES sets how many requests are sent in all; the suite sends a few.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from pictures import encode, grey_mask, photograph
from service.app import create_app
from service.inference.engine import Engine
from service.settings import Settings
from serving import served

CASES = int(os.environ.get("FUZZ_CASES", "190"))
SUPPORTS = {"support_image": encode(photograph()), "support_mask": grey_mask()}
FILES = [*SUPPORTS.values(), encode(photograph(seed=1)), b"no image"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def url(settings: Settings, engine: Engine) -> Iterator[str]:
    with served(create_app(settings, engine)) as url:
        yield url


def test_every_reply_is_one_that_the_description_has(url: str, tmp_path: Path) -> None:
    schemathesis = import_schemathesis(tmp_path)
    description = httpx.get(f"{url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description)
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        send_many(url, operation, CASES // len(operations))


def import_schemathesis(home: Path) -> Any:
    """With files that are images as often as not; it takes seconds, and so is not at the top."""
    from hypothesis import configuration

    configuration.set_hypothesis_home_dir(home)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis
    from hypothesis import strategies

    schemathesis.openapi.format("binary", strategies.sampled_from(FILES))
    return schemathesis


def send_many(url: str, operation: Any, count: int) -> None:
    """Requests to one operation, half of them as described."""
    from hypothesis import HealthCheck, Phase, given, strategies
    from hypothesis import settings as rules
    from schemathesis import GenerationMode, checks

    wanted = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    cases = strategies.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

    @rules(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, sensible=strategies.booleans())
    def send(case: Any, sensible: bool) -> None:
        if sensible:
            make_sense(url, case)
        leave_time(case)
        case.validate_response(case.call(base_url=url), checks=wanted)

    send()


def leave_time(case: Any) -> None:
    """A limit of two milliseconds is rightly told as 504, which no check here expects."""
    with suppress(ValueError, TypeError, KeyError):
        if float(case.headers["X-Request-Timeout"]) < 60:
            case.headers["X-Request-Timeout"] = "60"


def make_sense(url: str, case: Any) -> None:
    """Name a set and a pair that exist, and say no option twice, so that more is reached."""
    stored = httpx.get(f"{url}/supports", params={"limit": 1}).json()["items"]
    if not stored:
        reply = httpx.post(f"{url}/supports", files=SUPPORTS, data={"name": "stored"})
        stored = [reply.json()]
    ids = {"set_id": stored[0]["id"], "pair_id": stored[0]["pairs"][0]["id"]}
    if case.path_parameters:
        case.path_parameters = {n: ids.get(n, v) for n, v in case.path_parameters.items()}
    if case.query and case.method == "POST":
        named = {"support_set": ids["set_id"]} if "support_set" in case.query else {}
        case.query = named
        if named and case.path != "/segment/multiclass" and isinstance(case.body, dict):
            for name in SUPPORTS:
                case.body.pop(name, None)
