"""Encodings of sent supports are kept by content, within bytes, and made once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from model.episode import Support
from model.executors.protocol import EncodedShots
from pictures import encode, grey_mask, object_mask, photograph
from service.app import create_app
from service.images.codec import Part
from service.inference.cache import PrototypeCache, content_key
from service.inference.engine import Engine
from service.settings import Settings, read_settings

QUERY = photograph(37, 51, seed=1)


def shots(number: int = 0) -> EncodedShots:
    """100 bytes."""
    return (np.full((1, 1, 25), number, np.float32),)


@pytest.fixture
def keeping(checkpoint: Path) -> Engine:
    """An engine that keeps encodings."""
    return Engine.load(read_settings(checkpoint=checkpoint, device="cpu", executor="torch"))


@pytest.fixture
def keeping_client(settings: Settings, keeping: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(settings, keeping)) as client:
        yield client


def test_what_was_used_least_recently_goes_first() -> None:
    cache = PrototypeCache(300)
    for number in range(3):
        cache.keep(bytes([number]), shots(number))
    cache.get(b"\0")
    cache.keep(b"\3", shots(3))
    kept = [number for number in range(4) if cache.get(bytes([number])) is not None]
    assert kept == [0, 2, 3]
    assert cache.held_bytes == 300


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = PrototypeCache(99)
    cache.keep(b"key", shots())
    assert cache.get(b"key") is None
    assert cache.held_bytes == 0


def test_keeping_a_key_again_takes_no_more_room() -> None:
    cache = PrototypeCache(1000)
    for _ in range(3):
        cache.keep(b"key", shots())
    assert cache.held_bytes == 100


def test_threads_never_take_more_than_the_room() -> None:
    cache, start = PrototypeCache(1000), threading.Barrier(8)

    def work(seed: int) -> None:
        start.wait()
        for number in np.random.default_rng(seed).integers(0, 40, 500).tolist():
            kept = cache.get(bytes([number]))
            assert kept is None or kept[0][0, 0, 0] == number
            cache.keep(bytes([number]), shots(number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert cache.held_bytes == 100 * sum(cache.get(bytes([n])) is not None for n in range(40))
    assert cache.held_bytes <= 1000


def test_the_key_tells_image_and_mask_apart() -> None:
    pairs = [(b"ab", b"c"), (b"a", b"bc"), (b"c", b"ab"), (b"ab", b"")]
    keys = {content_key(Part("image", image), Part("mask", mask)) for image, mask in pairs}
    assert len(keys) == 4
    assert content_key(Part("x", b"ab"), Part("y", b"c")) in keys


def test_a_support_that_waits_for_its_equal_is_not_encoded_again(keeping: Engine) -> None:
    """Both were prepared before either was encoded."""
    support = Support(photograph(), object_mask())
    tasks = [keeping.prepare([keeping.fresh(support, b"key")], QUERY, "average") for _ in range(3)]
    results = [keeping.run(task) for task in tasks]
    assert [result.computed for result in results] == [1, 0, 0]
    assert_array_equal(results[0].logits, results[2].logits)


def test_a_support_that_one_request_holds_twice_is_encoded_once(keeping: Engine) -> None:
    support = Support(photograph(), object_mask())
    twice = [keeping.fresh(support, b"key") for _ in range(2)]
    assert keeping.run(keeping.prepare(twice, QUERY, "average")).computed == 1


def test_a_support_that_is_sent_again_is_not_encoded_again(keeping_client: TestClient) -> None:
    first, second = (ask(keeping_client, photograph(seed=5)) for _ in range(2))
    assert first == second
    assert counted(keeping_client) == {"computed": 1, "kept": 1}


def test_equal_requests_at_once_encode_their_support_once(keeping_client: TestClient) -> None:
    with ThreadPoolExecutor(6) as threads:
        masks = list(threads.map(lambda _: ask(keeping_client, photograph(seed=5)), range(6)))
    assert len(set(masks)) == 1
    assert counted(keeping_client) == {"computed": 1, "kept": 5}


def test_another_mask_of_the_same_photograph_is_another_support(
    keeping_client: TestClient,
) -> None:
    whole = np.ones((48, 64), np.bool_)
    assert ask(keeping_client, photograph()) != ask(keeping_client, photograph(), whole)
    assert counted(keeping_client) == {"computed": 2, "kept": 0}


def test_without_room_every_support_is_encoded(client: TestClient) -> None:
    for _ in range(2):
        ask(client, photograph())
    assert counted(client) == {"computed": 2, "kept": 0}


def ask(client: TestClient, image: np.ndarray, mask: np.ndarray | None = None) -> bytes:
    files = {
        "support_image": encode(image),
        "support_mask": grey_mask(object_mask() if mask is None else mask),
        "query_image": encode(QUERY),
    }
    response = client.post("/segment", files=files, params={"output": "probability"})
    assert response.status_code == 200, response.text
    return response.content


def counted(client: TestClient) -> dict[str, int]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        sample.labels["encoding"]: int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name == "sgone_supports_total"
    }
