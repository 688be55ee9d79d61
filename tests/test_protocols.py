"""What the protocols draw, show and count, and what the gallery keeps."""

import dataclasses

import numpy as np
import pytest
import torch

from labelled import SIZE, oracle, write_masks, write_pairs
from model.checkpoint import load_checkpoint
from model.datasets.layouts import open_dataset
from model.datasets.sampling import View
from model.decision import Decision
from model.episode import FUSIONS, VOID, Support
from model.errors import DatasetError
from model.evaluation.gallery import Gallery
from model.evaluation.protocols import EpisodeDraw, Hsnet, Matcher, Oslsm, PerSeg, draw_multiclass
from model.evaluation.scoring import (
    class_map,
    network_method,
    predict_mask,
    restore_probability,
    score_multiclass,
    score_one_class,
    true_map,
)
from model.executors.protocol import Sighting
from model.executors.torch import TorchExecutor
from model.network.sgone import SGOne, SGOneConfig
from model.predictor import Predictor
from model.transforms import TransformConfig
from networks import SIDE, build_decisive_network, settle_statistics

TRANSFORM = TransformConfig(SIDE)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def predictor(checkpoint):
    loaded = load_checkpoint(checkpoint)
    return Predictor(TorchExecutor(loaded.network, loaded.transform))


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("shots", [1, 3])
def test_oslsm_scores_the_very_mask_that_is_served(pairs, predictor, shots, fusion):
    protocol, dataset = Oslsm(TRANSFORM), open_dataset(pairs)
    gallery = Gallery(predictor.executor, dataset, protocol)
    predict = network_method(predictor.executor, fusion)
    for episode in protocol.draw(dataset, EpisodeDraw((0, 1), shots, 4, 0)):
        loaded = [dataset.load(view.sample, view.class_id) for view in episode.supports]
        supports = [Support(image, label == 1) for image, label in loaded]
        query, _ = dataset.load(episode.query.sample, episode.query.class_id)
        served = predictor.predict(supports, query, fusion) > 0.5
        mask = predict_mask(predict, gallery, episode).numpy()
        assert mask.shape == query.shape[:2]
        assert 0.02 < served.mean() < 0.98
        np.testing.assert_array_equal(mask, served)


def test_hsnet_squeezes_image_and_truth_to_a_square_and_keeps_void(pairs):
    prepared = Hsnet(TRANSFORM).prepare(*open_dataset(pairs).load(0, 0))
    assert prepared.pixels.shape == (3, 65, 65)
    assert prepared.truth.shape == prepared.support_mask.shape == (65, 65)
    assert set(prepared.truth.unique().tolist()) == {0, 1, VOID}
    assert prepared.support_mask.sum() == (prepared.truth == 1).sum()


def test_oslsm_keeps_the_aspect_ratio_and_counts_void_as_background(pairs):
    prepared = Oslsm(TRANSFORM).prepare(*open_dataset(pairs).load(0, 0))
    assert prepared.pixels.shape == (3, 57, 73)
    assert prepared.support_mask.shape == (57, 73)
    assert prepared.truth.shape == SIZE
    assert prepared.truth[:6].sum() == 0
    assert prepared.truth.unique().tolist() == [0, 1]


@pytest.mark.parametrize(("width", "is_member"), [(64, False), (65, True)])
def test_oslsm_leaves_out_an_object_on_at_most_two_pixels_of_its_grid(tmp_path, width, is_member):
    mask = np.zeros(SIZE, np.uint8)
    mask[30:40, 32 : 32 + width] = 1
    dataset = open_dataset(write_masks(tmp_path, [mask]))
    usable = Oslsm(TRANSFORM).usable(dataset, (0,))
    assert dataset.members(0) == Hsnet(TRANSFORM).usable(dataset, (0,)).members(0) == [0]
    assert usable.members(0) == ([0] if is_member else [])
    assert usable.without({0}).samples == ()


def test_oslsm_walks_every_pair_of_query_and_class_in_an_order_of_the_seed(pairs):
    protocol, dataset = Oslsm(TRANSFORM), open_dataset(pairs)
    episodes = protocol.draw(dataset, EpisodeDraw(range(5), 1, 40, 1385))
    queries = [episode.query for episode in episodes]
    first, second = queries[:20], queries[20:]
    assert len(set(first)) == 20
    assert sorted(first) == sorted(second)
    assert first != second
    assert protocol.draw(dataset, EpisodeDraw(range(5), 1, 40, 1385)) == episodes
    assert protocol.draw(dataset, EpisodeDraw(range(5), 1, 40, 1386)) != episodes


def test_hsnet_walks_the_pairs_in_order(pairs):
    episodes = Hsnet(TRANSFORM).draw(open_dataset(pairs), EpisodeDraw((0,), 1, 4, 0))
    assert [episode.query.sample for episode in episodes] == [0, 4, 5, 9]


def test_matcher_takes_each_class_in_turn_and_passes_over_those_with_few_images(pairs):
    dataset = open_dataset(pairs)
    few = dataclasses.replace(dataset, samples=dataset.samples[:8])
    episodes = Matcher(TRANSFORM).draw(few, EpisodeDraw(range(5), 3, 9, 0))
    able = [class_id for class_id in range(5) if len(few.members(class_id)) > 3]
    assert 0 < len(able) < 5
    assert [one.query.class_id for one in episodes] == [able[i % len(able)] for i in range(9)]
    assert Matcher(TRANSFORM).draw(few, EpisodeDraw(range(5), 3, 9, 1)) != episodes
    with pytest.raises(DatasetError, match="no class has the 9 photographs"):
        Matcher(TRANSFORM).draw(few, EpisodeDraw(range(5), 8, 9, 0))


def test_perseg_shows_the_first_photographs_and_asks_for_all_others(pairs):
    episodes = PerSeg(TRANSFORM).draw(open_dataset(pairs), EpisodeDraw((0, 1), 2, 100, 0))
    shown = [(tuple(v.sample for v in one.supports), one.query.sample) for one in episodes]
    assert shown == [((0, 4), 5), ((0, 4), 9), ((0, 1), 5), ((0, 1), 6)]
    assert PerSeg(TRANSFORM).draw(open_dataset(pairs), EpisodeDraw((0, 1), 2, 3, 9)) == episodes[:3]
    with pytest.raises(DatasetError, match="'aeroplane' has 4 photographs; 4 supports and a query"):
        PerSeg(TRANSFORM).draw(open_dataset(pairs), EpisodeDraw((0,), 4, 1, 0))


def test_perseg_is_scored_as_it_is_served(pairs):
    loaded = open_dataset(pairs).load(0, 0)
    served, scored = (kind(TRANSFORM).prepare(*loaded) for kind in (Oslsm, PerSeg))
    for one, other in zip(served, scored, strict=True):
        assert torch.equal(one, other)


def test_a_class_with_too_few_images_is_named(pairs):
    for protocol in (Hsnet(TRANSFORM), Oslsm(TRANSFORM)):
        with pytest.raises(DatasetError, match="'aeroplane' has 4 usable images"):
            protocol.draw(open_dataset(pairs), EpisodeDraw((0,), 4, 1, 0))


# The gallery


def test_an_image_goes_through_the_backbone_once_for_all_episodes_and_classes(pairs, predictor):
    dataset, protocol = open_dataset(pairs), Hsnet(TRANSFORM)
    gallery = Gallery(predictor.executor, dataset, protocol)
    calls = []
    hook = predictor.executor.network.backbone.register_forward_hook(lambda *_: calls.append(1))
    episodes = protocol.draw(dataset, EpisodeDraw(range(5), 2, 60, 0))
    score_one_class(network_method(predictor.executor, "average"), gallery, episodes, "test")
    hook.remove()
    assert len(calls) == len(dataset.samples)


def test_a_gallery_without_room_gives_the_same_scores(pairs, predictor):
    dataset, protocol = open_dataset(pairs), Oslsm(TRANSFORM)
    episodes = protocol.draw(dataset, EpisodeDraw(range(5), 1, 8, 0))
    predict = network_method(predictor.executor, "average")
    roomy, full = (
        score_one_class(
            predict, Gallery(predictor.executor, dataset, protocol, room), episodes, "test"
        )
        for room in (8 << 30, 0)
    )
    assert roomy.scores() == full.scores()
    assert roomy.episode_iou == full.episode_iou


def build_masking_network():
    """Supports are read under their masks, so that their features are their own."""
    plain = build_decisive_network()
    network = SGOne(dataclasses.replace(plain.config, support_mask="image"))
    network.load_state_dict(plain.state_dict())
    return network


def build_matching_network():
    """Supports are kept as cells of several depths, at sides of 32n + 1 pixels."""
    torch.manual_seed(0)
    config = SGOneConfig(
        backbone="mobilenet_v2_pyramid", head="matching", branch_channels=8, align_corners=True
    )
    return settle_statistics(SGOne(config)).eval()


@pytest.mark.parametrize(
    ("build", "transform"),
    [(build_masking_network, TRANSFORM), (build_matching_network, TransformConfig(97, stride=32))],
)
def test_any_network_is_scored_as_it_is_served(pairs, build, transform):
    predictor, dataset = Predictor(TorchExecutor(build(), transform)), open_dataset(pairs)
    gallery = Gallery(predictor.executor, dataset, Oslsm(transform))
    predict = network_method(predictor.executor, "average")
    views = [View(5, 0, 0), View(4, 0, 0)]
    loaded = [dataset.load(view.sample, view.class_id) for view in views]
    supports = [Support(image, label == 1) for image, label in loaded]
    served = predictor.predict(supports, dataset.load(0, 0)[0])
    query = View(0, 0, 0)
    logits = predict(gallery.query(query), [gallery.support(view) for view in views])
    scored = restore_probability(logits, gallery, query)
    np.testing.assert_array_equal(scored, served)


@pytest.mark.parametrize("protocol", [Hsnet(TRANSFORM), Oslsm(TRANSFORM)])
def test_a_perfect_predictor_scores_a_hundred(pairs, predictor, protocol):
    dataset = open_dataset(pairs)
    gallery = Gallery(predictor.executor, dataset, protocol)
    episodes = protocol.draw(dataset, EpisodeDraw(range(5), 1, 20, 0))
    scores = score_one_class(oracle, gallery, episodes, "test").scores()
    assert (scores.miou, scores.fb_iou) == (100, 100)


# Several classes

CALIBRATED = Decision(0.5, 0.1)


def knows_all(query, supports):
    """An oracle that is sure of what is there, and doubts what is not."""
    return Sighting(oracle(query, supports), 1.0 if bool((query.truth == 1).any()) else 0.4)


def test_the_surest_class_wins_where_any_is_sure():
    probabilities = torch.tensor([[[0.8, 0.95, 0.2, 0.75]], [[0.9, 0.85, 0.1, 0.7]]])
    assert class_map(probabilities, 0.75).tolist() == [[2, 1, 0, 0]]
    assert class_map(probabilities, 0.85).tolist() == [[2, 1, 0, 0]]
    assert class_map(probabilities, 0.9).tolist() == [[0, 1, 0, 0]]


def test_the_truth_of_several_classes_is_one_map_with_void():
    truths = torch.tensor([[[1, 0, 0, VOID]], [[0, 1, 0, VOID]]], dtype=torch.uint8)
    assert true_map(truths).tolist() == [[1, 2, 0, VOID]]


def test_several_classes_are_found_in_one_query(pairs, predictor):
    dataset, protocol = open_dataset(pairs), Oslsm(TRANSFORM)
    gallery = Gallery(predictor.executor, dataset, protocol)
    episodes = draw_multiclass(dataset, range(5), shots=3, count=10, seed=0)
    assert [episode.queries[0].sample for episode in episodes] == list(range(10))
    scores = score_multiclass(knows_all, gallery, range(5), episodes, "test", CALIBRATED).scores()
    assert (scores.miou, scores.background_iou) == (100, 100)
    assert set(scores.class_iou) == set(range(5))


def test_a_class_that_is_probably_absent_takes_no_pixels_from_one_that_is_there(pairs, predictor):
    dataset, protocol = open_dataset(pairs), Oslsm(TRANSFORM)
    gallery = Gallery(predictor.executor, dataset, protocol)
    episodes = draw_multiclass(dataset, range(5), shots=3, count=10, seed=0)

    def sees_everything(query, supports):
        found = knows_all(query, supports)
        everywhere = np.stack([-9 * np.ones(query.size), 9 * np.ones(query.size)])
        return found if found.presence == 1 else found._replace(logits=everywhere)

    told = score_multiclass(sees_everything, gallery, range(5), episodes, "test", CALIBRATED)
    untold = score_multiclass(sees_everything, gallery, range(5), episodes, "test", Decision())
    assert told.scores().miou == 100
    assert untold.scores().miou < 60


def test_every_class_has_its_supports_and_the_query_is_none_of_them(pairs):
    for episode in draw_multiclass(open_dataset(pairs), range(5), shots=3, count=20, seed=2):
        assert [view.class_id for view in episode.queries] == list(range(5))
        for class_id, supports in enumerate(episode.supports):
            assert {view.class_id for view in supports} == {class_id}
            assert len({view.sample for view in supports} - {episode.queries[0].sample}) == 3
