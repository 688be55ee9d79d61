"""Health, readiness, info, metrics, logs, headers, and what no error reply gives away."""

import json
import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from pictures import one_shot_form
from service.app import create_app
from service.http.guard import HEADERS
from service.http.problems import catalogue
from service.inference.engine import Engine, Prediction, Task
from service.metrics.logs import ACCESS, JsonLines, TextLines
from service.release import installed_version
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SECRET = "/root/secret"


class FailingEngine(Engine):
    """The engine, which fails in a way that nothing foresaw once it is warm."""

    warm = False

    def run(self, task: Task) -> Prediction:
        """Fail, or compute."""
        if self.warm:
            raise RuntimeError(SECRET)
        return super().run(task)


@pytest.fixture
def failing_client(settings: Settings) -> Iterator[TestClient]:
    engine = FailingEngine.load(settings)
    assert isinstance(engine, FailingEngine)
    with TestClient(create_app(settings, engine), raise_server_exceptions=False) as client:
        engine.warm = True
        yield client


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """The value of each metric, by its name and its labels' values."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_live_process_says_so(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}


def test_a_warm_service_is_ready(client: TestClient) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


@pytest.mark.parametrize("path", ["/readyz", "/info"])
def test_before_its_lifespan_a_service_lives_but_is_not_ready(
    settings: Settings, engine: Engine, path: str
) -> None:
    client = TestClient(create_app(settings, engine))
    assert client.get("/healthz").status_code == 200
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")


def test_after_its_lifespan_a_service_is_not_ready(settings: Settings, engine: Engine) -> None:
    client = TestClient(create_app(settings, engine))
    with client:
        assert client.get("/readyz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_the_lifespan_loads_the_checkpoint_where_no_engine_is_given(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        assert client.post("/segment", files=one_shot_form()).status_code == 200


def test_info_tells_what_runs(client: TestClient, settings: Settings, engine: Engine) -> None:
    assert client.get("/info").json() == {
        "version": installed_version(),
        "model": "tiny",
        "architecture": "mobilenet_v2",
        "checkpoint_sha256": engine.checkpoint.sha256,
        "classes_seen": ["cat", "dog"],
        "executor": "torch",
        "device": "cpu",
        "precision": "float32",
        "input_side": 65,
        "object_threshold": 0.5,
        "presence_threshold": 0.0,
        "presence_is_learned": False,
        "limits": {
            "max_shots": settings.max_shots,
            "max_classes": settings.max_classes,
            "max_queries": settings.max_queries,
            "max_image_pixels": settings.max_image_pixels,
            "max_upload_bytes": settings.max_upload_bytes,
            "max_batch_bytes": settings.max_batch_bytes,
            "max_queue": settings.max_queue,
            "request_timeout_ms": settings.request_timeout_ms,
        },
    }


def test_requests_are_counted_by_route_and_status(client: TestClient) -> None:
    client.post("/segment", files=one_shot_form())
    client.post("/segment", files=one_shot_form())
    client.post("/segment", files=one_shot_form()[:2])
    counts = samples(client)
    assert counts["sgone_requests_total", "POST", "/segment", "200"] == 2
    assert counts["sgone_requests_total", "POST", "/segment", "422"] == 1
    assert counts["sgone_request_seconds_count", "/segment"] == 3


def test_unknown_methods_share_one_label(client: TestClient) -> None:
    for method in ("BREW", "WHEN"):
        client.request(method, "/segment")
    assert samples(client)["sgone_requests_total", "other", "/segment", "405"] == 2


def test_series_have_no_times_at_which_they_were_made(client: TestClient) -> None:
    client.get("/healthz")
    assert not [name for name, *_ in samples(client) if name.endswith("_created")]


def test_alerts_ask_for_metrics_that_are_there(client: TestClient) -> None:
    rules = (ROOT / "docker" / "alerts.yml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\b(?:sgone|process)_\w+", rules))
    assert len(asked) > 4
    client.get("/healthz")
    families = text_string_to_metric_families(client.get("/metrics").text)
    there = {name for family in families for name in (family.name, f"{family.name}_total")}
    assert asked <= there


def test_unknown_paths_share_one_label(client: TestClient) -> None:
    for path in ("/a", "/b", "/c"):
        client.get(path)
    assert samples(client)["sgone_requests_total", "GET", "unmatched", "404"] == 3


@pytest.mark.parametrize("stage", ["decode", "queue", "encode", "segment", "render"])
def test_each_stage_has_a_histogram(client: TestClient, stage: str) -> None:
    assert samples(client)["sgone_stage_seconds_count", stage] == 0
    client.post("/segment", files=one_shot_form())
    after = samples(client)
    assert after["sgone_stage_seconds_count", stage] == 1
    assert 0 < after["sgone_stage_seconds_sum", stage] < 10


def test_the_metrics_tell_memory_and_what_runs(client: TestClient) -> None:
    metrics = samples(client)
    assert metrics["sgone_device_memory_bytes",] == 0
    assert metrics["process_resident_memory_bytes",] > 1e6
    (info,) = [labels for labels in metrics if labels[0] == "sgone_info"]
    assert {"tiny", "cpu", "float32", installed_version()} < set(info)


def test_two_apps_in_a_process_count_apart(settings: Settings, engine: Engine) -> None:
    with (
        TestClient(create_app(settings, engine)) as first,
        TestClient(create_app(settings, engine)) as second,
    ):
        first.get("/healthz")
        assert samples(first)["sgone_requests_total", "GET", "/healthz", "200"] == 1
        assert ("sgone_requests_total", "GET", "/healthz", "200") not in samples(second)


def test_a_clients_request_id_comes_back(client: TestClient) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": "abc-1.2_3"})
    assert response.headers["x-request-id"] == "abc-1.2_3"


@pytest.mark.parametrize("harmful", ["", "a b", "a" * 65, "id\tforged=1", "ü"])
def test_a_request_id_that_could_harm_a_log_is_replaced(client: TestClient, harmful: str) -> None:
    headers = {"X-Request-ID": harmful.encode("latin-1")}
    assert len(client.get("/healthz", headers=headers).headers["x-request-id"]) == 32


def test_requests_get_different_ids(client: TestClient) -> None:
    ids = {client.get("/healthz").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/docs"])
def test_every_reply_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_the_access_log_has_the_request_id_and_the_stages(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.post("/segment", files=one_shot_form(), headers={"X-Request-ID": "mine"})
    (record,) = [record for record in caplog.records if record.name == ACCESS]
    assert record.getMessage() == "POST /segment 200"
    line = json.loads(JsonLines().format(record))
    assert line["request_id"] == "mine"
    assert {"decode_ms", "queue_ms", "encode_ms", "segment_ms", "render_ms", "total_ms"} < set(line)
    assert " request_id=mine " in TextLines().format(record)


def test_the_access_log_has_the_code_of_an_error(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.post("/segment", files=one_shot_form()[:1])
    (record,) = [record for record in caplog.records if record.name == ACCESS]
    assert json.loads(JsonLines().format(record))["code"] == "missing_part"


@pytest.mark.parametrize(
    ("address", "logged"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("1.2.3.4 code=forged", "1.2.3.4%20code%3Dforged"),
    ],
)
def test_the_access_log_has_the_clients_address(
    settings: Settings, engine: Engine, caplog: pytest.LogCaptureFixture, address: str, logged: str
) -> None:
    caplog.set_level(logging.INFO)
    TestClient(create_app(settings, engine), client=(address, 50000)).get("/nowhere")
    (record,) = [record for record in caplog.records if record.name == ACCESS]
    assert json.loads(JsonLines().format(record))["client"] == logged
    assert f" client={logged} " in TextLines().format(record)


def test_a_path_cannot_forge_a_line_of_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get("/a%0aforged")
    (record,) = [record for record in caplog.records if record.name == ACCESS]
    assert "\n" not in TextLines().format(record)


def test_probes_are_not_in_the_log_at_its_usual_level(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get("/readyz")
    assert not [record for record in caplog.records if record.name == ACCESS]


def test_an_unforeseen_failure_tells_the_client_nothing_but_its_request_id(
    failing_client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = failing_client.post("/segment", files=one_shot_form())
    body = response.json()
    assert (response.status_code, body["code"]) == (500, "internal_error")
    assert body["request_id"] == response.headers["x-request-id"]
    assert SECRET not in response.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert SECRET in JsonLines().format(record)
    assert body["request_id"] in JsonLines().format(record)
    assert samples(failing_client)["sgone_requests_total", "POST", "/segment", "500"] == 1


def test_an_unknown_path_is_a_problem(client: TestClient) -> None:
    response = client.get("/nowhere")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_wrong_method_is_a_problem_that_names_the_right_one(client: TestClient) -> None:
    response = client.get("/segment")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    assert "POST" in response.json()["detail"]


def test_the_docs_are_served(client: TestClient) -> None:
    assert "swagger" in client.get("/docs").text.lower()


def test_the_type_of_every_problem_leads_to_its_description(client: TestClient) -> None:
    ids: set[str] = set()

    class Ids(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            ids.update(value or "" for name, value in attrs if name == "id")

    Ids().feed(client.get("/docs/errors").text)
    assert ids == {error.code for error in catalogue()}
