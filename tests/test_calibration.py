"""Calibration: what judges say of unseen classes becomes a network's presence and thresholds."""

import dataclasses
import sys

import numpy as np
import pytest
import torch

from labelled import write_pairs
from model.checkpoint import Card, load_checkpoint, save_checkpoint
from model.datasets.pascal import CLASSES
from model.errors import ConfigError
from model.evaluation import calibration
from model.evaluation.calibration import (
    Questions,
    choose_threshold,
    fit_logits,
    logit,
    probability,
)
from model.evaluation.reliability import Told, draw_reliability, reliability
from model.executors.choose import Placement
from model.network.sgone import SGOne
from model.transforms import TransformConfig
from networks import NETWORKS, SIDE, settle_statistics

ON_CPU = Placement("torch", "cpu", "float32")
QUESTIONS = Questions(episodes=20, shots=(1,), placement=ON_CPU)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A network that has seen all classes, and its judge, which has not seen fold 0."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = settle_statistics(SGOne(NETWORKS["presence"])).eval()
    torch.nn.init.normal_(network.head.presence.weigh.weight, std=2.0)
    for name, seen in (("all", CLASSES), ("judge", CLASSES[5:])):
        card = Card(name, tuple(seen), "noise", 0, {}, "2026-01-01", "none", "")
        path = folder / f"{name}.safetensors"
        save_checkpoint(path, network, TransformConfig(SIDE), card, "float32")
    return folder


def test_scaled_and_shifted_logits_are_the_share_that_shows_the_object():
    generator = np.random.default_rng(0)
    true_logits = generator.normal(0, 2, 20_000)
    shown = generator.random(20_000) < 1 / (1 + np.exp(-true_logits))
    told = 3 * true_logits + 5
    scale, shift = fit_logits(told[shown], told[~shown])
    assert (scale, shift) == pytest.approx((1 / 3, -5 / 3), abs=0.1)
    assert probability(scale, shift, [5.0])[0] == pytest.approx(0.5, abs=0.05)


def test_the_threshold_is_the_nearest_to_a_half_that_is_as_good_as_the_best():
    assert choose_threshold({0.4: 58.2, 0.45: 58.2, 0.5: 57.8, 0.6: 55.5}) == 0.5
    assert choose_threshold({0.4: 58.2, 0.45: 57.9, 0.5: 57.0, 0.6: 55.5}) == 0.45


def test_a_logit_is_bounded():
    assert logit(0.5) == 0
    assert logit(1.0) == pytest.approx(-logit(0.0))
    assert logit(1.0) > 10


def test_reliability_tells_the_share_in_each_bin():
    told = Told(np.array([0.95, 0.95, 0.95, 0.15]), np.array([0.15, 0.15, 0.15, 0.95]))
    assert reliability(told) == [
        (pytest.approx(0.15), pytest.approx(0.25), 4),
        (pytest.approx(0.95), pytest.approx(0.75), 4),
    ]


def test_presence_of_one_counts_in_the_last_bin():
    assert reliability(Told(np.array([1.0]), np.array([1.0]))) == [(1.0, 0.5, 2)]


def test_the_curve_is_a_picture(tmp_path):
    told = Told(np.linspace(0.2, 1, 30), np.linspace(0, 0.8, 30))
    draw_reliability(told, 0.3, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_calibrated_checkpoint_finds_what_it_is_to_find(networks, pairs, tmp_path, capsys):
    out = tmp_path / "calibrated.safetensors"
    judge, target = networks / "judge.safetensors", networks / "all.safetensors"
    questions = dataclasses.replace(QUESTIONS, found=0.9)
    calibration.main(target, [judge], pairs, None, out, questions)
    before, after = load_checkpoint(target), load_checkpoint(out)
    assert after.card == before.card
    assert 0 < after.decision.presence_threshold < 1
    assert after.decision.object_threshold in calibration.OBJECT_THRESHOLDS
    printed = capsys.readouterr().out
    assert f"presence_threshold {after.decision.presence_threshold}" in printed
    assert "20 queries with the object and 20 without" in printed


def test_a_calibrated_network_and_a_judge_that_is_not_are_refused(networks, pairs, tmp_path):
    target, judge = networks / "all.safetensors", networks / "judge.safetensors"
    done = tmp_path / "calibrated.safetensors"
    calibration.main(target, [judge], pairs, None, done, QUESTIONS)
    for networks_ in ((done, judge), (judge, done)):
        with pytest.raises(ConfigError, match=r"calibrated\.safetensors is calibrated and .*judge"):
            calibration.main(networks_[0], [networks_[1]], pairs, None, tmp_path / "out", QUESTIONS)


def test_a_network_is_calibrated_at_the_side_that_it_is_served_at(networks, pairs, tmp_path):
    target, judge = networks / "all.safetensors", networks / "judge.safetensors"
    decisions = []
    for side in (SIDE, 2 * SIDE - 1):
        out = tmp_path / f"{side}.safetensors"
        questions = dataclasses.replace(QUESTIONS, side=side)
        calibration.main(target, [judge], pairs, None, out, questions)
        assert load_checkpoint(out).transform == TransformConfig(side)
        decisions.append(load_checkpoint(out).decision)
    assert decisions[0] != decisions[1]


@pytest.mark.parametrize(
    ("module", "curve", "extra"),
    [("sklearn.linear_model", None, "eval"), ("matplotlib.figure", "curve.png", "train")],
)
def test_what_is_not_installed_is_told_before_judges_are_asked(
    module, curve, extra, networks, pairs, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(calibration, "load_checkpoint", None)
    path = networks / "all.safetensors"
    with pytest.raises(ConfigError, match=rf"pip install 'sg-one-service\[{extra}\]'"):
        calibration.main(
            path, [path], pairs, None, tmp_path / "out", QUESTIONS, curve and tmp_path / curve
        )


def test_calibration_scales_presence_and_leaves_masks(networks, pairs, tmp_path):
    out = tmp_path / "calibrated.safetensors"
    judge, target = networks / "judge.safetensors", networks / "all.safetensors"
    calibration.main(target, [judge], pairs, None, out, QUESTIONS)
    before, after = (load_checkpoint(path).weights for path in (target, out))
    changed = {name for name in before if not np.allclose(before[name], after[name], atol=1e-3)}
    assert changed <= {"head.presence.weigh.weight", "head.presence.weigh.bias"}
    weight = "head.presence.weigh.weight"
    ratio = after[weight].astype(float) / before[weight]
    assert np.ptp(ratio[np.abs(before[weight]) > 0.1]) < 1e-2
    assert not np.isclose(ratio.mean(), 1, atol=1e-3)


def test_a_judge_that_has_seen_every_class_is_refused(networks, pairs, tmp_path):
    target = networks / "all.safetensors"
    with pytest.raises(ConfigError, match="has seen every class"):
        calibration.main(target, [target], pairs, None, tmp_path / "x", QUESTIONS)
    assert not (tmp_path / "x").exists()


def test_a_network_without_presence_is_refused(checkpoint, networks, pairs, tmp_path):
    judge = networks / "judge.safetensors"
    with pytest.raises(ConfigError, match="no presence branch"):
        calibration.main(checkpoint, [judge], pairs, None, tmp_path / "x", QUESTIONS)
