"""The OpenAPI description: committed, complete, and true to the routes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.cli import main
from service.routes.segment import K_SHOT, ONE_SHOT
from service.schemas import Problem

COMMITTED = Path(__file__).parents[1] / "docs" / "openapi.json"
OPERATIONS = {
    ("/segment", "post"): "segment",
    ("/segment/kshot", "post"): "segment_kshot",
    ("/healthz", "get"): "health",
    ("/readyz", "get"): "readiness",
    ("/info", "get"): "info",
    ("/metrics", "get"): "metrics",
}


@pytest.fixture(scope="module")
def description() -> Any:
    return json.loads(COMMITTED.read_text())


def test_the_committed_file_is_what_the_command_prints() -> None:
    result = CliRunner().invoke(main, ["openapi"])
    assert result.exit_code == 0
    assert COMMITTED.read_text() == result.stdout, "run: sgone openapi > docs/openapi.json"


def test_every_operation_has_a_readable_id(description: Any) -> None:
    found = {
        (path, method): operation["operationId"]
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    assert found == OPERATIONS


@pytest.mark.parametrize(("path", "layout"), [("/segment", ONE_SHOT), ("/segment/kshot", K_SHOT)])
def test_a_form_is_described_with_exactly_the_parts_that_are_read(
    description: Any, path: str, layout: Any
) -> None:
    body = description["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(body["schema"]["properties"]) == set(layout.names)
    assert set(body["schema"]["required"]) == {*layout.single, *layout.repeated}
    repeated = {n for n, s in body["schema"]["properties"].items() if s["type"] == "array"}
    assert repeated == set(layout.repeated)


@pytest.mark.parametrize("path", ["/segment", "/segment/kshot"])
def test_every_reply_to_segment_is_described(description: Any, path: str) -> None:
    responses = description["paths"][path]["post"]["responses"]
    assert set(responses) == {"200", "400", "413", "415", "422", "429", "500", "503"}
    assert set(responses.pop("200")["content"]) == {"image/png"}
    for response in responses.values():
        schema = response["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}


def test_the_problem_schema_is_in_the_file(description: Any) -> None:
    assert description["components"]["schemas"]["Problem"] == Problem.model_json_schema()
