"""Annotation files, each read back by what reads it, and the connected parts that they hold."""

import csv
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from pictures import photograph
from service.commands.parameters import FORMATS as COMMAND_FORMATS
from service.errors import DuplicateNameError
from service.formats.catalogue import DOCUMENTS, PHOTOGRAPH_FILES, Writer
from service.formats.label_studio import brush_results, polygon_results
from service.formats.names import plain_name, plain_names
from service.formats.record import Export, Labelled, Record, describe, read_line
from service.giving_up import GivenUpError, until
from service.images.coco import bounding_box, trace_polygons
from service.images.parts import MAX_PARTS, connected_parts, number_parts, outline_parts
from service.options import FORMATS, FormatName

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PARTS = np.zeros((40, 60), np.bool_)
PARTS[2:12, 5:25] = True
PARTS[5:9, 10:14] = False  # a hole
PARTS[20:38, 30:50] = True
PARTS[38, 50] = True  # touches at a corner alone
PARTS[30:34, 2:6] = True
ONE, OTHER, SMALL = (5, 2, 20, 10), (30, 20, 21, 19), (2, 30, 4, 4)
EMPTY = np.zeros((30, 30), np.bool_)
LABEL = "kind: cat"


def export(mask: NDArray[np.bool_], **options: Any) -> tuple[list[Record], Export]:
    records = [
        describe("2024/june.jpg", mask, 0.9, 0.8),
        describe('empty, "so".png', EMPTY, 0.1, 0.0),
    ]
    return records, Export((LABEL,), **options)


def document(name: FormatName, place: int = 0, **options: Any) -> str:
    """A file about PARTS and an empty mask."""
    records, told = export(PARTS, **options)
    return "".join(DOCUMENTS[name][place].write(records, told))


def file_of(name: FormatName, mask: NDArray[np.bool_], place: int = 0, **options: Any) -> bytes:
    labelled = Labelled.of_object(mask, lambda: photograph(*mask.shape))
    return PHOTOGRAPH_FILES[name][place].render(labelled, Export((LABEL,), **options))


# Connected parts


def noise(seed: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 30, 2)
    return random.random((height, width)) > random.choice([0.2, 0.5, 0.9])


@pytest.mark.parametrize("seed", range(30))
def test_parts_are_those_of_opencv_and_make_up_the_mask(seed: int) -> None:
    mask = noise(seed)
    count, numbers = cv2.connectedComponents(mask.astype(np.uint8))
    parts, outlines = connected_parts(mask), outline_parts(mask)
    assert len(parts) == len(outlines) == count - 1
    for part, outline in zip(parts, outlines, strict=True):
        drawn = coco_masks.decode(part.segmentation.model_dump()) > 0
        assert_array_equal(drawn, numbers == numbers[drawn][0])
        assert (part.area, part.bbox) == (drawn.sum(), bounding_box(drawn))
        assert [outline] == trace_polygons(drawn)


def test_of_very_many_parts_the_smallest_are_left_out() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[::2, ::2] = True
    mask[90:92, 90:92] = True  # joins four of them
    parts = connected_parts(mask)
    assert len(parts) == MAX_PARTS == number_parts(mask).max()
    assert max(part.area for part in parts) > 1


def test_parts_are_told_from_the_top_down() -> None:
    assert [part.bbox for part in connected_parts(PARTS)] == [ONE, OTHER, SMALL]


@pytest.mark.parametrize(
    "work",
    [
        connected_parts,
        outline_parts,
        lambda mask: file_of("yolo", mask),
        lambda mask: brush_results(mask, "cat"),
    ],
    ids=["parts", "outlines", "yolo", "brush"],
)
def test_work_on_many_parts_ends_where_it_is_given_up(work: Callable[[Any], Any]) -> None:
    given_up = threading.Event()
    given_up.set()
    with until(given_up), pytest.raises(GivenUpError):
        work(PARTS)


# Records


def test_a_record_comes_back_from_its_line_with_its_mask() -> None:
    record = describe("a.jpg", PARTS, 0.5, 0.25)
    assert read_line(record.line()) == record
    assert_array_equal(record.mask(), PARTS)
    old = json.loads(record.line())
    del old["presence"]
    assert read_line(json.dumps(old).encode()).surety == {"score": 0.25}


# COCO


def read_coco(tmp_path: Path, **options: Any) -> COCO:
    path = tmp_path / "annotations.json"
    path.write_text(document("coco", **options), encoding="utf-8")
    return COCO(path)


def test_coco_holds_the_whole_mask_and_images_without_one(tmp_path: Path) -> None:
    coco = read_coco(tmp_path)
    (annotation,) = coco.loadAnns(coco.getAnnIds())
    assert_array_equal(coco.annToMask(annotation), PARTS)
    assert (annotation["presence"], annotation["score"]) == (0.9, 0.8)
    assert [image["file_name"] for image in coco.dataset["images"]] == [
        "2024/june.jpg",
        'empty, "so".png',
    ]
    assert coco.dataset["categories"] == [{"id": 1, "name": LABEL}]


def test_coco_holds_an_annotation_of_each_part(tmp_path: Path) -> None:
    coco = read_coco(tmp_path, instances=True)
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [annotation["bbox"] for annotation in annotations] == [
        list(ONE),
        list(OTHER),
        [2, 30, 4, 4],
    ]
    assert [annotation["id"] for annotation in annotations] == [1, 2, 3]
    assert_array_equal(sum(coco.annToMask(one) for one in annotations), PARTS)


# YOLO


def drawn_lines(text: bytes, mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Each line's outline filled, as Ultralytics does."""
    height, width = mask.shape
    drawn = []
    for line in text.decode().splitlines():
        number, *shares = line.split()
        assert number == "0"
        corners = np.array(shares, float).reshape(-1, 2)
        assert corners.min() >= 0 and corners.max() <= 1
        canvas = np.zeros((height * 8, width * 8), np.uint8)
        cv2.fillPoly(canvas, [np.rint(corners * (width * 8, height * 8)).astype(np.int32)], 1)
        drawn.append(canvas[4::8, 4::8] > 0)
    return drawn


FILLED = PARTS.copy()
FILLED[5:9, 10:14] = True


def test_a_yolo_line_for_each_part_draws_it() -> None:
    drawn = drawn_lines(file_of("yolo", PARTS, instances=True), PARTS)
    assert [bounding_box(one) for one in drawn][::2] == [ONE, SMALL]
    assert (np.logical_or.reduce(drawn) ^ FILLED).sum() <= 2


def test_one_yolo_line_joins_the_parts_of_an_object() -> None:
    (drawn,) = drawn_lines(file_of("yolo", PARTS), PARTS)
    bridges = drawn & ~FILLED
    assert not (FILLED & ~drawn)[:37].any()
    assert bridges.sum() < 40  # lines, which fillPoly draws a pixel wide


def test_a_photograph_without_the_object_has_an_empty_yolo_file() -> None:
    assert file_of("yolo", EMPTY) == file_of("yolo", EMPTY, instances=True) == b""


def test_yolos_data_names_the_class() -> None:
    yaml = pytest.importorskip("yaml")
    data = yaml.safe_load(document("yolo"))
    assert (data["names"], data["train"]) == ([LABEL], "images")


# Pascal VOC


def indices(content: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(content))
    assert image.mode == "P"
    assert image.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
    assert image.getpalette()[-3:] == [224, 224, 192]  # VOC's void
    return np.array(image)


def test_voc_masks_are_indexed_in_vocs_colours() -> None:
    assert_array_equal(indices(file_of("voc", PARTS)), PARTS)
    assert_array_equal(indices(file_of("voc", PARTS, 1)), PARTS)


def test_voc_objects_are_the_parts() -> None:
    objects = indices(file_of("voc", PARTS, 1, instances=True))
    assert [bounding_box(objects == number) for number in (1, 2, 3)] == [ONE, OTHER, SMALL]
    assert_array_equal(indices(file_of("voc", PARTS, instances=True)), PARTS)


def test_voc_objects_beyond_its_indices_are_void() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[::2, ::2] = True
    objects = indices(file_of("voc", mask, 1, instances=True))
    assert ((objects == 255).sum(), objects[objects < 255].max()) == (400 - 254, 254)


def test_voc_lists_names_and_colours() -> None:
    assert document("voc") == '2024/june\nempty, "so"\n'
    assert document("voc", 1).splitlines()[1:] == ["background:0,0,0::", "kind  cat:128,0,0::"]


# Label Studio


def decode_brush(rle: list[int]) -> NDArray[np.uint8]:
    """rle-pack, as the tool's own page unpacks it."""
    bits, at = "".join(f"{byte:08b}" for byte in rle), 0

    def take(width: int) -> int:
        nonlocal at
        at += width
        return int(bits[at - width : at], 2)

    count, word = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated, length = take(1), take(widths[take(2)]) + 1
        values += [take(word)] * length if repeated else [take(word) for _ in range(length)]
    return np.array(values, np.uint8)


@pytest.mark.parametrize("mask", [PARTS, ~EMPTY, noise(1), np.ones((200, 200), np.bool_)])
def test_a_brush_is_unpacked_to_its_mask(mask: NDArray[np.bool_]) -> None:
    (result,) = brush_results(mask, "cat")
    layers = decode_brush(result["value"]["rle"]).reshape(*mask.shape, 4)
    assert_array_equal(layers[..., 3], mask * 255)
    assert (result["original_height"], result["original_width"]) == mask.shape
    assert result["value"]["brushlabels"] == ["cat"]


def test_a_brush_has_the_bytes_of_label_studios_own_encoder() -> None:
    mask = np.zeros((6, 7), np.bool_)
    mask[1:3, 2:5] = mask[5, 6] = True
    (result,) = brush_results(mask, "cat")  # against mask2rle of label-studio-sdk 2.1.2
    assert result["value"]["rle"] == [
        *(0, 0, 0, 168, 57, 27, 254, 35, 0, 183),
        *(255, 124, 2, 223, 254, 87, 0, 143, 252),
    ]


def test_brushes_of_parts_make_up_the_mask() -> None:
    results = brush_results(PARTS, "cat", instances=True, from_name="tag", to_name="img")
    layers = [decode_brush(one["value"]["rle"]).reshape(40, 60, 4)[..., 0] for one in results]
    assert_array_equal(sum(layer // 255 for layer in layers), PARTS)
    assert {(one["from_name"], one["to_name"]) for one in results} == {("tag", "img")}
    assert len({one["id"] for one in results}) == 3


def test_polygons_are_in_percent_of_the_sides() -> None:
    results = polygon_results(PARTS, "cat")
    assert len(results) == 3
    points = np.array(results[0]["value"]["points"]) * (60, 40) / 100
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == (
        pytest.approx([5, 2], abs=0.01),
        pytest.approx([25, 12], abs=0.01),
    )


@pytest.mark.parametrize("name", ["label_studio", "label_studio_polygons"])
def test_tasks_hold_predictions_or_what_a_hand_has_made(name: FormatName) -> None:
    found, empty = json.loads(document(name))
    assert found["data"] == {"image": "/data/local-files/?d=2024/june.jpg"}
    assert found["predictions"][0]["score"] == 0.8
    assert empty["predictions"][0]["result"] == []
    made, _ = json.loads(document(name, by_hand=True))
    assert made["annotations"] == [{"result": found["predictions"][0]["result"]}]


# Summaries


def test_the_table_has_a_row_for_each_photograph() -> None:
    heading, found, empty = csv.reader(io.StringIO(document("csv")))
    assert heading == ["file", "presence", "area", "left", "top", "width", "height", "score"]
    assert found == ["2024/june.jpg", "0.9", str(PARTS.sum()), "2", "2", "49", "37", "0.8"]
    assert empty == ['empty, "so".png', "0.1", "0", "", "", "", "", "0.0"]


def test_the_lines_have_the_same() -> None:
    found, empty = map(json.loads, document("jsonl").splitlines())
    assert found["box"] == [2, 2, 49, 37]
    assert (empty["file"], empty["box"], empty["presence"]) == ('empty, "so".png', None, 0.1)


# The list


def test_every_format_writes_something_and_the_command_knows_it() -> None:
    assert set(FORMATS) == {*PHOTOGRAPH_FILES, *DOCUMENTS} == set(COMMAND_FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_the_document_tells_of_every_file(name: FormatName) -> None:
    text = (Path(__file__).parents[1] / "docs/reference/formats.md").read_text(encoding="utf-8")
    files = [*PHOTOGRAPH_FILES.get(name, ()), *DOCUMENTS.get(name, ())]
    assert [file.path for file in files if f"`{file.path.format('NAME')}`" not in text] == []


def test_an_empty_list_of_photographs_is_a_whole_file() -> None:
    for name, written in DOCUMENTS.items():
        for one in written:
            text = b"".join(Writer([name], Export()).write(one, [])).decode()
            assert not one.path.endswith(".json") or json.loads(text) is not None


# Names


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("beach.jpg", "beach.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\holiday\\my cat?.jpeg", "my cat_.jpeg"),
        ("..", "photograph"),
        ("", "photograph"),
        ("猫.png", "猫.png"),
        ("a" * 300 + ".jpg", "a" * 100 + ".jpg"),
        ("a\0b\n<c>.jpg", "a_b__c_.jpg"),
    ],
)
def test_a_name_is_one_that_every_file_system_takes(sent: str, plain: str) -> None:
    assert plain_name(sent) == plain


@pytest.mark.parametrize("pair", [("a.jpg", "x/a.png"), ("a.jpg", "A.JPG"), ("", "photograph.png")])
def test_two_photographs_of_one_name_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(DuplicateNameError, match=r"mask\[2\] and mask\[0\] are both named") as told:
        plain_names([pair[0], "between.jpg", pair[1]], "mask")
    assert told.value.field == "mask[2]"
