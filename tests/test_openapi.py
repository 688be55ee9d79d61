"""The OpenAPI description: committed, complete, and true to the routes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from pictures import encode, file, grey_mask, one_shot_form, photograph
from service.cli import main
from service.http.deadline import HEADER
from service.options import BatchOptions, KShotOptions, MulticlassOptions, Options, Shaping
from service.schemas import Problem

COMMITTED = Path(__file__).parents[1] / "docs" / "openapi.json"
OPERATIONS = {
    ("/segment", "post"): "segment",
    ("/segment/kshot", "post"): "segment_kshot",
    ("/segment/multiclass", "post"): "segment_multiclass",
    ("/segment/batch", "post"): "segment_batch",
    ("/segment/complete", "post"): "complete_mask",
    ("/supports", "post"): "create_support_set",
    ("/supports", "get"): "list_support_sets",
    ("/supports/{set_id}", "get"): "read_support_set",
    ("/supports/import", "post"): "import_support_set",
    ("/supports/{set_id}", "patch"): "change_support_set",
    ("/supports/{set_id}", "delete"): "delete_support_set",
    ("/supports/{set_id}/export", "get"): "export_support_set",
    ("/supports/{set_id}/thumbnail", "get"): "read_support_set_thumbnail",
    ("/supports/{set_id}/pairs", "post"): "add_support_pairs",
    ("/supports/{set_id}/pairs/{pair_id}", "put"): "replace_support_pair",
    ("/supports/{set_id}/pairs/{pair_id}", "delete"): "delete_support_pair",
    ("/supports/{set_id}/pairs/{pair_id}/image", "get"): "read_support_image",
    ("/supports/{set_id}/pairs/{pair_id}/mask", "get"): "read_support_mask",
    ("/mask", "post"): "read_mask_file",
    ("/annotations", "post"): "write_annotations",
    ("/healthz", "get"): "health",
    ("/readyz", "get"): "readiness",
    ("/info", "get"): "info",
    ("/models", "get"): "list_models",
    ("/models/{name}/reload", "post"): "reload_model",
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


FORMS: dict[str, type[Shaping]] = {
    "/segment": Options,
    "/segment/kshot": KShotOptions,
    "/segment/multiclass": MulticlassOptions,
    "/segment/batch": BatchOptions,
}
each_form = pytest.mark.parametrize("path", FORMS)
each_upload = pytest.mark.parametrize(
    "path", [*FORMS, "/segment/complete", "/supports", "/supports/import", "/annotations"]
)


def form_of(description: Any, path: str) -> Any:
    return description["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]


@pytest.mark.parametrize("path", [*FORMS, "/supports", "/mask", "/annotations"])
def test_a_form_is_described_with_exactly_the_parts_that_are_read(
    client: TestClient, description: Any, path: str
) -> None:
    refused = client.post(path, files=[file("no_such_part", b"x")]).json()
    assert refused["code"] == "unexpected_part"
    known = refused["detail"].partition("; send ")[2].split(", ")
    assert known == list(form_of(description, path)["schema"]["properties"])


@each_upload
def test_a_part_that_is_required_is_missed_and_one_that_may_repeat_is_taken_twice(
    client: TestClient, description: Any, path: str
) -> None:
    schema = form_of(description, path)["schema"]
    contents = {
        name: file(name, grey_mask() if "mask" in name else encode(photograph()))
        if "binary" in json.dumps(part)
        else (name, (None, "cat" if name.endswith("label") or name == "name" else "1"))
        for name, part in schema["properties"].items()
        if "binary" in json.dumps(part) or name in ("name", "label", "support_label")
    }
    for name in schema["required"]:
        others = [part for part in contents.values() if part[0] != name]
        refused = client.post(path, files=others).json()
        assert (refused["code"], refused["field"]) == ("missing_part", name)
    for name, part in contents.items():
        reply = client.post(path, files=[*contents.values(), part])
        once = schema["properties"][name]["type"] != "array"
        assert ("duplicate_part" in reply.text) is once


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
def test_every_option_is_described_as_a_query_parameter_too(description: Any, path: str) -> None:
    body = form_of(description, path)["schema"]["properties"]
    parameters = description["paths"][path]["post"]["parameters"]
    described = {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}
    assert set(described) == {*FORMS[path].model_fields, "support_set", "model"}
    for name in FORMS[path].model_fields:
        assert described[name] == body[name]
        assert "default" not in body[name], "programs that send defaults would send it twice"


@each_form
def test_what_a_page_fills_in_is_what_is_done_without_it(description: Any, path: str) -> None:
    body = form_of(description, path)["schema"]["properties"]
    for name, option in FORMS[path].model_fields.items():
        assert body[name]["examples"] == [option.default if name != "label" else "cat"]


def test_all_that_a_page_fills_in_gives_the_mask_of_a_request_without_it(
    client: TestClient, description: Any
) -> None:
    body = form_of(description, "/segment")["schema"]["properties"]
    shown = {name: part["examples"][0] for name, part in body.items() if "examples" in part}
    filled = client.post("/segment", files=one_shot_form(), data=json_texts(shown))
    assert filled.status_code == 200, filled.text
    assert filled.content == client.post("/segment", files=one_shot_form()).content


def json_texts(values: dict[str, Any]) -> dict[str, str]:
    return {n: v if isinstance(v, str) else json.dumps(v) for n, v in values.items()}


def test_an_archive_is_described_as_one_and_images_as_images(description: Any) -> None:
    encoding = form_of(description, "/supports/import")["encoding"]
    assert encoding == {"archive": {"contentType": "application/zip"}}
    replaced = description["paths"]["/supports/{set_id}/pairs/{pair_id}"]["put"]
    form = replaced["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["required"] == []
    assert "image/png" in form["encoding"]["support_mask"]["contentType"]


def test_texts_of_one_name_are_sent_apart(description: Any) -> None:
    encoding = form_of(description, "/segment/multiclass")["encoding"]
    assert encoding["support_label"] == {"style": "form", "explode": True}


@each_form
def test_the_header_of_the_time_limit_is_described(description: Any, path: str) -> None:
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
