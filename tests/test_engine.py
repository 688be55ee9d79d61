"""The engine gives what the Predictor gives."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from model.checkpoint import Card, save_checkpoint
from model.episode import Fusion, Support
from model.errors import CheckpointError, DeviceError
from model.executors.condensing import MOST_SHOTS
from model.executors.favourites import RECURS
from model.executors.protocol import EncodedShots, Sighting
from model.network.sgone import SGOne
from model.transforms import TransformConfig
from networks import NETWORKS, SIDE, settle_statistics
from pictures import object_mask, photograph
from service.inference.engine import CAMERAS, Engine, FreshSupport
from service.settings import read_settings

QUERY = photograph(37, 51, seed=1)


def support(seed: int = 0) -> Support:
    return Support(photograph(seed=seed), object_mask())


def test_a_task_gives_the_predictors_probability_at_the_querys_size(engine: Engine) -> None:
    supports = [support(1), support(2)]
    task = engine.prepare(iter(supports), QUERY, "union")
    probability = engine.restore(engine.run(task))
    assert probability.shape == (37, 51)
    assert_allclose(probability, engine.predictor.predict(supports, QUERY, "union"), atol=1e-6)


def test_the_times_of_both_passes_are_told(engine: Engine) -> None:
    segmentation = engine.run(engine.prepare([support()], QUERY, "average"))
    assert 0 < segmentation.encode_ms < 5000
    assert 0 < segmentation.segment_ms < 5000


def test_supports_that_are_encoded_already_give_the_same_logits(engine: Engine) -> None:
    fresh = engine.run(engine.prepare([support(1), support(2)], QUERY, "union"))
    assert len(fresh.encodings) == 2
    again = engine.run(engine.prepare(fresh.encodings, QUERY, "union"))
    assert_array_equal(again.logits, fresh.logits)


def test_encoded_supports_mix_with_others_in_order(engine: Engine) -> None:
    supports = [support(seed) for seed in range(3)]
    fresh = engine.run(engine.prepare(supports, QUERY, "average"))
    mixed = [supports[0], fresh.encodings[1], supports[2]]
    task = engine.prepare(mixed, QUERY, "average")
    assert [isinstance(shot, FreshSupport) for shot in task.supports] == [True, False, True]
    again = engine.run(task)
    assert_array_equal(again.logits, fresh.logits)
    for before, after in zip(fresh.encodings, again.encodings, strict=True):
        for one, other in zip(before, after, strict=True):
            assert_array_equal(one, other)


def test_many_supports_are_compared_at_the_cost_of_a_few(tmp_path: Path) -> None:
    """The engine keeps to the bound that evaluation measures."""
    path = tmp_path / "matching.safetensors"
    card = Card("matching", ("cat",), "noise", 0, {}, "2026-01-01", "none", "")
    network = settle_statistics(SGOne(NETWORKS["matching"])).eval()
    save_checkpoint(path, network, TransformConfig(SIDE, stride=32), card, "float32")
    engine = Engine.load(
        read_settings(checkpoint=path, device="cpu", precision="float32", executor="torch")
    )
    asked = []
    find = engine.executor.find

    def watch(features: Any, size: Any, shots: EncodedShots, fusion: Fusion) -> Sighting:
        asked.append(shots[0].shape[1])
        return find(features, size, shots, fusion)

    engine.executor.find = watch
    supports = [support(seed) for seed in range(MOST_SHOTS + 2)]
    prediction = engine.run(engine.prepare(supports, photograph(), "average"))
    shots = engine.predictor.encode_support(list(map(engine.predictor.prepare_support, supports)))
    expected = engine.predictor.segment(engine.predictor.prepare_query(photograph()), shots)
    assert asked == [MOST_SHOTS, MOST_SHOTS]
    assert_array_equal(prediction.logits[0], expected)


def test_an_encoding_is_of_one_shot(engine: Engine) -> None:
    segmentation = engine.run(engine.prepare([support(1), support(2)], QUERY, "average"))
    shapes = [tensor.shape[:2] for encoding in segmentation.encodings for tensor in encoding]
    assert set(shapes) == {(1, 1)}


def test_supports_that_are_encoded_already_take_no_time(engine: Engine) -> None:
    fresh = engine.run(engine.prepare([support(seed) for seed in range(5)], QUERY, "average"))
    again = engine.run(engine.prepare(fresh.encodings, QUERY, "average"))
    assert again.encode_ms < fresh.encode_ms / 5


def test_the_warm_up_runs_landscape_and_portrait(engine: Engine) -> None:
    sizes = [engine.run(task).size for task in engine.warm_up_tasks()]
    assert {height > width for height, width in sizes} == {True, False}


def test_on_a_gpu_every_usual_size_recurs_in_the_warm_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.executor, "device", "cuda:0")
    times = Counter(task.query.image.shape[1:] for task in engine.warm_up_tasks())
    assert len(times) == len(CAMERAS) and set(times.values()) == {RECURS}


def test_the_input_side_of_the_settings_replaces_the_checkpoints(checkpoint: Path) -> None:
    engine = Engine.load(read_settings(checkpoint=checkpoint, device="cpu", input_side=129))
    task = engine.prepare([support()], np.zeros((300, 200, 3), np.uint8), "average")
    assert task.query.image.shape == (3, 161, 105)


def test_the_device_and_precision_asked_for_are_used(checkpoint: Path) -> None:
    engine = Engine.load(read_settings(checkpoint=checkpoint, device="cpu", precision="bfloat16"))
    executor = engine.executor
    assert (executor.device, executor.precision) == ("cpu", "bfloat16")
    assert executor.memory_bytes() == 0


def test_threads_of_the_settings_reach_torch(checkpoint: Path) -> None:
    before = torch.get_num_threads()
    try:
        Engine.load(
            read_settings(checkpoint=checkpoint, device="cpu", executor="torch", threads=before + 1)
        )
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_missing_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors does not exist"):
        Engine.load(read_settings(checkpoint=tmp_path / "nowhere.safetensors", device="cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_refused(checkpoint: Path) -> None:
    with pytest.raises(DeviceError, match="no CUDA GPU"):
        Engine.load(read_settings(checkpoint=checkpoint, device="cuda"))
