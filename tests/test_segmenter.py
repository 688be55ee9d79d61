"""Segmenter: what it finds is what the service finds, whatever photographs and masks come as."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from pycocotools import mask as coco_masks

from model.errors import ImageShapeError
from pictures import encode, grey_mask, object_mask, photograph
from service.app import create_app
from service.client import SegmentationClient
from service.errors import (
    BlankMaskError,
    InvalidImageError,
    MaskSizeMismatchError,
    ServiceError,
    UndecodableImageError,
)
from service.segmenter import Segmenter
from service.settings import read_settings
from serving import served

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
QUERY, IMAGE, MASK = photograph(37, 51, seed=1), photograph(), object_mask()
MARK = {"strokes": [{"points": [[20, 10], [38, 20]], "width": 6}], "background_points": [[60, 40]]}


@pytest.fixture(scope="module")
def segmenter(checkpoint: Path) -> Segmenter:
    return Segmenter(checkpoint, executor="torch", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def client(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    database = f"sqlite:///{tmp_path_factory.mktemp('database')}/sets.sqlite3"
    settings = read_settings(
        checkpoint=checkpoint,
        executor="torch",
        device="cpu",
        precision="float32",
        database_url=database,
    )
    with served(create_app(settings)) as url, SegmentationClient(url) as client:
        yield client


OPTIONS: list[dict[str, Any]] = [
    {},
    {"threshold": 0.3, "min_area": 5, "fill_holes": True},
    {"refine": False, "largest_component": True, "presence_threshold": 0.0},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_it_finds_what_the_service_finds(
    segmenter: Segmenter, client: SegmentationClient, options: Any
) -> None:
    found = segmenter.segment(QUERY, [(IMAGE, MASK)], **options)
    told = client.segment(QUERY, [(IMAGE, MASK)], output="json", **options)
    assert_array_equal(found.mask, told.mask)
    assert (found.presence, found.score, found.area) == (told.presence, told.score, told.area)
    assert list(found.bbox or ()) == told.bbox


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_several_supports_are_encoded_once_for_many_queries(
    segmenter: Segmenter, client: SegmentationClient, fusion: Any
) -> None:
    supports = [(IMAGE, MASK), (photograph(seed=9), MARK), (photograph(seed=3), ~MASK)]
    shown = segmenter.encode(supports)
    for seed in (1, 2):
        query = photograph(37, 51, seed=seed)
        found = segmenter.segment(query, shown, fusion=fusion)
        assert_array_equal(found.mask, client.segment(query, supports, fusion=fusion))


@pytest.mark.parametrize(
    "shown", [MARK, {"bbox": [10, 5, 30, 30]}, MASK], ids=["stroke", "box", "mask"]
)
def test_it_completes_as_the_service_does(
    segmenter: Segmenter, client: SegmentationClient, shown: Any
) -> None:
    found = segmenter.complete(IMAGE, shown, threshold=0.4)
    assert_array_equal(found.mask, client.complete(IMAGE, shown, threshold=0.4))
    assert found.mask.any()


@pytest.mark.slow
def test_real_photographs_give_the_bits_that_the_service_sends(tmp_path: Path) -> None:
    names = [("astronaut.jpg", "astronaut.mask.png"), ("grace_hopper.jpg", "grace_hopper.mask.png")]
    supports = [(EXAMPLES / image, EXAMPLES / mask) for image, mask in names]
    query = EXAMPLES / "photographer.jpg"
    settings = read_settings(database_url=f"sqlite:///{tmp_path}/sets.sqlite3")
    segmenter = Segmenter()
    with served(create_app(settings)) as url, SegmentationClient(url) as client:
        for shots in (supports[:1], supports):
            found = segmenter.segment(query, shots)
            told = client.segment(query, shots, output="json")
            assert found.mask.any()
            assert_array_equal(found.mask, told.mask)
            assert (found.presence, found.score) == (told.presence, told.score)
            levels = np.rint(found.probability * 65535) / np.float32(65535)
            sent = client.segment(query, shots, output="probability")
            assert_array_equal(levels.astype(np.float32), sent)


# What may be given


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    contents = {
        "image.png": encode(IMAGE),
        "mask.png": grey_mask(),
        "mark.json": json.dumps(MARK).encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def test_paths_bytes_images_and_arrays_are_the_same(
    segmenter: Segmenter, files: dict[str, Path]
) -> None:
    expected = segmenter.segment(QUERY, [(IMAGE, MASK)]).probability
    image, mask = files["image.png"], files["mask.png"]
    with Image.open(image) as opened, Image.open(mask) as opened_mask:
        for pair in (
            (image, mask),
            (str(image), str(mask)),
            (image.read_bytes(), mask.read_bytes()),
            (opened, opened_mask),
            (IMAGE, MASK.astype(np.uint8)),
            (IMAGE, MASK.astype(np.uint8) * np.uint8(255)),
        ):
            assert_array_equal(segmenter.segment(QUERY, [pair]).probability, expected)


def test_a_mark_is_a_mapping_or_a_json_file(segmenter: Segmenter, files: dict[str, Path]) -> None:
    marks = [MARK, files["mark.json"], {**MARK, "background_points": np.array([[60, 40]])}]
    first, *others = (segmenter.segment(QUERY, [(IMAGE, mark)]).probability for mark in marks)
    for other in others:
        assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("pair", "error", "said"),
    [
        ((IMAGE, MASK & False), BlankMaskError, "no object pixel"),
        ((IMAGE, object_mask(48, 63)), MaskSizeMismatchError, "is 63x48, its image is 64x48"),
        ((b"no image", MASK), UndecodableImageError, r"supports\[0\] is not an image"),
        (("/nowhere.jpg", MASK), UndecodableImageError, "nowhere.jpg cannot be read"),
        ((IMAGE, MASK * 3), InvalidImageError, "0 and 1 or 255"),
        ((IMAGE.astype(float), MASK), ImageShapeError, "uint8 RGB"),
        ((IMAGE, {"dots": [[1, 1]]}), ServiceError, r"the mark of supports\[0\]"),
        ((IMAGE, 5), TypeError, "give a path, bytes, image or array"),
    ],
)
def test_what_cannot_be_used_is_named(
    segmenter: Segmenter, pair: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        segmenter.segment(QUERY, [pair])


def test_options_are_checked_and_supports_are_needed(segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match="threshold"):
        segmenter.segment(QUERY, [(IMAGE, MASK)], threshold=2.0)
    with pytest.raises(ValueError, match="no support"):
        segmenter.segment(QUERY, [])


def test_a_result_tells_of_itself_in_cocos_terms(segmenter: Segmenter) -> None:
    found = segmenter.segment(QUERY, [(IMAGE, MASK)])
    told = found.coco(instances=True)
    assert_array_equal(coco_masks.decode(told["segmentation"]), found.mask)
    assert (told["area"], told["bbox"]) == (found.area, found.bbox)
    assert sum(part["area"] for part in told["instances"]) == found.area
    nothing = segmenter.segment(QUERY, [(IMAGE, MASK)], min_area=10_000)
    assert (nothing.bbox, nothing.area, nothing.mask.any()) == (None, 0, False)


@pytest.mark.slow
def test_the_shipped_network_needs_neither_torch_nor_a_server() -> None:
    program = (
        "import sys\n"
        "from service.segmenter import Segmenter\n"
        f"found = Segmenter().complete({str(EXAMPLES / 'astronaut.jpg')!r}, "
        "{'bbox': [30, 40, 300, 400]})\n"
        "assert found.mask.any()\n"
        "assert not {'torch', 'fastapi', 'starlette', 'httpx', 'sqlalchemy'} & sys.modules.keys()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False
    )
    assert ran.returncode == 0, ran.stderr
