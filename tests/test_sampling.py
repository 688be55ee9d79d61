"""Data sets and the episodes drawn from them."""

import numpy as np
import pytest
import torch
from PIL import Image

from model.datasets.folder import image_folder
from model.datasets.pascal import CLASSES, fold_classes, pascal_voc
from model.episode import VOID
from model.errors import DatasetError
from model.sampling import EpisodeSampler, EpisodicDataset, View, ViewLoader, collate
from model.transforms import TrainingTransform


def draw(seed, size=(60, 80)):
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture
def voc(tmp_path):
    """Six images: 0 to 3 hold class 1, 2 to 5 hold class 2, each with a void border."""
    for folder in ("JPEGImages", "SegmentationClass", "lists"):
        (tmp_path / folder).mkdir()
    for index in range(6):
        draw(index).save(tmp_path / "JPEGImages" / f"{index}.jpg")
        mask = np.zeros((60, 80), dtype=np.uint8)
        if index < 4:
            mask[5:30, 5:40] = 1
        if index > 1:
            mask[35:55, 30:70] = 2
        mask[0] = VOID
        Image.fromarray(mask).convert("P").save(tmp_path / "SegmentationClass" / f"{index}.png")
    (tmp_path / "lists" / "train.txt").write_text("\n".join("012345"))
    return tmp_path


@pytest.fixture
def dataset(voc):
    return pascal_voc(voc, voc / "lists" / "train.txt")


@pytest.fixture
def folder(tmp_path):
    for name in ("cup", "apple"):
        (tmp_path / name).mkdir()
        for index in range(3):
            draw(index).save(tmp_path / name / f"{index}.jpg")
            mask = np.zeros((60, 80), dtype=np.uint8)
            mask[10:50, 10:50] = 255
            Image.fromarray(mask).save(tmp_path / name / f"{index}.png")
    return tmp_path


def test_the_folds_are_five_classes_each_in_vocs_order():
    assert [CLASSES[i] for i in fold_classes(1)] == ["bus", "car", "cat", "chair", "cow"]
    assert sorted(sum((fold_classes(fold) for fold in range(4)), ())) == list(range(20))
    with pytest.raises(DatasetError, match="folds 0 to 3"):
        fold_classes(4)


def test_voc_knows_which_images_hold_a_class(dataset):
    assert dataset.members(0) == [0, 1, 2, 3]
    assert dataset.members(1) == [2, 3, 4, 5]
    assert dataset.members(2) == []


def test_images_with_an_excluded_class_are_left_out_even_if_they_hold_others(dataset):
    assert len(dataset.without({1}).samples) == 2
    assert dataset.without({1}).members(0) == [0, 1]


def test_a_voc_label_has_the_class_the_rest_and_void(dataset):
    image, label = dataset.load(2, 1)
    assert image.shape == (60, 80, 3)
    assert (label[40, 50], label[10, 10], label[0, 0]) == (1, 0, VOID)


def test_a_missing_photograph_is_named(voc, dataset):
    (voc / "JPEGImages" / "3.jpg").unlink()
    with pytest.raises(DatasetError, match=r"3\.jpg is missing"):
        dataset.load(3, 0)


def test_a_broken_photograph_is_named(voc, dataset):
    path = voc / "JPEGImages" / "3.jpg"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DatasetError, match=r"3\.jpg cannot be decoded"):
        dataset.load(3, 0)


def test_an_image_and_mask_of_different_sizes_are_refused(voc, dataset):
    draw(0, (50, 80)).save(voc / "JPEGImages" / "3.jpg")
    with pytest.raises(DatasetError, match=r"3\.png is 80x60, its image .*3\.jpg is 80x50"):
        dataset.load(3, 0)


def test_a_mask_that_is_not_vocs_is_refused(voc):
    draw(0).save(voc / "SegmentationClass" / "3.png")
    with pytest.raises(DatasetError, match=r"3\.png is no VOC class mask"):
        pascal_voc(voc, voc / "lists" / "train.txt")


def test_a_missing_list_is_named(voc):
    with pytest.raises(DatasetError, match=r"val\.txt is missing"):
        pascal_voc(voc, voc / "lists" / "val.txt")


def test_a_plain_folder_has_one_class_a_sub_folder(folder):
    dataset = image_folder(folder)
    assert dataset.classes == ("apple", "cup")
    assert dataset.members(1) == [3, 4, 5]
    label = dataset.load(4, 1)[1]
    assert label.sum() == 40 * 40
    assert set(np.unique(label)) == {0, 1}


def test_a_photograph_without_a_mask_is_named(folder):
    (folder / "cup" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"cup/1\.jpg has no mask"):
        image_folder(folder)


def test_an_unknown_class_name_lists_the_known(folder):
    with pytest.raises(DatasetError, match="no class 'pear'; there are apple, cup"):
        image_folder(folder).ids(["pear"])


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
