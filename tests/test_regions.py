"""Regions of photographs in varied views, as classes of their own."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from model.composites import regions
from model.composites.cutouts import write_pair
from model.composites.regions import RegionPlan, find_regions
from model.composites.variation import Variation, relight
from model.datasets.folder import image_folder
from model.errors import DatasetError
from service.cli import main
from trees import write_folder

COLOURS = ((200, 40, 40), (40, 160, 60), (40, 60, 200), (220, 200, 60))


def patchwork(side=128, seed=0):
    """Four colours in four quarters, with a little noise -> (side, side, 3)."""
    picture = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    for number, colour in enumerate(COLOURS):
        rows, columns = divmod(number, 2)
        picture[rows * half : (rows + 1) * half, columns * half : (columns + 1) * half] = colour
    noise = np.random.default_rng(seed).normal(0, 4, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(4):
        Image.fromarray(patchwork(seed=number)).save(folder / f"{number}.jpg", quality=95)
    return folder


def plan(folder, **changes):
    values = {"limit": 10, "per_photograph": 4, "views": 2, "side": 128, "seed": 0} | changes
    return RegionPlan([folder], **{"objects": ()} | values)


def test_a_region_has_one_colour():
    picture = patchwork()
    found = find_regions(picture, 6, np.random.default_rng(0))
    assert found
    for region in found:
        assert picture[region].std(axis=0).max() < 110
    assert any(picture[region].std(axis=0).max() < 12 for region in found)


def test_the_parts_of_an_object_lie_in_it_and_are_not_all_of_it():
    picture = patchwork()
    object_ = np.zeros(picture.shape[:2], bool)
    object_[20:100, 30:100] = True
    found = find_regions(picture, 6, np.random.default_rng(0), object_)
    assert len(found) > 1
    for part in found:
        assert (part & ~object_).sum() <= 0.05 * part.sum()
        assert 0.05 < part.sum() / object_.sum() < 0.9


def test_objects_are_taken_apart_beside_photographs(photographs, tmp_path):
    objects = tmp_path / "objects"
    write_folder(objects, classes=("cup",), count=2)
    mask = np.zeros((128, 128), bool)
    mask[20:100, 30:100] = True
    write_pair(objects / "cup" / "patches", patchwork(seed=9), mask)
    out = tmp_path / "regions"
    regions.main(plan(photographs, objects=[objects], limit=4), out)
    assert [path.name for path in out.iterdir() if path.name.startswith("cup-patches")]
    assert [path.name for path in out.iterdir() if path.name.startswith(photographs.name)]


def test_a_folder_without_objects_is_refused(photographs, tmp_path):
    with pytest.raises(DatasetError, match="holds no CLASS/NAME"):
        regions.main(plan(photographs, objects=[photographs]), tmp_path / "regions")


def test_regions_differ_from_each_other():
    found = find_regions(patchwork(), 6, np.random.default_rng(1))
    for number, region in enumerate(found):
        for other in found[:number]:
            assert (region & other).sum() <= 0.7 * (region | other).sum()


def test_a_photograph_of_one_colour_has_no_regions():
    flat = np.full((96, 96, 3), 120, np.uint8)
    assert find_regions(flat, 6, np.random.default_rng(0)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_label_moves_with_its_region(seed):
    picture = np.full((128, 128, 3), 30, np.uint8)
    label = np.zeros((1, 128, 128), np.uint8)
    picture[40:80, 50:90], label[0, 40:80, 50:90] = (250, 250, 250), 1
    variation = Variation.draw(label[0] > 0, np.random.default_rng(seed))
    around = np.full_like(picture, 30)
    edge = cv2.BORDER_CONSTANT if variation.among_others else cv2.BORDER_REFLECT_101
    moved = cv2.warpAffine(picture, variation.matrix, (128, 128), borderMode=edge)
    _, seen = variation.of(picture, label, around)
    assert seen.sum() > 200
    assert ((moved[..., 0] > 140) == (seen[0] > 0)).mean() > 0.98


def test_a_mirrored_region_is_labelled_too():
    picture = np.full((128, 128, 3), 30, np.uint8)
    label = np.zeros((1, 128, 128), np.uint8)
    picture[40:80, :30], label[0, 40:80, :30] = (250, 250, 250), 1
    shift = np.array([[1, 0, 60], [0, 1, 0]], np.float32)
    _, seen = Variation(shift, among_others=False, seed=0).of(picture, label, picture)
    assert seen[0, 60, 35:88].all()
    assert seen.sum() == pytest.approx(2 * label.sum(), rel=0.1)


def test_light_changes_and_shapes_stay():
    picture = patchwork()
    varied = [relight(picture, np.random.default_rng(seed)) for seed in range(4)]
    assert len({image.tobytes() for image in varied}) == 4
    assert all(image.shape == picture.shape and image.dtype == np.uint8 for image in varied)


def test_regions_become_classes_of_a_folder(photographs, tmp_path):
    regions.main(plan(photographs), tmp_path / "regions")
    dataset = image_folder(tmp_path / "regions")
    assert len(dataset.classes) >= 4
    for class_id in range(len(dataset.classes)):
        members = dataset.members(class_id)
        assert 2 <= len(members) <= 3
        for member in members:
            image, label = dataset.load(member, class_id)
            assert image.shape == (128, 128, 3)
            assert label.mean() > 0.002


def test_a_plan_gives_the_same_files_again(photographs, tmp_path):
    contents = []
    for name in ("first", "again"):
        regions.main(plan(photographs), tmp_path / name)
        files = sorted((tmp_path / name).rglob("*.*"))
        contents.append([(file.relative_to(tmp_path / name), file.read_bytes()) for file in files])
    assert contents[0] == contents[1]


def test_a_folder_that_is_there_is_kept(photographs, tmp_path):
    with pytest.raises(DatasetError, match="there already"):
        regions.main(plan(photographs), tmp_path)


def test_the_command_makes_the_folder(photographs, tmp_path):
    out = tmp_path / "regions"
    options = ["--photographs", str(photographs), "--out", str(out), "--limit", "2"]
    result = CliRunner().invoke(main, ["regions", *options, "--side", "96"])
    assert result.exit_code == 0, result.output
    assert image_folder(out).classes
