"""Presence as it is measured: queries without the object beside queries with it."""

import json

import numpy as np
import pytest
import torch

from labelled import write_pairs
from model.checkpoint import load_checkpoint
from model.datasets.sampling import EpisodeViews, View
from model.decision import Decision
from model.errors import ConfigError, DatasetError
from model.evaluation import evaluate
from model.evaluation.bench import Experiment, open_bench, open_data
from model.evaluation.presence import area_under_curve, draw_absent, score_presence
from model.evaluation.protocols import EpisodeDraw
from model.executors.choose import Placement
from model.executors.protocol import Sighting

ON_CPU = Placement("torch", "cpu", "float32")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def bench(checkpoint, pairs):
    experiment = Experiment((0,), placement=ON_CPU)
    return open_bench(load_checkpoint(checkpoint), open_data(pairs, None), 0, experiment)


@pytest.fixture(scope="module")
def episodes(bench):
    return bench.gallery.protocol.draw(
        bench.gallery.dataset, EpisodeDraw(bench.class_ids, 1, 12, 0)
    )


def knowing(query, supports):
    """Marks the object, and is as sure of its presence as the query shows it."""
    truth = (query.truth == 1).float()
    logits = (truth.new_tensor([[[-9]], [[9]]]) * (truth - 0.5)).numpy()
    return Sighting(logits, 0.9 if truth.any() else 0.1)


def greedy(query, supports):
    """Marks everything, always as sure."""
    logits = torch.ones(2, *query.truth.shape) * torch.tensor([[[-5.0]], [[5.0]]])
    return Sighting(logits.numpy(), 0.5)


def test_an_absent_query_does_not_show_the_class(bench, episodes):
    absent = draw_absent(bench.gallery.dataset, episodes, 0)
    for episode, without in zip(episodes, absent, strict=True):
        sample = bench.gallery.dataset.samples[without.query.sample]
        assert without.query.class_id == episode.query.class_id
        assert without.query.class_id not in sample.class_ids | sample.others
        assert without.supports == episode.supports


def test_absent_queries_are_drawn_from_the_seed(bench, episodes):
    dataset = bench.gallery.dataset
    assert draw_absent(dataset, episodes, 0) == draw_absent(dataset, episodes, 0)
    assert draw_absent(dataset, episodes, 0) != draw_absent(dataset, episodes, 1)


def test_a_class_that_every_photograph_shows_cannot_be_absent(bench):
    dataset = bench.gallery.dataset
    shown = type(dataset)(dataset.classes, (dataset.samples[0],) * 2, dataset.read_label)
    class_id = min(dataset.samples[0].class_ids)
    everywhere = [EpisodeViews(View(0, class_id, 0), (View(1, class_id, 0),))]
    with pytest.raises(DatasetError, match="none tests their absence"):
        draw_absent(shown, everywhere, 0)


def test_a_class_that_every_photograph_shows_is_left_out_beside_others(bench):
    dataset = bench.gallery.dataset
    shown = type(dataset)(dataset.classes, (dataset.samples[0],) * 2, dataset.read_label)
    ever = min(dataset.samples[0].class_ids)
    never = next(
        class_id
        for class_id in range(len(dataset.classes))
        if not dataset.samples[0].shows(class_id)
    )
    episodes = [
        EpisodeViews(View(0, class_id, 0), (View(1, class_id, 0),)) for class_id in (ever, never)
    ]
    (left,) = draw_absent(shown, episodes, 0)
    assert left.query.class_id == never


def test_who_knows_the_truth_scores_best(bench, episodes):
    absent = draw_absent(bench.gallery.dataset, episodes, 0)
    scores = score_presence(knowing, bench.gallery, episodes, absent, Decision(0.5, 0.5))
    assert (scores.auc, scores.found) == (100, 100)
    assert (scores.marked, scores.marked_area) == (0, 0)


def test_who_marks_everything_is_told_so(bench, episodes):
    absent = draw_absent(bench.gallery.dataset, episodes, 0)
    scores = score_presence(greedy, bench.gallery, episodes, absent, Decision())
    assert (scores.auc, scores.found) == (50, 100)
    assert (scores.marked, scores.marked_area) == (100, 100)


def test_a_threshold_of_presence_leaves_out_masks_below_it(bench, episodes):
    absent = draw_absent(bench.gallery.dataset, episodes, 0)
    scores = score_presence(greedy, bench.gallery, episodes, absent, Decision(0.5, 0.6))
    assert (scores.found, scores.marked, scores.marked_area) == (0, 0, 0)


def test_the_area_under_the_curve_counts_pairs_in_the_right_order():
    with_it, without = np.array([0.9, 0.6, 0.4]), np.array([0.5, 0.4])
    assert area_under_curve(with_it, without) == pytest.approx((2 + 2 + 0.5) / 6)


def test_a_report_tells_presence_with_its_thresholds(checkpoint, pairs, tmp_path, capsys):
    path = tmp_path / "report.json"
    experiment = Experiment((0,), episodes=6, presence=True, refined=True, placement=ON_CPU)
    evaluate.main(experiment, [checkpoint], pairs, fold=0, json_path=path)
    report = json.loads(path.read_text(encoding="utf-8"))
    assert set(report["presence"]) >= {"auc", "found", "marked", "object_threshold"}
    assert report["protocol"]["refined"] is True
    assert 0 <= report["boundary_iou"]["mean"] <= 100
    printed = capsys.readouterr().out
    assert "boundary IoU" in printed
    assert "marked where it is not" in printed


def test_presence_is_not_measured_of_several_classes_at_once(checkpoint, pairs):
    experiment = Experiment((0,), presence=True, multiclass=True, placement=ON_CPU)
    with pytest.raises(ConfigError, match="one class at a time"):
        evaluate.main(experiment, [checkpoint], pairs)


def test_classes_with_too_few_images_are_left_out_where_there_is_no_fold(checkpoint, pairs):
    experiment = Experiment((0,), shots=2, placement=ON_CPU)
    bench = open_bench(load_checkpoint(checkpoint), open_data(pairs, None), None, experiment)
    assert bench.class_ids == (0, 1, 2, 3, 4)


def test_a_data_set_without_enough_images_is_told(checkpoint, pairs):
    experiment = Experiment((0,), shots=20, placement=ON_CPU)
    with pytest.raises(DatasetError, match="21 images"):
        open_bench(load_checkpoint(checkpoint), open_data(pairs, None), None, experiment)
