"""POST /models/{name}/reload: what is fit takes over, what is not changes nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import service.inference.trial
from model.checkpoint import Card, save_checkpoint
from model.transforms import TransformConfig
from networks import SIDE, build_decisive_network
from pictures import one_shot_form
from service.app import create_app
from service.settings import SHIPPED_CHECKPOINT, Settings
from test_operations import samples

KEY = "a key of the operator"
BEARER = {"Authorization": f"Bearer {KEY}"}
JSON = {"Accept": "application/json"}


def write(path: Path, name: str, seed: int) -> None:
    card = Card(name, (), "noise", seed, {}, "2026-01-01", "none", "")
    network = build_decisive_network(seed)
    save_checkpoint(path, network, TransformConfig(SIDE - 16 * seed), card, "float32")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write(path, "old", 0)
    return path


@pytest.fixture
def client(settings: Settings, file: Path) -> Iterator[TestClient]:
    changed = settings.model_copy(update={"checkpoint": file})
    with TestClient(create_app(with_key(changed)), raise_server_exceptions=False) as client:
        yield client


def with_key(settings: Settings) -> Settings:
    return Settings(**settings.model_dump(exclude_unset=True), admin_key=KEY)


@pytest.fixture
def easy_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random networks find nothing."""
    monkeypatch.setattr(service.inference.trial, "LEAST_IOU", 0.0)


def served(client: TestClient, query: str = "") -> str:
    response = client.post(f"/segment{query}", files=one_shot_form(), headers=JSON)
    assert response.status_code == 200, response.text
    return str(response.json()["model"])


@pytest.mark.usefixtures("easy_trial")
def test_another_file_takes_over(client: TestClient, file: Path) -> None:
    assert served(client) == "old"
    before = client.get("/info").json()
    write(file, "new", 1)
    response = client.post("/models/model/reload", headers=BEARER)
    assert response.status_code == 200, response.text
    reloaded = response.json()
    assert (reloaded["name"], reloaded["previous_sha256"]) == ("model", before["checkpoint_sha256"])
    assert served(client) == "new"
    after = client.get("/info").json()
    assert (after["model"], after["input_side"]) == ("new", SIDE - 16)
    assert after["checkpoint_sha256"] == reloaded["checkpoint_sha256"]
    values = samples(client)
    assert values["sgone_model_changes_total", "model", "reloaded"] == 1
    builds = {key: value for key, value in values.items() if key[0] == "sgone_info"}
    assert {("old" in key, "new" in key): value for key, value in builds.items()} == {
        (True, False): 0,
        (False, True): 1,
    }


@pytest.mark.usefixtures("easy_trial")
def test_stored_sets_follow(client: TestClient, file: Path) -> None:
    parts = [part for part in one_shot_form() if part[0] != "query_image"]
    stored = client.post("/supports", files=parts, data={"name": "mug"}).json()
    query = [part for part in one_shot_form() if part[0] == "query_image"]
    address = f"/segment?support_set={stored['id']}&output=json"
    masks = [client.post(address, files=query).json()]
    write(file, "new", 1)
    client.post("/models/model/reload", headers=BEARER)
    masks.append(client.post(address, files=query).json())
    assert [mask["model"] for mask in masks] == ["old", "new"]
    sent = client.post("/segment?output=json", files=one_shot_form()).json()
    assert masks[1]["segmentation"] == sent["segmentation"]


@pytest.mark.parametrize("what", ["cut", "gone", "random"])
def test_what_is_not_fit_changes_nothing(client: TestClient, file: Path, what: str) -> None:
    if what == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif what == "gone":
        file.unlink()
    else:
        write(file, "new", 1)
    response = client.post("/models/model/reload", headers=BEARER)
    assert (response.status_code, response.json()["code"]) == (409, "model_not_reloaded")
    reason = {"cut": "not a readable", "gone": "does not exist", "random": "known object"}[what]
    assert reason in response.json()["detail"]
    assert served(client) == "old"
    assert samples(client)["sgone_model_changes_total", "model", "kept"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer another key, as long as it"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
    ],
)
def test_without_the_key_nothing_is_reloaded(client: TestClient, headers: dict[str, str]) -> None:
    response = client.post("/models/model/reload", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "wrong_admin_key")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY not in response.text


def test_a_service_without_a_key_says_what_to_do(settings: Settings, file: Path) -> None:
    changed = settings.model_copy(update={"checkpoint": file})
    with TestClient(create_app(changed)) as client:
        response = client.post("/models/model/reload", headers=BEARER)
    assert (response.status_code, response.json()["code"]) == (403, "admin_key_unset")
    assert "SGONE_ADMIN_KEY" in response.json()["detail"]


def test_an_unknown_model_is_a_404(client: TestClient) -> None:
    response = client.post("/models/other/reload", headers=BEARER)
    assert (response.status_code, response.json()["code"]) == (404, "model_not_found")


def test_the_key_is_not_shown(settings: Settings) -> None:
    assert KEY not in repr(with_key(settings))


@pytest.mark.slow
def test_a_trained_network_passes_the_trial(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    shutil.copy(SHIPPED_CHECKPOINT, file)
    shutil.copy(SHIPPED_CHECKPOINT.with_suffix(".graphs"), tmp_path / "model.graphs")
    changed = settings.model_copy(update={"checkpoint": file, "executor": "openvino"})
    with TestClient(create_app(with_key(changed))) as client:
        assert client.post("/models/model/reload", headers=BEARER).status_code == 200
