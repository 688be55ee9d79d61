"""COCO's format: regions as labels, crowds, folds, and what is said of broken files."""

import copy
import json

import numpy as np
import pytest

from model.data.coco import coco_instances
from model.data.layouts import open_dataset
from model.episode import VOID
from model.errors import DatasetError
from model.training.recipe import Data, split
from trees import (
    COCO_ANNOTATIONS,
    HEIGHT,
    IGNORE_PYCOCOTOOLS,
    WIDTH,
    coco_table,
    rectangle,
    run_lengths,
    write_coco,
    write_photograph,
)

pytestmark = pytest.mark.filterwarnings(IGNORE_PYCOCOTOOLS)


@pytest.fixture
def coco(tmp_path):
    return write_coco(tmp_path)


def area(top, left, bottom, right):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_cocos_classes_are_in_the_order_of_category_ids(coco):
    dataset = open_dataset(coco)
    assert dataset.classes[:2] == ("class 1", "class 2")
    assert dataset.classes[11] == "class 13"
    assert dataset.samples[0].class_ids == {0, 11}


def test_cocos_folds_are_every_fourth_class(coco):
    dataset = open_dataset(coco)
    assert dataset.fold(1)[:3] == (1, 5, 9)
    assert [len(dataset.fold(fold)) for fold in range(4)] == [20] * 4
    assert sorted(sum((dataset.fold(fold) for fold in range(4)), ())) == list(range(80))


def test_other_data_in_cocos_format_has_no_folds(tmp_path):
    write_coco(tmp_path, coco_table([], category_ids=[4, 7]))
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("class 4", "class 7")
    with pytest.raises(DatasetError, match="has no folds"):
        dataset.fold(0)


def test_polygons_of_a_class_are_its_label_and_other_classes_are_background(coco):
    label = open_dataset(coco).load(0, 11)[1]
    assert np.array_equal(label, area(35, 30, 55, 70).astype(np.uint8))


def test_a_crowd_is_void_but_for_the_objects_in_it(coco):
    label = open_dataset(coco).load(1, 0)[1]
    assert np.array_equal(label == 1, area(5, 5, 30, 40))
    assert np.array_equal(label == VOID, area(20, 20, 40, 60) & ~area(5, 5, 30, 40))


def test_a_crowd_of_another_class_is_background(coco):
    label = open_dataset(coco).load(2, 11)[1]
    assert np.array_equal(label, area(10, 10, 20, 20).astype(np.uint8))


def test_a_class_that_is_only_a_crowd_is_not_asked_for_but_is_seen(coco):
    dataset = open_dataset(coco)
    assert dataset.members(0) == [0, 1]
    assert dataset.without({0}).samples == ()


def test_several_objects_and_polygons_of_a_class_are_joined(tmp_path):
    parts = rectangle(0, 0, 10, 10) + rectangle(20, 20, 30, 30)
    table = coco_table([(0, 1, parts, 0), (0, 1, rectangle(40, 40, 50, 50), 0)])
    label = open_dataset(write_coco(tmp_path, table)).load(0, 0)[1]
    expected = area(0, 0, 10, 10) | area(20, 20, 30, 30) | area(40, 40, 50, 50)
    assert np.array_equal(label == 1, expected)


def test_compressed_run_lengths_are_read(tmp_path):
    from pycocotools import mask

    encoded = mask.encode(np.asfortranarray(area(3, 4, 20, 30), dtype=np.uint8))
    segmentation = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    write_coco(tmp_path, coco_table([(0, 1, segmentation, 0)]))
    assert np.array_equal(open_dataset(tmp_path).load(0, 0)[1] == 1, area(3, 4, 20, 30))


@pytest.mark.parametrize("segmentation", [[], [[1, 1, 9, 9]], rectangle(5, 5, 5, 5)])
def test_a_region_without_a_pixel_is_no_object(tmp_path, segmentation):
    dataset = open_dataset(write_coco(tmp_path, coco_table([(0, 1, segmentation, 0)])))
    assert dataset.members(0) == []
    assert not dataset.load(0, 0)[1].any()


@pytest.mark.parametrize("photographs", ["val2014", "images/val2014", "images"])
def test_cocos_photographs_are_found(tmp_path, photographs):
    dataset = open_dataset(write_coco(tmp_path, photographs=photographs))
    assert dataset.load(0, 0)[0].shape == (60, 80, 3)


def test_cocos_missing_photographs_say_where_to_put_them(tmp_path):
    write_coco(tmp_path, photographs="elsewhere")
    with pytest.raises(DatasetError, match=r"val2014\.json has no photographs; put them in .*/val"):
        open_dataset(tmp_path)


def test_a_coco_photograph_of_another_size_than_its_annotation_is_refused(coco):
    write_photograph(coco / "val2014" / "0.jpg", size=(50, 80))
    with pytest.raises(DatasetError, match=r"0\.jpg is 80x50, its mask in .*2014\.json is 80x60"):
        open_dataset(coco).load(0, 0)


def test_the_instances_of_two_years_must_be_named(tmp_path):
    for subset in ("train2014", "train2017", "val2017"):
        write_coco(tmp_path, subset=subset)
    assert open_dataset(tmp_path).samples[0].image.parent.name == "val2017"
    named = open_dataset(tmp_path, tmp_path / "annotations" / "instances_train2014.json")
    assert named.samples[0].image.parent.name == "train2014"
    with pytest.raises(DatasetError, match=r"2 files instances_train\*\.json; name one"):
        open_dataset(tmp_path, subset="train")


def broken(change):
    table = coco_table(copy.deepcopy(COCO_ANNOTATIONS))
    change(table)
    return json.dumps(table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Invalid JSON"),
        ('{"images": [], "categories": []}', "annotations: Field required"),
        (broken(lambda t: t["images"][1].pop("height")), r"images\.1\.height: Field required"),
        (
            broken(lambda t: t["annotations"][0].pop("segmentation")),
            r"annotations\.0\.segmentation",
        ),
        (broken(lambda t: t["annotations"][0].update(category_id=99)), "category 99, one of which"),
        (broken(lambda t: t["annotations"][0].update(image_id=99)), "image 99 with category 1"),
        (
            broken(lambda t: t["annotations"][0].update(segmentation=[[float("nan")] * 6])),
            r"annotations\.0\.segmentation",
        ),
        (
            broken(
                lambda t: t["annotations"][3].update(segmentation=run_lengths(area(1, 1, 2, 2).T))
            ),
            r"broken run lengths of 1\.jpg \(of size \(80, 60\), the image \(60, 80\)\)",
        ),
        (
            broken(lambda t: t["annotations"][3]["segmentation"].update(counts=[3, 9999])),
            r"broken run lengths of 1\.jpg",
        ),
        (
            broken(lambda t: t["annotations"][3]["segmentation"].update(counts=[3, -5])),
            r"broken run lengths of 1\.jpg",
        ),
        (
            broken(lambda t: t["annotations"][3]["segmentation"].update(counts="04P")),
            r"broken run lengths of 1\.jpg \(not in COCO's compression\)",
        ),
    ],
)
def test_a_broken_instances_file_is_named_with_the_place(coco, content, message):
    (coco / "annotations" / "instances_val2014.json").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"instances_val2014\.json .*{message}"):
        open_dataset(coco)


def test_a_missing_instances_file_is_named(coco):
    with pytest.raises(DatasetError, match=r"other\.json cannot be read"):
        coco_instances(coco, coco / "other.json")


def test_training_leaves_out_every_image_in_which_a_test_class_is_seen(tmp_path):
    parts = split(Data(write_coco(tmp_path, subset="train2014"), fold=0), shots=1)
    assert parts.training.samples == ()
    parts = split(Data(tmp_path, fold=3), shots=0)
    assert [sample.image.stem for sample in parts.training.samples] == ["1"]
