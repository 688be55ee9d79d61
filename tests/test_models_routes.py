"""Several models in one process: asked for by name, loaded when they are, told of by /models."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from model.checkpoint import Card, save_checkpoint
from model.transforms import TransformConfig
from networks import SIDE, build_decisive_network
from pictures import one_shot_form
from service.app import create_app
from service.settings import Settings, read_settings

KEY = "a key of the operator"
BEARER = {"Authorization": f"Bearer {KEY}"}
JSON = {"Accept": "application/json"}
FORMS = {
    "/segment": {},
    "/segment/kshot": {},
    "/segment/batch": {},
    "/segment/complete": {},
    "/segment/multiclass": {"support_label": "cat"},
}


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another network than the tiny one, of another input side."""
    path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    card = Card("other", ("cow",), "more noise", 1, {"miou": 0.5}, "2026-02-02", "MIT", "")
    network = build_decisive_network(1)
    save_checkpoint(path, network, TransformConfig(SIDE - 16), card, "float32")
    return path


@pytest.fixture
def two(settings: Settings, checkpoint: Path, other_checkpoint: Path) -> Settings:
    names = f"first={checkpoint},second={other_checkpoint}"
    given = settings.model_dump(include=settings.model_fields_set - {"checkpoint"})
    return read_settings(**given, models=names, admin_key=KEY)


@pytest.fixture
def client_of_two(two: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(two), raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, path: str, **query: str) -> dict[str, object]:
    files = [each for each in one_shot_form() if "complete" not in path or "query" not in each[0]]
    headers = {"Accept": "application/x-ndjson"} if path == "/segment/batch" else JSON
    response = client.post(path, files=files, data=FORMS[path], params=query, headers=headers)
    assert response.status_code == 200, response.text
    reply: dict[str, object] = response.json()
    return reply


@pytest.mark.parametrize("path", FORMS)
def test_the_model_that_is_named_answers(client_of_two: TestClient, path: str) -> None:
    assert ask(client_of_two, path)["model"] == "tiny"
    assert ask(client_of_two, path, model="second")["model"] == "other"
    assert ask(client_of_two, path, model="first")["model"] == "tiny"


def test_an_unknown_model_is_a_404_that_lists_the_names(client_of_two: TestClient) -> None:
    response = client_of_two.post("/segment?model=third", files=one_shot_form())
    problem = response.json()
    assert (response.status_code, problem["code"], problem["field"]) == (
        404, "model_not_found", "model",
    )  # fmt: skip
    assert "choose of first, second" in problem["detail"]


def test_a_model_that_is_named_twice_is_refused(client_of_two: TestClient) -> None:
    response = client_of_two.post("/segment?model=first&model=second", files=one_shot_form())
    assert (response.status_code, response.json()["code"]) == (422, "duplicate_part")


def states(client: TestClient) -> dict[str, str]:
    return {item["name"]: item["state"] for item in client.get("/models").json()["items"]}


def test_a_model_is_loaded_when_it_is_asked_for(client_of_two: TestClient) -> None:
    assert states(client_of_two) == {"first": "loaded", "second": "not_loaded"}
    ask(client_of_two, "/segment", model="second")
    assert states(client_of_two) == {"first": "loaded", "second": "loaded"}


def test_models_are_described_before_they_are_loaded(client_of_two: TestClient) -> None:
    listed = client_of_two.get("/models").json()
    first, second = listed["items"]
    assert (listed["default"], first["name"], first["card"]["title"]) == ("first", "first", "tiny")
    assert second["card"] == {
        "title": "other",
        "architecture": "mobilenet_v2",
        "checkpoint_sha256": second["card"]["checkpoint_sha256"],
        "classes_seen": ["cow"],
        "data": "more noise",
        "metrics": {"miou": 0.5},
        "licence": "MIT",
        "created": "2026-02-02",
        "input_side": SIDE - 16,
        "object_threshold": 0.5,
        "presence_threshold": 0.0,
        "presence_is_learned": False,
    }
    described = second["card"]
    ask(client_of_two, "/segment", model="second")
    assert client_of_two.get("/models").json()["items"][1]["card"] == described


def test_one_model_has_its_files_name(client: TestClient) -> None:
    assert states(client) == {"tiny": "loaded"}
    assert ask(client, "/segment", model="tiny")["model"] == "tiny"


def test_a_model_whose_file_is_broken_fails_alone(
    two: Settings, other_checkpoint: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    shutil.copy(other_checkpoint, broken)
    names = str(two.models).replace(str(other_checkpoint), str(broken))
    settings = two.model_copy(update={"models": names})
    broken.write_bytes(broken.read_bytes()[:-7])
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        response = client.post("/segment?model=second", files=one_shot_form())
        assert (response.status_code, response.json()["code"]) == (503, "model_not_loaded")
        assert response.headers["Retry-After"] == "10"
        assert str(broken) not in response.text
        assert states(client) == {"first": "loaded", "second": "failed"}
        assert client.get("/models").json()["items"][1]["card"] is None
        assert ask(client, "/segment")["model"] == "tiny"
        assert client.get("/readyz").status_code == 200
