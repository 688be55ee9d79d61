"""The OpenAPI description: committed, complete, and true to the routes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.cli import main
from service.http.deadline import HEADER
from service.routes.batch import BATCH
from service.routes.multiclass import SENT
from service.routes.segment import K_SHOT, ONE_SHOT
from service.schemas import Problem
from service.segment.pairs import SUPPORT_PARTS

COMMITTED = Path(__file__).parents[1] / "docs" / "openapi.json"
OPERATIONS = {
    ("/segment", "post"): "segment",
    ("/segment/kshot", "post"): "segment_kshot",
    ("/segment/multiclass", "post"): "segment_multiclass",
    ("/segment/batch", "post"): "segment_batch",
    ("/supports", "post"): "create_support_set",
    ("/supports", "get"): "list_support_sets",
    ("/supports/{set_id}", "get"): "read_support_set",
    ("/supports/{set_id}", "delete"): "delete_support_set",
    ("/supports/{set_id}/thumbnail", "get"): "read_support_set_thumbnail",
    ("/supports/{set_id}/pairs", "post"): "add_support_pairs",
    ("/supports/{set_id}/pairs/{pair_id}", "delete"): "delete_support_pair",
    ("/supports/{set_id}/pairs/{pair_id}/image", "get"): "read_support_image",
    ("/supports/{set_id}/pairs/{pair_id}/mask", "get"): "read_support_mask",
    ("/healthz", "get"): "health",
    ("/readyz", "get"): "readiness",
    ("/info", "get"): "info",
    ("/metrics", "get"): "metrics",
}


@pytest.fixture(scope="module")
def description() -> Any:
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


def test_the_committed_file_is_what_the_command_prints() -> None:
    result = CliRunner().invoke(main, ["openapi"])
    assert result.exit_code == 0
    assert COMMITTED.read_text(encoding="utf-8") == result.stdout, (
        "run: sgone openapi > docs/openapi.json"
    )


def test_every_operation_has_a_readable_id(description: Any) -> None:
    found = {
        (path, method): operation["operationId"]
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    assert found == OPERATIONS


each_form = pytest.mark.parametrize(
    ("path", "layout"),
    [
        ("/segment", ONE_SHOT),
        ("/segment/kshot", K_SHOT),
        ("/segment/multiclass", SENT),
        ("/segment/batch", BATCH),
    ],
)


@each_form
def test_a_form_is_described_with_exactly_the_parts_that_are_read(
    description: Any, path: str, layout: Any
) -> None:
    body = description["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(body["schema"]["properties"]) == set(layout.names)
    assert set(body["schema"]["required"]) == {*layout.without(SUPPORT_PARTS).required}
    repeated = {n for n, s in body["schema"]["properties"].items() if s["type"] == "array"}
    assert repeated == set(layout.arrays)


@pytest.mark.parametrize("path", ["/segment", "/segment/kshot"])
def test_every_reply_to_segment_is_described(description: Any, path: str) -> None:
    responses = description["paths"][path]["post"]["responses"]
    assert set(responses) == {
        "200",
        "400",
        "404",
        "406",
        "408",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
        "504",
    }
    success = responses.pop("200")
    assert set(success["content"]) == {"image/png", "application/json"}
    json_schema = success["content"]["application/json"]["schema"]
    assert json_schema == {"$ref": "#/components/schemas/Segmentation"}
    assert {"X-Object-Found", "X-Object-Score", "X-Object-Area"} <= set(success["headers"])
    for response in responses.values():
        schema = response["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}


@each_form
def test_every_option_is_described_as_a_query_parameter_too(
    description: Any, path: str, layout: Any
) -> None:
    operation = description["paths"][path]["post"]
    body = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    described = {p["name"]: p for p in operation["parameters"] if p["in"] == "query"}
    assert {*layout.options, *layout.parameters} == set(described)
    for name in layout.options:
        assert (described[name]["in"], described[name]["schema"]) == ("query", body[name])
        assert "default" not in body[name], "pages that try out an API would send it twice"


@each_form
def test_the_header_of_the_time_limit_is_described(
    description: Any, path: str, layout: Any
) -> None:
    parameters = description["paths"][path]["post"]["parameters"]
    (header,) = [p["name"] for p in parameters if p["in"] == "header"]
    assert header == HEADER
    assert {"408", "504"} < set(description["paths"][path]["post"]["responses"])


def test_every_reference_in_the_file_has_its_target(description: Any) -> None:
    schemas = set(description["components"]["schemas"])
    references = set(
        re.findall(r'"#/components/schemas/(\w+)"', COMMITTED.read_text(encoding="utf-8"))
    )
    assert references <= schemas
    assert {"BatchFound", "BatchFailed", "MulticlassSegmentation"} <= references


def test_the_problem_schema_is_in_the_file(description: Any) -> None:
    assert description["components"]["schemas"]["Problem"] == Problem.model_json_schema()
