"""COCO's format: regions as labels, crowds, folds, and what is said of broken files."""

import copy
import json

import numpy as np
import pytest

from model.datasets.coco import coco_instances
from model.datasets.layouts import open_dataset
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
    write_folder,
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
    with pytest.raises(
        DatasetError, match=r"2 files \(annotations/inst.*train2017\.json\); name one"
    ):
        open_dataset(tmp_path, subset="train")


def write_lvis(root):
    """Of LVIS's 1,203 classes the first eleven are seen twice, the twelfth once."""
    seen = [
        (image, 1 + number, rectangle(5, 5, 30, 40), 0) for number in range(11) for image in (0, 2)
    ]
    table = coco_table([*seen, (1, 12, rectangle(5, 5, 30, 40), 0)], category_ids=range(1, 1204))
    for image in table["images"]:
        folder = "train2017" if image["id"] == 11 else "val2017"
        image["coco_url"] = f"http://images.example/{folder}/{image.pop('file_name')}"
    for index in range(3):
        write_photograph(root / ("train2017" if index == 1 else "val2017") / f"{index}.jpg", index)
    (root / "lvis_v1_val.json").write_text(json.dumps(table), encoding="utf-8")
    return root


def test_lvis_names_its_photographs_by_address_and_has_ten_folds(tmp_path):
    dataset = open_dataset(write_lvis(tmp_path))
    assert [sample.image.parent.name for sample in dataset.samples] == [
        "val2017",
        "train2017",
        "val2017",
    ]
    assert dataset.fold(0) == (0, 10)
    assert [dataset.fold(fold) for fold in range(1, 10)] == [(number,) for number in range(1, 10)]
    assert dataset.load(2, 10)[1].sum() == 25 * 35
    with pytest.raises(DatasetError, match="no fold 10; choose 0 to 9"):
        dataset.fold(10)


def test_an_image_without_name_and_address_is_told(tmp_path):
    table = coco_table(copy.deepcopy(COCO_ANNOTATIONS))
    table["images"][1].pop("file_name")
    with pytest.raises(
        DatasetError, match=r"images\.1: Value error, it has no file_name; its id is 11"
    ):
        open_dataset(write_coco(tmp_path, table))


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
            r"has 1 annotations without a mask, the first is id 0 of 0\.jpg",
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


# As tools export it


def export(root, file, photographs, names="{}.jpg", **changes):
    """Three photographs of one object each, under an annotation file anywhere below ``root``."""
    table = coco_table(
        [(i, 1, rectangle(10, 10, 20, 30), 0) for i in range(3)], category_ids=[1]
    ) | {"images": []}
    for index in range(3):
        write_photograph(root / photographs / f"{index}.jpg", index)
        table["images"].append(
            {
                "id": 10 + index,
                "file_name": names.format(index),
                "height": HEIGHT,
                "width": WIDTH,
            }
        )
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table | changes), encoding="utf-8")
    return path


TOOLS = {
    "Roboflow": ("train/_annotations.coco.json", "train", "{}.jpg"),
    "Label Studio": ("result.json", "images", "images/{}.jpg"),
    "Label Studio on Windows": ("result.json", "images", "images\\{}.jpg"),
    "Label Studio's local files": ("result.json", "images", "/data/local-files/?d={}.jpg"),
    "FiftyOne": ("labels.json", "data", "{}.jpg"),
    "LabelMe": ("annotations.json", "JPEGImages", "JPEGImages/{}.jpg"),
    "CVAT": ("annotations/instances_default.json", "images/default", "{}.jpg"),
    "a Windows machine": ("coco.json", "photos", "C:\\Users\\ann\\photos\\{}.jpg"),
    "another machine": ("labels_2024.JSON", "set/val", "/home/ann/set/val/{}.jpg"),
    "a tool that quotes": ("export.json", "my photos", "my%20photos/{}.jpg"),
    "a camera's upper case": ("result.json", "images", "{}.JPG"),
    "photographs beside it": ("deep/er/export.json", "deep/er", "{}.jpg"),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tools_export_opens_when_it_is_named(tmp_path, tool):
    path = export(tmp_path, *TOOLS[tool])
    dataset = open_dataset(tmp_path, path)
    assert [dataset.load(i, 0)[1].sum() for i in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("tool", ["Label Studio", "FiftyOne", "LabelMe", "CVAT"])
def test_a_tools_export_is_found_by_its_content(tmp_path, tool):
    export(tmp_path, *TOOLS[tool])
    (tmp_path / "notes.json").write_text('{"images": 3}', encoding="utf-8")
    (tmp_path / "._result.json").write_bytes(b"\0\5\26\7")
    assert len(open_dataset(tmp_path).samples) == 3


def test_roboflows_folders_are_the_subsets(tmp_path):
    for folder in ("train", "valid", "test"):
        export(tmp_path, f"{folder}/_annotations.coco.json", folder)
    assert {s.image.parent.name for s in open_dataset(tmp_path).samples} == {"valid"}
    assert {s.image.parent.name for s in open_dataset(tmp_path, subset="train").samples} == {
        "train"
    }


def test_an_evaluation_never_falls_back_to_the_training_images(tmp_path):
    export(tmp_path, "train/_annotations.coco.json", "train")
    with pytest.raises(DatasetError, match=r"0 COCO files for val \(found: train/_annot.*name one"):
        open_dataset(tmp_path)


def test_two_exports_must_be_named(tmp_path):
    export(tmp_path, "a.json", "images")
    export(tmp_path, "b.json", "images")
    with pytest.raises(DatasetError, match=r"2 COCO files for val \(found: a\.json, b\.json\)"):
        open_dataset(tmp_path)


def test_labelmes_own_files_beside_masks_leave_a_folder_a_folder(tmp_path):
    write_folder(tmp_path)
    for path in list(tmp_path.glob("*/*.jpg")):
        path.with_suffix(".json").write_text(json.dumps(coco_table([])), encoding="utf-8")
    (tmp_path / "coco.json").write_text(json.dumps(coco_table([])), encoding="utf-8")
    assert open_dataset(tmp_path).classes == ("apple", "cup")


def test_photographs_that_are_nowhere_say_where_was_looked(tmp_path):
    path = export(tmp_path, "result.json", "images", "other/x{}.jpg")
    with pytest.raises(DatasetError, match=rf"'other/x0\.jpg' is in none of .*{tmp_path}/images"):
        open_dataset(tmp_path, path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_not_matter(tmp_path, encoding):
    path = export(tmp_path, *TOOLS["FiftyOne"])
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    assert len(open_dataset(tmp_path, path).samples) == 3


def test_two_entries_of_one_photograph_add_up(tmp_path):
    images = [
        {"id": 10 + i, "file_name": name, "height": HEIGHT, "width": WIDTH}
        for i, name in enumerate(["0.jpg", "./0.jpg", "2.jpg"])
    ]
    regions = [rectangle(0, 0, 10, 10), rectangle(20, 20, 30, 30), rectangle(0, 0, 5, 5)]
    annotations = coco_table([(i, 1, region, 0) for i, region in enumerate(regions)])["annotations"]
    path = export(tmp_path, "a.json", "images", images=images, annotations=annotations)
    dataset = open_dataset(tmp_path, path)
    assert [dataset.load(i, 0)[1].sum() for i in range(2)] == [200, 25]


def test_two_photographs_are_not_taken_for_one(tmp_path):
    path = export(tmp_path, "result.json", "images")
    table = json.loads(path.read_bytes())
    table["images"][1]["file_name"] = "b/0.jpg"
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"two images of one photograph, 0\.jpg .* and b/0\.jpg"):
        open_dataset(tmp_path, path)


@pytest.mark.parametrize(
    ("key", "other", "message"),
    [
        ("images", {"file_name": "9.jpg"}, "two images of id 10, 0.jpg and 9.jpg"),
        ("categories", {"name": "cat"}, "two categories of id 1, 'class 1' and 'cat'"),
    ],
)
def test_two_things_of_one_id_are_refused(tmp_path, key, other, message):
    path = export(tmp_path, "a.json", "images")
    table = json.loads(path.read_bytes())
    table[key].append(table[key][0] | other)
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        open_dataset(tmp_path, path)


def test_two_categories_of_one_name_are_one_class(tmp_path):
    categories = [{"id": 1, "name": "cup"}, {"id": 2, "name": "tin"}, {"id": 3, "name": "cup"}]
    annotations = coco_table([(i, i + 1, rectangle(0, 0, 9, 9), 0) for i in range(3)])[
        "annotations"
    ]
    path = export(tmp_path, "a.json", "images", categories=categories, annotations=annotations)
    dataset = open_dataset(tmp_path, path)
    assert dataset.classes == ("cup", "tin")
    assert dataset.members(0) == [0, 2]


def test_roboflows_empty_first_category_is_no_class(tmp_path):
    categories = [
        {"id": 0, "name": "cups", "supercategory": "none"},
        {"id": 1, "name": "cup", "supercategory": "cups"},
        {"id": 2, "name": "rare", "supercategory": "rare"},
    ]
    path = export(tmp_path, "a.json", "images", categories=categories)
    assert open_dataset(tmp_path, path).classes == ("cup", "rare")


def test_ids_may_be_texts(tmp_path):
    path = export(tmp_path, "a.json", "images")
    text = path.read_text(encoding="utf-8")
    for number in (10, 11, 12):
        text = text.replace(f'id": {number}', f'id": "photo {number}"')
    path.write_text(text, encoding="utf-8")
    assert open_dataset(tmp_path, path).members(0) == [0, 1, 2]


@pytest.mark.parametrize(
    "region",
    [
        {"bbox": [1, 1, 9, 9]},
        {"bbox": [1, 1, 9, 9], "segmentation": []},
        {"bbox": [1, 1, 9, 9], "segmentation": [[]]},
        {"segmentation": None},
    ],
)
def test_a_box_without_a_mask_is_named_by_its_id(tmp_path, region):
    annotations = coco_table([(0, 1, rectangle(0, 0, 9, 9), 0)])["annotations"]
    box = {"id": 4711, "image_id": 11, "category_id": 1} | region
    path = export(tmp_path, "a.json", "images", annotations=[*annotations, box])
    with pytest.raises(DatasetError, match=r"1 annotations without a mask, .* id 4711 of 1\.jpg"):
        open_dataset(tmp_path, path)


def test_a_malformed_annotation_is_named_by_its_id(tmp_path):
    annotation = {"id": 4711, "image_id": 10, "category_id": 1, "segmentation": "polygon"}
    path = export(tmp_path, "a.json", "images", annotations=[annotation])
    with pytest.raises(DatasetError, match=r"annotations\.0\.segmentation.*its id is 4711"):
        open_dataset(tmp_path, path)


def compressed(mask):
    from pycocotools import mask as masks

    return masks.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


def test_run_lengths_that_end_early_or_late_are_refused(tmp_path):
    whole, other = area(5, 5, 40, 60), np.zeros((HEIGHT, WIDTH + 1), bool)
    size = [HEIGHT, WIDTH]
    for counts in (
        run_lengths(whole)["counts"][:-1],
        compressed(whole)[:-2],
        compressed(whole[:, :-1]),
        compressed(other),
        [],
        "",
    ):
        annotations = coco_table([(0, 1, {"size": size, "counts": counts}, 0)])["annotations"]
        path = export(tmp_path, "a.json", "images", annotations=annotations)
        with pytest.raises(DatasetError, match=r"broken run lengths of 0\.jpg .*their id is 0"):
            open_dataset(tmp_path, path)


def test_whole_run_lengths_of_any_mask_are_taken(tmp_path):
    generator = np.random.default_rng(0)
    for density in (0.001, 0.02, 0.5, 0.999):
        mask = generator.random((HEIGHT, WIDTH)) < density
        mask[20:40, 20:40] = True
        segmentation = {"size": [HEIGHT, WIDTH], "counts": compressed(mask)}
        annotations = coco_table([(0, 1, segmentation, 0)])["annotations"]
        path = export(tmp_path, "a.json", "images", annotations=annotations)
        assert np.array_equal(open_dataset(tmp_path, path).load(0, 0)[1] == 1, mask)


def test_an_outline_of_an_odd_number_of_coordinates_is_refused(tmp_path):
    annotations = coco_table([(0, 1, [[1, 1, 9, 1, 9, 9, 5]], 0)])["annotations"]
    path = export(tmp_path, "a.json", "images", annotations=annotations)
    with pytest.raises(DatasetError, match="odd number of coordinates"):
        open_dataset(tmp_path, path)
