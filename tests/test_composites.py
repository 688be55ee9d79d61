"""Objects are cut out of photographs, and pasted with exact masks on others."""

import dataclasses
import random
import tarfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_array_equal
from PIL import Image

from model.composites.composites import CompositeRecipe, Ingredients, main
from model.composites.cutouts import (
    NO_OBJECTS,
    central_object,
    list_categories,
    write_cutouts,
    write_pair,
)
from model.composites.near_voc import CALTECH_101, IMAGENET_THINGS, shows_voc
from model.datasets.folder import image_folder
from model.datasets.listing import open_image
from model.datasets.pascal import CLASSES
from model.errors import ConfigError, DatasetError
from service import cli

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "unlabelled" / "photos.tar"
RED, GREEN, BLUE = (200, 40, 30), (40, 150, 40), (30, 50, 200)


def disc(height=90, width=120, centre=(0.5, 0.5), radius=25):
    rows, columns = np.mgrid[:height, :width]
    top, left = centre[0] * height, centre[1] * width
    return (rows - top) ** 2 + (columns - left) ** 2 < radius**2


def picture(mask, colour=RED, seed=0):
    """A coloured object on grey ground, both a little noisy."""
    noise = np.random.default_rng(seed).integers(-12, 13, (*mask.shape, 3))
    return (np.where(mask[..., None], colour, 190) + noise).astype(np.uint8)


def plain(height=90, width=120, seed=0):
    return picture(np.zeros((height, width), dtype=bool), seed=seed)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}


@pytest.fixture
def recipe(tmp_path):
    """Two categories of discs, one near VOC's, and two photographs to paste on."""
    for name, colour in {"ball": RED, "plate": BLUE, "airplanes": GREEN}.items():
        for seed in range(6):
            mask = disc(radius=20 + seed)
            save(tmp_path / "objects" / name / f"{seed}.jpg", picture(mask, colour, seed))
    for seed in range(2):
        save(tmp_path / "grounds" / f"{seed}.JPEG", plain(70, 60, seed))
    return CompositeRecipe(
        objects=tmp_path / "objects",
        backgrounds=[tmp_path / "grounds"],
        leave_out=(),
        per_class=3,
        cutouts_per_class=14,
        side=65,
        seed=0,
    )


@pytest.fixture
def ingredients(tmp_path):
    """A red category, a blue one that only ever distracts, and a grey background."""
    shape = disc(60, 60, radius=28)
    solid = {"red": RED, "blue": BLUE}
    pairs = {
        name: [write_pair(tmp_path / name, np.full((60, 60, 3), colour, np.uint8), shape)]
        for name, colour in solid.items()
    }
    save(tmp_path / "ground.png", np.full((50, 70, 3), 128, np.uint8))
    return Ingredients(pairs, [tmp_path / "ground.png"], side=129)


def is_colour(image, channel):
    """Where a channel stands out, whatever the colour jitter and the JPEG."""
    others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    return image[..., channel] > others + 40


# Cutting out


def test_a_disc_on_plain_ground_is_cut_out():
    truth = disc()
    mask = central_object(picture(truth))
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9


@pytest.mark.parametrize(
    "photograph",
    [
        plain(),
        np.full((90, 120, 3), 7, np.uint8),
        picture(disc(radius=4)),
        picture(disc(centre=(0.2, 0.2), radius=16)),
        picture(disc(radius=80)),
        plain(3, 200),
        plain(1, 1),
    ],
    ids=["noise", "one colour", "tiny", "off-centre", "everywhere", "narrow", "pixel"],
)
def test_a_photograph_without_an_object_in_its_middle_gives_none(photograph):
    assert central_object(photograph) is None


def test_a_photograph_has_one_answer_whatever_was_cut_before():
    photograph = np.array(picture(disc()) // 2 + picture(disc(radius=35), GREEN) // 2)
    first = central_object(photograph)
    central_object(picture(disc(), BLUE))
    assert_array_equal(central_object(photograph), first)


def test_cutouts_are_cropped_to_their_objects_and_no_more_than_asked_for(recipe, tmp_path):
    written = write_cutouts(recipe.objects / "ball", tmp_path / "cut", limit=4, seed=0)
    assert [path.name for path in written] == ["000.jpg", "001.jpg", "002.jpg", "003.jpg"]
    for path in written:
        mask = np.array(open_image(path.with_suffix(".png")))
        assert open_image(path).size == mask.shape[::-1]
        assert all(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
        assert set(np.unique(mask)) == {0, 255}


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_file(), reason="needs the unlabelled photographs")
def test_most_photographs_of_caltech_101_show_an_object_that_can_be_cut(tmp_path):
    with tarfile.open(PHOTOS) as archive:
        wanted = (member for member in archive if "/accordion/" in member.name and member.isfile())
        archive.extractall(tmp_path, list(islice(wanted, 12)), filter="data")
    folder = tmp_path / "caltech101" / "accordion"
    assert len(write_cutouts(folder, tmp_path / "cut", limit=12, seed=0)) >= 6


# Composites


def test_the_mask_is_the_object_and_never_a_distractor(ingredients):
    distractors = 0
    for seed in range(20):
        image, mask = ingredients.compose("red", random.Random(seed))
        red, blue = is_colour(image, 0), is_colour(image, 2)
        assert image.shape == (129, 129, 3)
        assert (red & mask).sum() / (red | mask).sum() > 0.9
        assert not (blue & mask).any()
        distractors += blue.any()
    assert 5 <= distractors < 20


def test_a_lone_category_has_no_distractors(ingredients):
    alone = Ingredients(
        {"red": ingredients.cutouts["red"]}, ingredients.backgrounds, ingredients.side
    )
    assert not any(
        is_colour(alone.compose("red", random.Random(seed))[0], 2).any() for seed in range(10)
    )


def test_objects_are_of_many_sizes_and_none_is_invisible(ingredients):
    shares = [ingredients.compose("red", random.Random(seed))[1].mean() for seed in range(60)]
    assert 0.01 < min(shares) < 0.08
    assert max(shares) > 0.4


# The data set


def test_composites_are_a_data_set_of_the_plain_folder_layout(recipe, tmp_path):
    main(recipe, tmp_path / "out", processes=1)
    dataset = image_folder(tmp_path / "out")
    assert dataset.classes == ("ball", "plate")
    assert len(dataset.samples) == 6
    for index, sample in enumerate(dataset.samples):
        (class_id,) = sample.class_ids
        image, label = dataset.load(index, class_id)
        assert image.shape == (65, 65, 3)
        assert set(np.unique(label)) == {0, 1}
        assert open_image(sample.annotation).mode == "L"


@pytest.mark.slow
def test_the_files_depend_on_the_seed_and_not_on_the_number_of_workers(recipe, tmp_path):
    for name, seed, processes in (("one", 0, 1), ("two", 0, 2), ("other", 1, 2)):
        main(replace(recipe, seed=seed), tmp_path / name, processes)
    one, two, other = (files(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)


def test_a_killed_run_is_repeated_and_leaves_nothing_behind(recipe, tmp_path):
    save(tmp_path / ".out.unfinished" / "composites" / "ball" / "000.jpg", plain())
    save(tmp_path / ".out.unfinished" / "composites" / "stale" / "000.jpg", plain())
    main(recipe, tmp_path / "out", processes=1)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"ball", "plate"}
    assert not (tmp_path / ".out.unfinished").exists()


def test_a_category_with_few_cutouts_is_left_out_and_named(recipe, tmp_path, capsys):
    for path in sorted((recipe.objects / "plate").iterdir())[:2]:
        path.unlink()
    main(recipe, tmp_path / "out", processes=1)
    assert image_folder(tmp_path / "out").classes == ("ball",)
    assert "Left out, with fewer than 5 cut-outs: plate" in capsys.readouterr().out


# Categories


def test_categories_near_vocs_classes_are_left_out(tmp_path):
    near = [name for names in CALTECH_101.values() for name in names]
    for name in [*near, *NO_OBJECTS, "anchor", "barrel", "watch"]:
        save(tmp_path / name / "1.jpg", plain())
    (tmp_path / "empty").mkdir()
    assert list_categories(tmp_path) == ["anchor", "barrel", "watch"]
    assert list_categories(tmp_path, ["barrel", "Faces"]) == ["anchor", "watch"]


def test_every_reason_to_leave_a_category_out_is_a_class_of_voc():
    assert set(CALTECH_101) | set(IMAGENET_THINGS) <= set(CLASSES)


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("n02099601_golden_retriever.JPEG", True),
        ("n04285008_sports_car.JPEG", True),
        ("n01443537_goldfish.JPEG", False),
        ("image_0001.jpg", False),
    ],
)
def test_a_background_that_imagenet_labels_with_a_class_of_voc_is_left_out(name, left_out):
    assert shows_voc(Path(name)) == left_out


def test_backgrounds_that_all_show_classes_of_voc_are_refused(recipe, tmp_path):
    backgrounds = tmp_path / "backgrounds"
    save(backgrounds / "n02099601_golden_retriever.jpg", plain())
    with pytest.raises(DatasetError, match="every background shows a class of VOC"):
        main(dataclasses.replace(recipe, backgrounds=[backgrounds]), tmp_path / "out")


def test_an_unknown_category_to_leave_out_is_named(recipe):
    with pytest.raises(ConfigError, match="no category 'bell' to leave out"):
        list_categories(recipe.objects, ["bell"])


# The command and its errors


def composites(recipe, out, *more):
    folders = ["--objects", recipe.objects, "--backgrounds", recipe.backgrounds[0], "--out", out]
    arguments = ["composites", *folders, "--per-class", 2, "--side", 64, *more]
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def test_the_command_makes_the_folder_and_says_what_is_in_it(recipe, tmp_path):
    result = composites(recipe, tmp_path / "out", "--leave-out", "plate", "--cutouts-per-class", 2)
    assert (result.exit_code, result.exception) == (0, None)
    assert "out: 2 composites of each of 1 categories" in result.stdout
    assert files(tmp_path / "out").keys() == {
        f"ball/{name}" for name in ("000.jpg", "000.png", "001.jpg", "001.png")
    }


def test_a_folder_that_is_there_is_never_written_to(recipe, tmp_path):
    result = composites(recipe, recipe.backgrounds[0])
    assert (result.exit_code, "is there already; remove it" in result.stderr) == (1, True)


def test_folders_without_photographs_are_named(recipe, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty holds no photographs"):
        main(replace(recipe, backgrounds=[tmp_path / "empty"]), tmp_path / "out")
    with pytest.raises(DatasetError, match=r"empty holds no categories .* CLASS/NAME\.jpg"):
        main(replace(recipe, objects=tmp_path / "empty"), tmp_path / "out")


def test_photographs_without_objects_are_an_error_and_nothing_is_made(recipe, tmp_path):
    for seed in range(5):
        save(tmp_path / "empty-handed" / "ball" / f"{seed}.jpg", plain(seed=seed))
    with pytest.raises(DatasetError, match=r"no category of .*empty-handed gave 5 cut-outs"):
        main(replace(recipe, objects=tmp_path / "empty-handed"), tmp_path / "out", processes=1)
    assert not (tmp_path / "out").exists()


def test_a_broken_photograph_is_named(recipe, tmp_path):
    (recipe.objects / "ball" / "3.jpg").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"ball.3\.jpg is not an image"):
        main(recipe, tmp_path / "out", processes=1)
