"""A training set of many classes out of photographs without masks: objects pasted elsewhere.

A metric that is learned from VOC's 15 training classes fits those classes. An object of any
category, cut out and pasted on another photograph, has an exact mask and no habitual surroundings
("Cut, Paste and Learn", Dwibedi et al. 2017).
"""

import os
import random
import shutil
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from tqdm import tqdm

from model.composites.cutouts import list_categories, list_photographs, write_cutouts, write_pair
from model.composites.near_voc import shows_voc
from model.datasets.listing import open_image
from model.episode import ObjectMask, Photograph
from model.errors import DatasetError
from model.images.pixels import photograph_pixels

LEAST_CUTOUTS = 5
"""A category with fewer is left out: its composites would show the same few objects."""
DISTRACTORS = (0, 1, 1, 2)
"""How many objects of other categories lie behind the object: one of these is drawn."""
DISTRACTOR_SIZE = (0.25, 0.7)
OBJECT_SIZE = (0.25, 0.95)
"""Range of an object's longest side, as a share of the composite's."""

Product = TypeVar("Product")


@dataclass(frozen=True)
class CompositeRecipe:
    """What to make composites of, and how many.

    ``objects`` has a folder of object-centred photographs for each category; those in ``leave_out``
    are not used, nor those that ``list_categories`` leaves out. Composites have ``side`` × ``side``
    pixels.
    """

    objects: Path
    backgrounds: Sequence[Path]
    leave_out: Collection[str]
    per_class: int
    cutouts_per_class: int
    side: int
    seed: int


@dataclass(frozen=True)
class Ingredients:
    """What composites of ``side`` × ``side`` pixels are made of.

    ``cutouts`` are by category the photographs that ``write_cutouts`` wrote.
    """

    cutouts: Mapping[str, Sequence[Path]]
    backgrounds: Sequence[Path]
    side: int

    def compose(self, category: str, rng: random.Random) -> tuple[Photograph, ObjectMask]:
        """-> (side, side, 3) and (side, side): what is seen of the category's object.

        It lies above the distractors, and reaches over an edge by a sixth of its length at most
        unless it is larger than the composite.
        """
        canvas = _background(rng.choice(self.backgrounds), self.side, rng)
        others = [name for name in self.cutouts if name != category]
        for _ in range(rng.choice(DISTRACTORS) if others else 0):
            distractor = rng.choice(self.cutouts[rng.choice(others)])
            _paste(canvas, distractor, DISTRACTOR_SIZE, rng)
        mask = _paste(canvas, rng.choice(self.cutouts[category]), OBJECT_SIZE, rng)
        return np.asarray(canvas), mask


def main(recipe: CompositeRecipe, out: Path, processes: int | None = None) -> None:
    """Make the folder ``out``, ``CLASS/NAME.jpg`` + ``NAME.png``; it appears once it is complete.

    A recipe gives the same files whatever the number of ``processes`` (None: one a core).
    DatasetError where photographs are missing, broken or show no objects, or where ``out`` is there
    already.
    """
    if out.exists():
        raise DatasetError(f"{out} is there already; remove it, or name another folder")
    categories = list_categories(recipe.objects, recipe.leave_out)
    photographs = (path for folder in recipe.backgrounds for path in list_photographs(folder))
    backgrounds = [path for path in photographs if not shows_voc(path)]
    if not backgrounds:
        raise DatasetError("every background shows a class of VOC; name other photographs")
    unfinished = out.with_name(f".{out.name}.unfinished")
    if unfinished.exists():  # a run was killed
        shutil.rmtree(unfinished)
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin_process)
    try:
        cut = partial(_cut, recipe, unfinished / "cutouts")
        cutouts = _enough(recipe, _for_each(categories, pool, cut, "Cutting out"))
        ingredients = Ingredients(cutouts, backgrounds, recipe.side)
        compose = partial(_compose, recipe, ingredients, unfinished / "composites")
        _for_each(list(cutouts), pool, compose, "Pasting")
    finally:
        pool.shutdown(cancel_futures=True)
    (unfinished / "composites").rename(out)
    shutil.rmtree(unfinished)
    print(f"{out}: {recipe.per_class} composites of each of {len(cutouts)} categories")


def _begin_process() -> None:
    """OpenCV computes in one thread; another thread ends this process when the command is killed.

    A terminal sends Ctrl-C to this process as well; the command answers it. A process left behind
    would write among the files of the next run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _for_each(
    categories: Sequence[str],
    pool: ProcessPoolExecutor,
    work: Callable[[str], Product],
    caption: str,
) -> dict[str, Product]:
    results = tqdm(pool.map(work, categories), caption, len(categories), unit="category")
    return dict(zip(categories, results, strict=True))


def _cut(recipe: CompositeRecipe, folder: Path, category: str) -> list[Path]:
    source, target = recipe.objects / category, folder / category
    return write_cutouts(source, target, recipe.cutouts_per_class, recipe.seed)


def _enough(
    recipe: CompositeRecipe, cutouts: Mapping[str, Sequence[Path]]
) -> dict[str, Sequence[Path]]:
    """The categories that are worth composites; the others are named to the user."""
    least = min(LEAST_CUTOUTS, recipe.cutouts_per_class)
    enough = {name: paths for name, paths in cutouts.items() if len(paths) >= least}
    if not enough:
        raise DatasetError(
            f"no category of {recipe.objects} gave {least} cut-outs; "
            "a photograph must show one object, in the middle"
        )
    if few := sorted(set(cutouts) - set(enough)):
        tqdm.write(f"Left out, with fewer than {least} cut-outs: {', '.join(few)}")
    return enough


def _compose(
    recipe: CompositeRecipe, ingredients: Ingredients, folder: Path, category: str
) -> None:
    """Draws from the seed and the category's name alone, so that no category waits for another."""
    rng = random.Random(f"{recipe.seed} {category}")
    (folder / category).mkdir(parents=True)
    for number in range(recipe.per_class):
        write_pair(folder / category / f"{number:03d}", *ingredients.compose(category, rng))


def _background(path: Path, side: int, rng: random.Random) -> Image.Image:
    """Six tenths or more of a photograph's width and height, squeezed to a square."""
    photograph = Image.fromarray(photograph_pixels(open_image(path)))
    share = rng.uniform(0.6, 1)
    width, height = (max(1, int(length * share)) for length in photograph.size)
    left, top = rng.randint(0, photograph.width - width), rng.randint(0, photograph.height - height)
    box = (left, top, left + width, top + height)
    return photograph.resize((side, side), Image.Resampling.BICUBIC, box)


def _paste(
    canvas: Image.Image, cutout: Path, size: tuple[float, float], rng: random.Random
) -> ObjectMask:
    """Paste a cut-out on the canvas, in place -> the canvas's (H, W), where it is opaque."""
    length = rng.uniform(*size) * canvas.width
    image, mask = open_image(cutout), open_image(cutout.with_suffix(".png"))
    image, mask = _distort(image, mask, length, rng)
    left, top = (
        rng.randint(-extent // 6, max(1, side - extent + extent // 6))
        for side, extent in zip(canvas.size, mask.size, strict=True)
    )
    canvas.paste(image, (left, top), mask)
    alpha = Image.new("L", canvas.size)
    alpha.paste(mask, (left, top))
    return np.asarray(alpha) > 127


def _distort(
    image: Image.Image, mask: Image.Image, length: float, rng: random.Random
) -> tuple[Image.Image, Image.Image]:
    """Scale to about ``length`` pixels, colour, stretch, mirror and turn; feather the mask."""
    scale, stretch = length / max(image.size), rng.uniform(0.85, 1.18)
    width, height = image.width * scale * stretch, image.height * scale / stretch
    size = (max(6, int(width)), max(6, int(height)))
    image = _jitter(image.resize(size, Image.Resampling.BICUBIC), rng)
    mask = mask.resize(size, Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        image, mask = ImageOps.mirror(image), ImageOps.mirror(mask)
    if rng.random() < 0.3:
        angle = rng.uniform(-25, 25)
        image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        mask = mask.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    return image, mask.filter(ImageFilter.GaussianBlur(1))


def _jitter(image: Image.Image, rng: random.Random) -> Image.Image:
    """Brightness, contrast and saturation change by up to 0.3, hue by up to 0.05 of its circle."""
    for enhancement in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancement(image).enhance(rng.uniform(0.7, 1.3))
    hue, saturation, value = image.convert("HSV").split()
    turn = round(rng.uniform(-0.05, 0.05) * 256)
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
