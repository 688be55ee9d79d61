"""Stored sets as supports: each pair is encoded once for each network."""

import asyncio
import logging
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.torch import load
from starlette.testclient import TestClient

from model.checkpoint import Card, load_checkpoint, save_checkpoint
from model.episode import Support
from pictures import encode, grey_mask, object_mask, photograph
from service.app import create_app
from service.errors import SupportSetNotFoundError
from service.inference.engine import Engine, FreshSupport, Prediction
from service.library.records import NewPair
from service.segment.pairs import THE_OBJECT, Shown
from service.segment.runtime import Runtime
from service.segment.supports import (
    ReadySupport,
    encoding_key,
    keep_encodings,
    load_supports,
    pack,
    unpack,
)
from service.settings import Settings

QUERY = photograph(37, 51, seed=1)
SEEDS = (3, 4)
AREA = int(object_mask().sum())


@pytest.fixture
def runtime(client: TestClient) -> Runtime:
    """That of a running app."""
    runtime: Runtime = client.app.state.runtime  # type: ignore[attr-defined]
    return runtime


@pytest.fixture
def set_id(runtime: Runtime) -> str:
    """A set of two pairs."""
    pairs = [
        NewPair(encode(photograph(seed=seed)), grey_mask(), b"thumbnail", 64, 48, AREA)
        for seed in SEEDS
    ]
    return runtime.library.create("Mugs", "mug", pairs).id


def load_set(runtime: Runtime, set_id: str) -> list[ReadySupport]:
    shown = Shown({}, [set_id], lambda _: THE_OBJECT, lambda _: None)
    return list(asyncio.run(load_supports(runtime, shown))[THE_OBJECT])


def segment(runtime: Runtime, supports: list[ReadySupport]) -> Prediction:
    shots = [support.shot for support in supports]
    return runtime.engine.run(runtime.engine.prepare(shots, QUERY, "average"))


def use(runtime: Runtime, set_id: str) -> tuple[list[ReadySupport], Prediction]:
    """What a request does with a stored set."""
    supports = load_set(runtime, set_id)
    prediction = segment(runtime, supports)
    if any(support.unkept for support in supports):
        asyncio.run(keep_encodings(runtime, supports, prediction.encodings))
    return supports, prediction


def is_encoded(supports: list[ReadySupport]) -> list[bool]:
    return [not isinstance(support.shot, FreshSupport) for support in supports]


def test_a_stored_set_gives_the_logits_of_its_supports(runtime: Runtime, set_id: str) -> None:
    supports = [Support(photograph(seed=seed), object_mask()) for seed in SEEDS]
    sent = runtime.engine.run(runtime.engine.prepare(supports, QUERY, "average"))
    first, again = use(runtime, set_id)[1], use(runtime, set_id)[1]
    assert_array_equal(first.logits, sent.logits)
    assert_array_equal(again.logits, sent.logits)


def test_pairs_are_encoded_on_first_use_and_not_again(runtime: Runtime, set_id: str) -> None:
    first, _ = use(runtime, set_id)
    again, _ = use(runtime, set_id)
    assert is_encoded(first) == [False, False]
    assert is_encoded(again) == [True, True]
    assert [support.pair for support in first] == [support.pair for support in again]


def test_a_pair_that_is_added_is_the_only_one_to_be_encoded(runtime: Runtime, set_id: str) -> None:
    use(runtime, set_id)
    pair = NewPair(encode(photograph(seed=9)), grey_mask(), b"thumbnail", 64, 48, AREA)
    runtime.library.add_pairs(set_id, [pair], 10)
    assert is_encoded(use(runtime, set_id)[0]) == [True, True, False]
    assert is_encoded(use(runtime, set_id)[0]) == [True, True, True]


@pytest.mark.parametrize("change", ["precision", "input_side", "checkpoint"])
def test_another_network_encodes_the_stored_pairs_itself(
    runtime: Runtime, set_id: str, settings: Settings, change: str, other_checkpoint: Path
) -> None:
    use(runtime, set_id)
    changes = {"precision": "bfloat16", "input_side": 129, "checkpoint": other_checkpoint}
    changed = settings.model_copy(update={change: changes[change]})
    with TestClient(create_app(changed, Engine.load(changed))) as client:
        other: Runtime = client.app.state.runtime  # type: ignore[attr-defined]
        assert is_encoded(use(other, set_id)[0]) == [False, False]
        assert is_encoded(use(other, set_id)[0]) == [True, True]
    assert is_encoded(use(runtime, set_id)[0]) == [True, True]


@pytest.fixture
def other_checkpoint(checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny network with another name: another file with another SHA-256."""
    loaded = load_checkpoint(checkpoint)
    card = Card("other", ("cat",), "noise", 0, {}, "2026-01-01", "none", "")
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, loaded.network, loaded.transform, card, "float32")
    return path


def test_a_set_that_does_not_exist_is_told(runtime: Runtime) -> None:
    with pytest.raises(SupportSetNotFoundError):
        load_set(runtime, "0" * 32)


def test_a_set_that_is_deleted_meanwhile_still_gives_its_mask(
    runtime: Runtime, set_id: str
) -> None:
    supports = load_set(runtime, set_id)
    runtime.library.delete(set_id)
    asyncio.run(keep_encodings(runtime, supports, segment(runtime, supports).encodings))


def test_encodings_that_cannot_be_stored_are_logged_and_no_error(
    impatient_client: TestClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    runtime: Runtime = impatient_client.app.state.runtime  # type: ignore[attr-defined]
    pair = NewPair(encode(photograph(seed=3)), grey_mask(), b"thumbnail", 64, 48, AREA)
    set_id = runtime.library.create("Mugs", None, [pair]).id
    path = settings.database_url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    caplog.set_level(logging.WARNING)
    use(runtime, set_id)
    assert "encodings of 1 stored pairs are not kept" in caplog.text
    other.execute("COMMIT")
    other.close()
    assert is_encoded(use(runtime, set_id)[0]) == [False]
    assert is_encoded(use(runtime, set_id)[0]) == [True]


def test_an_encoding_of_many_arrays_keeps_their_order_and_type() -> None:
    encoding = tuple(np.full((1, 1, n + 1), n, np.float32) for n in range(12))
    content = pack(encoding)
    assert len(load(content)) == 12
    for before, after in zip(encoding, unpack(content), strict=True):
        assert (after.dtype, after.shape) == (np.float32, before.shape)
        assert_array_equal(before, after)


@pytest.mark.parametrize("content", [b"", b"nonsense", pack((np.ones(3, np.float32),))[:-4]])
def test_an_encoding_that_cannot_be_read_is_made_anew(
    runtime: Runtime, set_id: str, content: bytes
) -> None:
    supports, prediction = use(runtime, set_id)
    asyncio.run(keep_encodings(runtime, supports, prediction.encodings))
    assert supports[0].pair is not None
    runtime.library.keep_encodings(encoding_key(runtime.engine), {supports[0].pair: content})
    again, repeated = use(runtime, set_id)
    assert isinstance(again[0].shot, FreshSupport)
    assert_array_equal(repeated.logits, prediction.logits)
    asyncio.run(keep_encodings(runtime, again, repeated.encodings))
    assert not any(support.unkept for support in load_set(runtime, set_id))
