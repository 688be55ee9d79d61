"""Data sets on disk: layouts, lists, labels, folds, and what is said of broken files."""

import json

import numpy as np
import pytest
from PIL import Image

from model.datasets.folder import image_folder
from model.datasets.layouts import open_dataset
from model.datasets.listing import join
from model.datasets.pascal import CLASSES, pascal_voc
from model.episode import VOID
from model.errors import DatasetError
from model.evaluation.bench import open_data
from model.training.recipe import Data, split
from trees import (
    HEIGHT,
    IGNORE_PYCOCOTOOLS,
    WIDTH,
    write_coco,
    write_folder,
    write_list,
    write_mask,
    write_photograph,
    write_voc,
)


@pytest.fixture
def voc(tmp_path):
    return write_voc(tmp_path)


@pytest.fixture
def dataset(voc):
    return pascal_voc(voc, voc / "lists" / "train.txt")


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


def test_pascals_folds_are_five_classes_each_in_vocs_order(dataset):
    assert [CLASSES[i] for i in dataset.fold(1)] == ["bus", "car", "cat", "chair", "cow"]
    assert sorted(sum((dataset.fold(fold) for fold in range(4)), ())) == list(range(20))


@pytest.mark.parametrize("fold", [-1, 4])
def test_a_fold_that_is_not_there_says_which_are(dataset, fold):
    with pytest.raises(DatasetError, match=rf"no fold {fold}; choose 0 to 3"):
        dataset.fold(fold)


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
    with pytest.raises(DatasetError, match=r"3\.jpg is broken, truncated"):
        dataset.load(3, 0)


def test_an_image_and_mask_of_different_sizes_are_refused(voc, dataset):
    write_photograph(voc / "JPEGImages" / "3.jpg", size=(50, 80))
    with pytest.raises(DatasetError, match=r"3\.jpg is 80x50, its mask in .*3\.png is 80x60"):
        dataset.load(3, 0)


def test_a_missing_mask_is_named(voc):
    (voc / "SegmentationClass" / "3.png").unlink()
    with pytest.raises(DatasetError, match=r"SegmentationClass/3\.png is missing"):
        pascal_voc(voc, voc / "lists" / "train.txt")


@pytest.mark.parametrize(
    "mask", [np.full((60, 80), 21, np.uint8), np.zeros((60, 80, 3), np.uint8)], ids=["21", "colour"]
)
def test_a_mask_that_is_not_vocs_is_refused(voc, mask):
    write_mask(voc / "SegmentationClass" / "3.png", mask)
    with pytest.raises(DatasetError, match=r"3\.png is no VOC class mask"):
        pascal_voc(voc, voc / "lists" / "train.txt")


def test_labels_json_names_other_classes_than_vocs(voc):
    names = ["background", *(f"thing {number}" for number in range(1, 31))]
    (voc / "labels.json").write_text(json.dumps(names), encoding="utf-8")
    write_mask(voc / "SegmentationClass" / "0.png", np.full((HEIGHT, WIDTH), 30, np.uint8))
    dataset = pascal_voc(voc, voc / "lists" / "train.txt")
    assert dataset.classes == tuple(names[1:])
    assert dataset.samples[0].class_ids == {29}
    assert dataset.folds == ()


@pytest.mark.parametrize("content", ["{}", "[1, 2]", "nothing", '["background"]'])
def test_labels_json_that_is_no_list_of_names_is_refused(voc, content):
    (voc / "labels.json").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"labels\.json"):
        pascal_voc(voc, voc / "lists" / "train.txt")


def test_a_palette_mask_is_read_by_its_indices(voc, dataset):
    path = voc / "SegmentationClass" / "2.png"
    image = Image.open(path).convert("P")
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(path)
    again = pascal_voc(voc, voc / "lists" / "train.txt")
    assert again.samples == dataset.samples
    assert again.load(2, 1)[1][40, 50] == 1


def test_a_missing_list_is_named(voc):
    with pytest.raises(DatasetError, match=r"other\.txt is missing"):
        open_dataset(voc, voc / "other.txt")


def test_sbds_masks_come_before_vocs_own(voc):
    write_mask(voc / "SegmentationClassAug" / "0.png", np.full((60, 80), 5, np.uint8))
    dataset = pascal_voc(voc, write_list(voc / "list.txt", ["0"]))
    assert dataset.samples[0].class_ids == {4}


def test_hsnets_lists_ask_for_one_class_of_an_image_that_shows_two(voc):
    dataset = pascal_voc(voc, write_list(voc / "list.txt", ["2__01", "3__01", "3__02", "4__02"]))
    assert len(dataset.samples) == 3
    assert dataset.members(0) == [0, 1]
    assert dataset.members(1) == [1, 2]
    assert [sample.image.stem for sample in dataset.without({1}).samples] == []


def test_a_class_that_is_not_in_the_mask_cannot_be_asked_for(voc):
    with pytest.raises(DatasetError, match=r"0\.png holds no bird, which its list asks for"):
        pascal_voc(voc, write_list(voc / "list.txt", ["0__03"]))


@pytest.mark.parametrize("slash", ["", "/"])
def test_oslsms_lists_name_image_and_mask(voc, slash):
    line = f"{slash}JPEGImages/2.jpg {slash}SegmentationClass/2.png"
    dataset = pascal_voc(voc, write_list(voc / "list.txt", [line]))
    assert dataset.samples[0].class_ids == {0, 1}
    assert dataset.load(0, 1)[1][40, 50] == 1


@pytest.mark.parametrize("line", ["2 1", "2__21", "2__00", "2__x", "a/2", "1 2 3", "2.png 2.jpg"])
def test_any_other_line_is_named_with_its_file(voc, line):
    with pytest.raises(DatasetError, match=rf"list\.txt has the line '{line}'; a line is ID, "):
        pascal_voc(voc, write_list(voc / "list.txt", ["1", line]))


def test_without_a_list_voc_reads_its_own(voc):
    write_list(voc / "ImageSets" / "Segmentation" / "val.txt", ["4", "5"])
    assert len(open_dataset(voc, subset="train").samples) == 6
    assert len(open_dataset(voc).samples) == 2
    write_list(voc / "lists" / "val.txt", ["5"])
    assert len(open_dataset(voc).samples) == 1


def test_voc_without_any_list_says_where_one_is_looked_for(voc):
    with pytest.raises(DatasetError, match=r"lists/val\.txt and .*Segmentation/val\.txt are miss"):
        open_dataset(voc)


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


def test_a_list_of_classes_chooses_the_split_of_fss_1000(tmp_path):
    write_folder(tmp_path, ("abacus", "ab_wheel", "zucchini"), count=10)
    listed = write_list(tmp_path / "test.txt", ["zucchini", "abacus"])
    dataset = open_dataset(tmp_path, listed)
    assert dataset.classes == ("abacus", "zucchini")
    assert len(dataset.samples) == 20
    assert dataset.samples[-1].image.parent.name == "zucchini"


@pytest.mark.parametrize(
    ("lines", "message"),
    [(["cup", "pear"], r"test\.txt names the class 'pear', but "), ([], r"test\.txt is empty")],
)
def test_a_wrong_list_of_classes_is_named(folder, lines, message):
    with pytest.raises(DatasetError, match=message):
        open_dataset(folder, write_list(folder / "test.txt", lines))


def test_a_colour_mask_of_fss_1000_is_read_by_its_brightness(folder):
    mask = np.zeros((60, 80, 3), np.uint8)
    mask[10:20, 10:20] = 254
    write_mask(folder / "cup" / "0.png", mask)
    assert open_dataset(folder).load(3, 1)[1].sum() == 100


def test_a_folder_has_no_folds(folder):
    with pytest.raises(DatasetError, match="has no folds"):
        open_dataset(folder).fold(0)


@pytest.mark.filterwarnings(IGNORE_PYCOCOTOOLS)
@pytest.mark.parametrize(
    ("write", "last_class"),
    [(write_voc, "tvmonitor"), (write_folder, "cup"), (write_coco, "class 90")],
)
def test_a_layout_is_recognised_by_what_lies_there(tmp_path, write, last_class):
    write_list(write(tmp_path) / "lists" / "val.txt", "01")
    dataset = open_dataset(tmp_path)
    assert dataset.classes[-1] == last_class
    assert dataset.load(0, 0)[1].any()


def test_a_layout_that_is_named_is_not_guessed(voc):
    with pytest.raises(DatasetError, match=r"JPEGImages/0\.jpg has no mask"):
        open_dataset(voc, layout="folder")


@pytest.mark.parametrize("name", [".", "nowhere"])
def test_a_folder_of_no_layout_lists_the_layouts(tmp_path, name):
    with pytest.raises(DatasetError, match=r"JPEGImages/ \(PASCAL VOC\), annotations/ \(COCO\)"):
        open_dataset(tmp_path / name)


def test_a_recipe_for_a_data_set_without_folds_names_none(folder):
    with pytest.raises(DatasetError, match="has no folds"):
        split(Data(folder, fold=0), shots=1)


def test_joined_data_sets_keep_their_labels_apart(tmp_path):
    first = image_folder(write_folder(tmp_path / "first", ("cup", "apple")))
    second = image_folder(write_folder(tmp_path / "second", ("pear",)))
    write_mask(tmp_path / "second" / "pear" / "1.png", np.full((HEIGHT, WIDTH), 255, np.uint8))
    both = join(first, second)
    assert both.classes == ("apple", "cup", "pear")
    assert [len(both.members(class_id)) for class_id in range(3)] == [3, 3, 3]
    pear = both.members(2)[1]
    assert both.load(pear, 2)[1].all()
    assert not both.load(both.members(0)[1], 0)[1].all()


# What lies on real disks


@pytest.mark.parametrize("write", [write_folder, write_voc])
def test_what_systems_leave_is_no_photograph_and_no_class(tmp_path, write):
    write(tmp_path)
    write_list(tmp_path / "lists" / "val.txt", "01")
    before = open_dataset(tmp_path)
    for folder in [tmp_path, *(path for path in tmp_path.iterdir() if path.is_dir())]:
        for name in ("._1.jpg", "._1.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"\0\5\26\7")
    for name in ("__MACOSX", "@eaDir", ".thumbnails", "$RECYCLE.BIN"):
        write_photograph(tmp_path / name / "1.jpg")
        write_photograph(tmp_path / name / "cup" / "1.jpg")
    (tmp_path / "cup" / "album.jpg").mkdir(parents=True)
    after = open_dataset(tmp_path)
    assert (after.classes, after.samples) == (before.classes, before.samples)


def test_what_systems_leave_alone_is_no_layout(tmp_path):
    write_photograph(tmp_path / "__MACOSX" / "1.jpg")
    with pytest.raises(DatasetError, match="no layout that is known"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(("photograph", "mask"), [("0.JPG", "0.PNG"), ("0.Jpeg", "0.PNG")])
def test_suffixes_may_be_in_upper_case(folder, photograph, mask):
    (folder / "cup" / "0.jpg").rename(folder / "cup" / photograph)
    (folder / "cup" / "0.png").rename(folder / "cup" / mask)
    dataset = open_dataset(folder)
    assert dataset.members(1) == [3, 4, 5]
    assert dataset.load(3, 1)[1].any()


def test_vocs_files_may_be_in_upper_case(voc):
    (voc / "JPEGImages" / "2.jpg").rename(voc / "JPEGImages" / "2.JPG")
    (voc / "SegmentationClass" / "2.png").rename(voc / "SegmentationClass" / "2.PNG")
    for line in ("2", "JPEGImages/2.jpg SegmentationClass/2.png"):
        assert pascal_voc(voc, write_list(voc / "list.txt", [line])).load(0, 1)[1].any()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_list_may_be_any_editors(folder, voc, encoding, newline):
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    for root, lines in ((folder, ["apple"]), (voc, ["0", "4"])):
        path = root / "list.txt"
        path.write_bytes((mark + newline.join(lines)).encode(encoding))
        dataset = open_dataset(root, path, "folder" if lines == ["apple"] else "voc")
        assert dataset.members(0)[0] == 0


@pytest.mark.parametrize(
    "line",
    [
        r"JPEGImages\2.jpg SegmentationClass\2.png",
        r"C:\data\VOC\JPEGImages\2.jpg C:\data\VOC\SegmentationClass\2.png",
        "/home/ann/VOC/JPEGImages/2.jpg /home/ann/VOC/SegmentationClass/2.png",
        "JPEGImages/2.JPG SegmentationClass/2.PNG",
    ],
)
def test_a_list_may_name_files_as_another_machine_does(voc, line):
    dataset = pascal_voc(voc, write_list(voc / "list.txt", [line]))
    assert dataset.samples[0].image == voc / "JPEGImages" / "2.jpg"
    assert dataset.load(0, 1)[1].any()


@pytest.mark.parametrize("line", ["cup/", ".\\cup", r"D:\FSS\cup", "/home/ann/FSS-1000/cup"])
def test_a_list_may_name_classes_as_another_machine_does(folder, line):
    assert open_dataset(folder, write_list(folder / "list.txt", [line])).classes == ("cup",)


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"images": []}', "is JSON"), ("x" * 2000, "a line of 2000 characters")],
)
def test_a_list_that_is_none_is_named_in_a_short_sentence(folder, text, message):
    (folder / "list.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(folder, folder / "list.txt")
    assert len(str(caught.value)) < 300


# Masks without an object


def dark(path, value):
    """A label map that a tool wrote in dark grey."""
    write_mask(path, np.where(np.asarray(Image.open(path)) > 0, np.uint8(value), np.uint8(0)))


@pytest.mark.parametrize("value", [3, 15, 38])
def test_class_numbers_are_objects(folder, value):
    dark(folder / "cup" / "1.png", value)
    assert open_dataset(folder).load(4, 1)[1].sum() == 1600


def test_a_class_whose_masks_are_all_empty_is_named_with_the_rule(folder):
    for path in (folder / "cup").glob("*.png"):
        dark(path, 0)
    message = r"cup/0\.png holds no object \(its largest value is 0\).* 255 on the object"
    with pytest.raises(DatasetError, match=message):
        open_dataset(folder)


def test_an_empty_mask_among_others_is_left_out_and_told(folder, capsys):
    dark(folder / "cup" / "1.png", 0)
    write_mask(folder / "apple" / "2.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    dataset = open_dataset(folder)
    assert [sample.image.stem for sample in dataset.samples] == ["0", "1", "0", "2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Left out: 2 of 6 masks hold no object; ")
    assert "apple/2.png" in line


def test_a_mask_of_0_and_1_is_no_empty_one(folder, capsys):
    dark(folder / "cup" / "1.png", 1)
    assert len(open_dataset(folder).samples) == 6
    assert not capsys.readouterr().err


def test_masks_that_are_not_read_light_on_dark_are_told(folder, capsys):
    dark(folder / "cup" / "1.png", 38)
    open_dataset(folder)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Read as labels: in 1 of 6 masks the object is every value but 0")
    assert "--mask-format" in line


def test_a_reading_that_was_asked_for_is_not_told(folder, capsys):
    dark(folder / "cup" / "1.png", 38)
    open_dataset(folder, mask_format="labels")
    assert not capsys.readouterr().err


@pytest.fixture
def label_maps(folder):
    """3 on the object and void beside it: it could be light on dark as well."""
    for path in folder.rglob("*.png"):
        values = np.zeros((HEIGHT, WIDTH), np.uint8)
        values[4:14, 4:14], values[20:24, 4:24] = 3, 255
        write_mask(path, values)
    return folder


@pytest.mark.parametrize(("mask_format", "pixels"), [("labels", 100), ("light", 80)])
def test_masks_of_a_folder_are_read_as_said(label_maps, mask_format, pixels):
    dataset = open_dataset(label_maps, mask_format=mask_format)
    assert dataset.load(0, 0)[1].sum() == pixels
    data = Data(label_maps, mask_format=mask_format)
    assert split(data, shots=1).training.load(0, 0)[1].sum() == pixels
    named = open_data(label_maps, None, mask_format)
    assert named.dataset.load(0, 0)[1].sum() == pixels
    assert named.name.endswith(f", masks read as {mask_format}")


def test_a_mask_of_two_readings_is_refused_with_the_option_that_says_which(label_maps):
    with pytest.raises(DatasetError, match=r"\.png can be read .*--mask-format light or labels"):
        open_dataset(label_maps)


def test_a_reading_that_a_mask_has_not_is_refused_with_its_file(folder):
    message = r"mask_format is 'alpha', but .*\.png has no alpha channel"
    with pytest.raises(DatasetError, match=message):
        open_dataset(folder, mask_format="alpha")


def test_a_mask_format_is_for_folders_alone(voc):
    with pytest.raises(DatasetError, match=r"the layout of .* \(voc\) .* leave mask_format out"):
        open_dataset(voc, mask_format="labels")


@pytest.fixture
def perseg(tmp_path):
    """Two objects of three photographs, the masks red on black."""
    for name in ("cat", "barn"):
        for index in range(3):
            write_photograph(tmp_path / "Images" / name / f"0{index}.jpg", index)
            mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            mask[10:50, 10:50, 0] = 128
            write_mask(tmp_path / "Annotations" / name / f"0{index}.png", mask)
    return tmp_path


def test_perseg_has_an_object_a_folder(perseg):
    dataset = open_dataset(perseg)
    assert dataset.classes == ("barn", "cat")
    assert dataset.members(1) == [3, 4, 5]
    image, label = dataset.load(4, 1)
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert label.sum() == 40 * 40


def test_perseg_tells_a_mask_that_is_missing(perseg):
    (perseg / "Annotations" / "cat" / "01.png").unlink()
    with pytest.raises(DatasetError, match=r"01\.jpg has no mask; expected .*cat/01\.png"):
        open_dataset(perseg)


def test_perseg_without_photographs_says_how_to_lay_them_out(tmp_path):
    for folder in ("Images/cat", "Annotations/cat"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DatasetError, match="holds no photographs; lay them out as OBJECT/00"):
        open_dataset(tmp_path)


def test_perseg_has_no_lists(perseg):
    with pytest.raises(DatasetError, match="PerSeg, which has no lists"):
        open_dataset(perseg, write_list(perseg / "list.txt", "1"))
