"""Episodes drawn from data sets, and their tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.datasets.augmentation import TrainingTransform
from model.datasets.pascal import pascal_voc
from model.datasets.sampling import (
    EpisodeSampler,
    EpisodicDataset,
    StepSampler,
    View,
    ViewLoader,
    collate,
)
from model.episode import VOID
from model.errors import DatasetError
from trees import write_voc


@pytest.fixture
def dataset(tmp_path):
    return pascal_voc(write_voc(tmp_path), tmp_path / "lists" / "train.txt")


@pytest.mark.parametrize("balance", ["class", "sample"])
def test_query_and_supports_are_always_different_images(dataset, balance):
    sampler = EpisodeSampler(dataset, (0, 1), shots=3, seed=0, balance=balance)
    for index in range(50):
        episode = sampler.episode(index)
        samples = [episode.query.sample, *(support.sample for support in episode.supports)]
        assert len(set(samples)) == 4
        assert set(samples) <= set(dataset.members(episode.query.class_id))


def test_episodes_depend_on_seed_and_index_alone(dataset):
    one, same, other = (EpisodeSampler(dataset, (0, 1), 1, seed, "class") for seed in (4, 4, 5))
    forwards = [one.episode(index) for index in range(20)]
    assert [same.episode(index) for index in reversed(range(20))] == forwards[::-1]
    assert [other.episode(index) for index in range(20)] != forwards


def test_balancing_by_sample_walks_every_pair_of_image_and_class(dataset):
    sampler = EpisodeSampler(dataset, (0, 1), 1, 0, "sample")
    queries = [(e.query.sample, e.query.class_id) for e in map(sampler.episode, range(8))]
    assert sorted(queries) == sorted([(i, 0) for i in range(4)] + [(i, 1) for i in range(2, 6)])


def test_classes_are_drawn_by_their_shares(dataset):
    sampler = EpisodeSampler(dataset, (0, 1), 1, 0, "class", shares={0: 0.9, 1: 0.1})
    drawn = [sampler.episode(index).query.class_id for index in range(400)]
    assert 0.85 < drawn.count(0) / 400 < 0.95


def test_a_class_with_too_few_images_is_named(dataset):
    with pytest.raises(DatasetError, match=r"'aeroplane' has 4 usable images; 4-shot .* least 5"):
        EpisodeSampler(dataset, (0,), shots=4, seed=0, balance="class")


def test_equal_views_are_equal_and_other_views_differ(dataset):
    loader = ViewLoader(dataset, 33, TrainingTransform(33), seed=0)
    first, again = loader.load(View(2, 0, 7)), loader.load(View(2, 0, 7))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(loader.load(View(2, 0, 8))[0], first[0])


def test_augmentation_does_not_disturb_the_global_random_state(dataset):
    loader = ViewLoader(dataset, 33, TrainingTransform(33))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    loader.load(View(2, 0, 0))
    assert torch.equal(torch.rand(1), expected)


def test_support_masks_leave_void_out(dataset):
    sampler = EpisodeSampler(dataset, (0,), 2, 0, "class")
    episodes = EpisodicDataset(ViewLoader(dataset, 33), sampler)
    batch = collate([episodes[0], episodes[1]])
    assert batch.support_images.shape == (2, 2, 3, 33, 33)
    assert batch.support_masks[:, :, 0].sum() == 0
    assert set(batch.support_masks.unique().tolist()) == {0.0, 1.0}
    assert (batch.query_labels[:, 0] == VOID).all()


def test_as_many_queries_lack_the_class_as_are_asked_for(dataset):
    sampler = EpisodeSampler(dataset, (0, 1), 1, 0, "class", absent_share=0.3)
    absent = 0
    for index in range(300):
        episode = sampler.episode(index)
        shown = dataset.samples[episode.query.sample].shows(episode.query.class_id)
        assert dataset.samples[episode.supports[0].sample].shows(episode.query.class_id)
        absent += not shown
    assert 0.2 < absent / 300 < 0.4


def test_episodes_are_the_same_whether_some_might_lack_the_class_or_none(dataset):
    plain, some = (
        EpisodeSampler(dataset, (0, 1), 1, 0, "class", absent_share=share) for share in (0, 0.3)
    )
    pairs = [(plain.episode(index), some.episode(index)) for index in range(60)]
    assert all(one.supports == other.supports for one, other in pairs)
    assert any(one == other for one, other in pairs)
    assert any(one != other for one, other in pairs)


def test_a_class_that_every_photograph_shows_is_never_absent(dataset):
    shown = replace(dataset, samples=dataset.samples[:4])
    sampler = EpisodeSampler(shown, (0,), 1, 0, "class", absent_share=0.99)
    with pytest.raises(DatasetError, match="every photograph shows 'aeroplane'"):
        for index in range(20):
            sampler.episode(index)


def test_a_share_of_the_steps_has_several_shots_and_each_step_one_number(dataset):
    few, several = (EpisodeSampler(dataset, (0, 1), shots, 0, "class") for shots in (1, 3))
    sampler = StepSampler(few, several, share=0.3, step_size=4)
    shots = [[len(sampler.episode(4 * step + i).supports) for i in range(4)] for step in range(200)]
    assert all(len(set(step)) == 1 for step in shots)
    assert 0.2 < sum(step[0] == 3 for step in shots) / 200 < 0.4
    assert sampler.episode(9) == sampler.episode(9)


def test_a_photograph_without_the_class_has_a_label_of_zeros(dataset):
    image, label = dataset.load(0, 7)
    assert label.shape == image.shape[:2]
    assert not label.any()


def test_a_photograph_without_the_object_is_cropped_like_any_other():
    image = np.zeros((90, 90, 3), np.uint8)
    image[:, :, 0] = np.arange(90)
    draw = TrainingTransform(33)
    views = set()
    for seed in range(5):
        torch.manual_seed(seed)
        views.add(draw(image, np.zeros((90, 90), np.uint8))[0].numpy().tobytes())
    assert len(views) == 5  # the whole image has two: itself and its mirror image
