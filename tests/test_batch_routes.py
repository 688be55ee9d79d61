"""POST /segment/batch: a stream of outcomes, one for each query, good or bad."""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from pictures import Parts, encode, file, grey_mask, object_mask, photograph
from service.app import create_app
from service.errors import QueueFullError, StorageFullError
from service.inference.engine import Engine
from service.schemas import BatchFailed, BatchFound
from service.segment.archive import member_name
from service.segment.batch import Outcome
from service.segment.runtime import Runtime
from service.settings import Settings
from serving import served

# Its decoder is not yet written for NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PATH = "/segment/batch"
LINES = {"Accept": "application/x-ndjson"}
SUPPORTS: Parts = [
    file("support_image", encode(photograph(seed=5))),
    file("support_mask", grey_mask()),
]
BROKEN = ("query_image", ("broken.png", b"no image", "image/png"))


def query(seed: int, name: str = "") -> Any:
    content = encode(photograph(30 + seed, 40, seed=seed))
    return ("query_image", (name or f"{seed}.png", content, "image/png"))


def ask(client: TestClient, *queries: Any, headers: Any = None, **params: str) -> Any:
    files = [*SUPPORTS, *queries]
    response = client.post(PATH, params=params, files=files, headers=headers or {})
    assert response.status_code == 200, response.text
    return response


def members(response: Any) -> dict[str, bytes]:
    """An archive's members in order; each is checked, and may be read by its owner."""
    assert response.headers["content-type"] == "application/zip"
    with ZipFile(BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o644}
        return {name: archive.read(name) for name in archive.namelist()}


def read_lines(content: bytes) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in content.splitlines()]
    for record in records:
        kind = BatchFound if record["status"] == "ok" else BatchFailed
        assert kind.model_validate(record).model_dump(mode="json") == record
    return records


def alone(client: TestClient, one: Any, **params: str) -> Any:
    """What /segment/kshot answers to one of the queries."""
    parts = [*SUPPORTS, ("query_image", one[1])]
    return client.post("/segment/kshot", params=params, files=parts)


def problem(response: Any, status: int, code: str, field: str | None = None) -> str:
    body = response.json()
    assert (response.status_code, body["code"], body.get("field")) == (status, code, field), body
    return str(body["detail"])


# What comes back


def test_an_archive_has_the_mask_of_each_query_in_order(client: TestClient) -> None:
    queries = [query(1), query(2), query(3)]
    found = members(ask(client, *queries))
    assert list(found) == ["0000_1.png", "0001_2.png", "0002_3.png", "results.jsonl"]
    for content, one in zip(found.values(), queries, strict=False):
        assert content == alone(client, one).content


def test_the_last_member_has_a_record_of_each_query(client: TestClient) -> None:
    queries = [query(1), BROKEN, query(3)]
    found = members(ask(client, *queries))
    assert list(found) == ["0000_1.png", "0002_3.png", "results.jsonl"]
    assert found["results.jsonl"] == ask(client, *queries, headers=LINES).content


@pytest.mark.parametrize("output", ["probability", "overlay", "cutout", "json"])
def test_members_are_what_the_output_says(client: TestClient, output: str) -> None:
    found = members(ask(client, query(1), output=output))
    ending = "json" if output == "json" else "png"
    assert found[f"0000_1.{ending}"] == alone(client, query(1), output=output).content


def test_lines_have_the_segmentation_of_each_query(client: TestClient) -> None:
    queries = [query(1), query(2)]
    params = {"threshold": "0.4", "label": "Kätzchen", "fusion": "union"}
    response = ask(client, *queries, headers=LINES, **params)
    assert response.headers["content-type"] == "application/x-ndjson"
    for index, (record, one) in enumerate(zip(read_lines(response.content), queries, strict=True)):
        told = {"index": index, "name": one[1][0], "status": "ok"}
        assert record == told | alone(client, one, output="json", **params).json()


def test_a_bad_query_is_an_error_in_its_place_and_the_rest_go_on(client: TestClient) -> None:
    gif = ("query_image", ("a.gif", b"GIF89a", "image/gif"))
    empty = ("query_image", ("empty.png", b"", "image/png"))
    response = ask(client, BROKEN, query(1), gif, empty, query(2), headers=LINES)
    first, one, second, third, two = read_lines(response.content)
    assert [r["index"] for r in (first, one, second, third, two)] == [0, 1, 2, 3, 4]
    assert (one["status"], two["status"]) == ("ok", "ok")
    for record, name, code in (
        (first, "broken.png", "undecodable_image"),
        (second, "a.gif", "unsupported_media_type"),
        (third, "empty.png", "undecodable_image"),
    ):
        assert (record["status"], record["name"]) == ("error", name)
        assert record["problem"]["code"] == code
        assert f"query_image[{record['index']}]" in record["problem"]["detail"]


def test_supports_are_encoded_once(client: TestClient, engine: Engine) -> None:
    read: list[Any] = []
    handle = engine.executor.network.backbone.register_forward_hook(lambda *_: read.append(_))
    try:
        ask(client, BROKEN, query(1), query(2), query(3))
    finally:
        handle.remove()
    assert len(read) == 1 + 3


def test_a_stored_set_takes_the_place_of_supports(client: TestClient, settings: Settings) -> None:
    stored = client.post("/supports", files=SUPPORTS, data={"name": "Mugs"}).json()
    params = {"support_set": stored["id"]}
    for _ in ("encoded now", "encoded before"):
        response = client.post(PATH, params=params, files=[query(1), query(2)], headers=LINES)
        assert response.content == ask(client, query(1), query(2), headers=LINES).content
    database = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))
    count = database.execute("SELECT count(*) FROM support_encoding").fetchone()
    database.close()
    assert count == (1,)


# Names


@pytest.mark.parametrize(
    ("sent", "member"),
    [
        ("beach.jpg", "0007_beach.png"),
        ("../../etc/passwd", "0007_passwd.png"),
        ("C:\\holiday\\my cat?.jpeg", "0007_my_cat_.png"),
        (".hidden", "0007_hidden.png"),
        ("猫.png", "0007_猫.png"),
        ("", "0007_.png"),
        ("a" * 300 + ".jpg", f"0007_{'a' * 60}.png"),
        ("a\0b\n<c>.jpg", "0007_a_b_c_.png"),
    ],
)
def test_a_member_has_a_name_that_every_file_system_takes(sent: str, member: str) -> None:
    assert member_name(Outcome(7, sent, b"")) == member


def test_queries_of_one_name_are_members_of_their_own(client: TestClient) -> None:
    found = members(ask(client, query(1, "x/same.png"), query(2, "y/same.png")))
    assert list(found) == ["0000_same.png", "0001_same.png", "results.jsonl"]


def test_a_record_has_the_name_as_it_was_sent(client: TestClient) -> None:
    (record,) = read_lines(ask(client, query(1, "../my 猫.png"), headers=LINES).content)
    assert record["name"] == "../my 猫.png"


# What is refused before the stream


def test_an_accept_header_that_allows_neither_is_told(client: TestClient) -> None:
    files = [*SUPPORTS, query(1)]
    response = client.post(PATH, files=files, headers={"Accept": "image/png"})
    problem(response, 406, "not_acceptable")


@pytest.mark.parametrize("name", ["support_image", "support_mask", "query_image"])
def test_a_missing_part_is_named(client: TestClient, name: str) -> None:
    files = [part for part in [*SUPPORTS, query(1)] if part[0] != name]
    problem(client.post(PATH, files=files), 422, "missing_part", name)


def test_a_bad_support_fails_the_request(client: TestClient) -> None:
    files = [SUPPORTS[0], file("support_mask", grey_mask(object_mask() & False)), query(1)]
    problem(client.post(PATH, files=files), 422, "empty_mask", "support_mask[0]")


def test_lines_hold_no_pictures(client: TestClient) -> None:
    files, params = [*SUPPORTS, query(1)], {"output": "overlay"}
    response = client.post(PATH, params=params, files=files, headers=LINES)
    assert "application/zip" in problem(response, 422, "invalid_option", "output")
    assert ask(client, query(1), headers=LINES, output="json").status_code == 200


def test_a_set_that_does_not_exist_is_told(client: TestClient) -> None:
    response = client.post(PATH, params={"support_set": "0" * 32}, files=[query(1)])
    problem(response, 404, "support_set_not_found")


def test_there_is_a_limit_of_queries(settings: Settings, engine: Engine) -> None:
    settings = settings.model_copy(update={"max_queries": 2})
    with TestClient(create_app(settings, engine)) as client:
        assert ask(client, query(1), query(2)).status_code == 200
        response = client.post(PATH, files=[*SUPPORTS, query(1), query(2), query(3)])
        problem(response, 422, "too_many_queries", "query_image")
        many = [query(1)] * (settings.max_shots * 2 + 20)
        problem(client.post(PATH, files=[*SUPPORTS, *many]), 422, "too_many_parts")


def test_a_batch_may_have_more_bytes_than_other_requests(
    settings: Settings, engine: Engine
) -> None:
    settings = settings.model_copy(update={"max_upload_bytes": 30_000, "max_batch_bytes": 60_000})
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    large = ("query_image", ("noise.png", encode(noise), "image/png"))
    with TestClient(create_app(settings, engine)) as client:
        assert ask(client, large, large).status_code == 200
        response = client.post(PATH, files=[*SUPPORTS, large, large, large])
        problem(response, 413, "payload_too_large")


def test_a_query_of_more_bytes_than_a_request_may_have_is_an_error_in_its_place(
    settings: Settings, engine: Engine
) -> None:
    settings = settings.model_copy(update={"max_upload_bytes": 10_000})
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    large = ("query_image", ("noise.png", encode(noise), "image/png"))
    with TestClient(create_app(settings, engine)) as client:
        failed, found = read_lines(ask(client, large, query(1), headers=LINES).content)
    assert (failed["problem"]["code"], found["status"]) == ("payload_too_large", "ok")


def test_a_long_text_is_not_kept_in_memory(client: TestClient) -> None:
    files, data = [*SUPPORTS, query(1)], {"label": "x" * 20_000}
    problem(client.post(PATH, files=files, data=data), 422, "invalid_option", "label")


# In a busy service


def runtime_of(client: TestClient) -> Runtime:
    runtime: Runtime = client.app.state.runtime  # type: ignore[attr-defined]
    return runtime


@pytest.fixture
def url(settings: Settings, engine: Engine) -> Iterator[str]:
    """The app over real HTTP, with a queue of one place."""
    settings = settings.model_copy(update={"max_queue": 1})
    with served(create_app(settings, engine)) as url:
        yield url


def test_batches_side_by_side_wait_for_each_other(url: str) -> None:
    queries, replies = [query(seed) for seed in range(1, 6)], []

    def send() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            files = [*SUPPORTS, *queries]
            response = httpx.post(url + PATH, files=files, headers=LINES, timeout=30)
            if response.status_code != 429:
                replies.append(response)
                return

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 4
    for response in replies:
        assert [r["status"] for r in read_lines(response.content)] == ["ok"] * 5


def test_a_full_queue_refuses_a_batch_before_its_stream(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise QueueFullError("full", headers={"Retry-After": "1"})

    monkeypatch.setattr(runtime_of(client).queue, "admit", full)
    problem(client.post(PATH, files=[*SUPPORTS, query(1)]), 429, "queue_full")


def test_what_is_left_of_a_batch_at_shutdown_is_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = runtime_of(client).queue
    run = queue.run

    async def run_and_drain(place: Any, task: Any) -> Any:
        queue.drain()
        return await run(place, task)

    monkeypatch.setattr(queue, "run", run_and_drain)
    first, second = read_lines(ask(client, query(1), query(2), headers=LINES).content)
    assert (first["status"], second["status"]) == ("ok", "error")
    assert second["problem"]["code"] == "shutting_down"


def test_a_fault_of_the_service_is_logged_and_told_in_general(
    client: TestClient,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Any, **options: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(engine, "restore", fail)
    caplog.set_level(logging.ERROR)
    (record,) = read_lines(ask(client, query(1), headers=LINES).content)
    assert record["problem"]["code"] == "internal_error"
    assert "secret" not in json.dumps(record)
    assert "secret" in caplog.text


def test_a_query_that_fails_in_a_batch_counts_as_a_problem(client: TestClient) -> None:
    ask(client, query(1), BROKEN, BROKEN)
    ask(client, query(1), BROKEN, headers=LINES)
    metrics = client.get("/metrics").text
    assert 'sgone_problems_total{code="undecodable_image"} 3.0' in metrics
    assert 'sgone_requests_total{method="POST",route="/segment/batch",status="200"} 2.0' in metrics


def test_each_record_is_sent_as_soon_as_it_is_done(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = threading.Event()
    restore, count = engine.restore, iter(range(10))

    def wait_for_the_first(segmentation: Any, **options: Any) -> Any:
        if next(count) > 0:
            assert seen.wait(20)
        return restore(segmentation, **options)

    app = create_app(settings, engine)
    with served(app) as url:
        monkeypatch.setattr(engine, "restore", wait_for_the_first)
        for headers in (LINES, {}):
            count, files = iter(range(10)), [*SUPPORTS, query(1), query(2)]
            seen.clear()
            with httpx.stream("POST", url + PATH, files=files, headers=headers) as response:
                chunks = response.iter_raw()
                next(chunks)
                seen.set()
                assert b"".join(chunks)


def test_a_client_that_goes_away_stops_the_work(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored: list[Any] = []
    restore = engine.restore

    def slowly(segmentation: Any, **options: Any) -> Any:
        restored.append(segmentation)
        time.sleep(0.1)
        return restore(segmentation, **options)

    app = create_app(settings, engine)
    with served(app) as url:
        monkeypatch.setattr(engine, "restore", slowly)
        for headers in (LINES, {}):
            restored.clear()
            files = [*SUPPORTS, *(query(seed) for seed in range(1, 60))]
            with httpx.stream("POST", url + PATH, files=files, headers=headers) as response:
                next(response.iter_raw())
            time.sleep(1)
            done = len(restored)
            time.sleep(0.5)
            assert len(restored) == done < 30
        assert httpx.get(f"{url}/readyz").status_code == 200
    assert app.state.runtime is None


def test_records_wait_where_bodies_do_and_leave_the_disk_its_room(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path | None] = []

    def no_room(folder: Path | None) -> int:
        asked.append(folder)
        return 10

    spooled = settings.model_copy(update={"spool_dir": tmp_path})
    with TestClient(create_app(spooled, engine)) as client:
        assert ask(client, query(1)).status_code == 200
        monkeypatch.setattr("service.segment.archive.disk_room", no_room)
        with pytest.raises(RuntimeError, match="response already started") as caught:
            client.post(PATH, files=[*SUPPORTS, query(1)])
    assert isinstance(caught.value.__cause__, StorageFullError)
    assert asked == [tmp_path]


@pytest.mark.parametrize("broken", [False, True])
def test_the_file_on_disk_is_closed_with_the_reply(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    opened: list[Any] = []
    open_file = __import__("tempfile").TemporaryFile

    def remember(*args: Any, **options: Any) -> Any:
        opened.append(open_file(*args, **options))
        return opened[-1]

    monkeypatch.setattr("tempfile.TemporaryFile", remember)
    files = [SUPPORTS[0], file("support_mask", b"x" if broken else grey_mask()), query(1)]
    assert client.post(PATH, files=files).is_success is not broken
    assert opened
    assert all(each.closed for each in opened)
