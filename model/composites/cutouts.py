"""Objects cut out of object-centred photographs without masks, by GrabCut (Rother et al. 2004).

Caltech-101 (Fei-Fei et al. 2004) is such a collection: ``CLASS/*.jpg``, an object in the middle of
each photograph. Its categories that an evaluation on PASCAL-5i must not meet are left out
(``near_voc``).
"""

import random
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike
from PIL import Image

from model.composites.near_voc import CALTECH_101
from model.datasets.folder import PHOTOGRAPH_SUFFIXES, photographs_in
from model.datasets.leftovers import is_leftover
from model.datasets.listing import open_image
from model.episode import ObjectMask, Photograph
from model.errors import ConfigError, DatasetError
from model.images.pixels import photograph_pixels

NO_OBJECTS = ("BACKGROUND_Google", "brain", "ceiling_fan", "yin_yang")
"""Photographs of anything, drawings, and a thing of which GrabCut finds single blades."""

GRABCUT_SIDE = 100
"""Pixels of the longest side that GrabCut sees: its time grows with the area."""
ITERATIONS = 3
BORDER = 0.04
"""Share of a side that is background for sure, at each end."""
CORNER = 0.12
"""Share of a side that is background until GrabCut finds otherwise, in each corner."""
COMPONENT = 0.15
"""Parts smaller than this share of the largest one are dropped."""
AREA = (0.06, 0.8)
"""Shares of the photograph between which an object lies; beyond, something else was found."""
CENTRE = 0.25
"""Least share of object in the photograph's middle, which is half as wide and half as high."""


def list_categories(root: Path, leave_out: Collection[str] = ()) -> list[str]:
    """Names of the sub-folders with photographs, without ``CALTECH_101``, ``NO_OBJECTS``, others.

    ConfigError for an unknown name in ``leave_out``, DatasetError where no category is left.
    """
    folders = sorted(root.iterdir()) if root.is_dir() else []
    names = [folder.name for folder in folders if _holds_category(folder)]
    for name in leave_out:
        if name not in names:
            raise ConfigError(
                f"there is no category {name!r} to leave out; {root} has {', '.join(names)}"
            )
    without = {*chain(*CALTECH_101.values()), *NO_OBJECTS, *leave_out}
    categories = [name for name in names if name not in without]
    if not categories:
        raise DatasetError(f"{root} holds no categories to cut from; lay it out as CLASS/NAME.jpg")
    return categories


def list_photographs(folder: Path) -> list[Path]:
    """The photographs right in a folder, in the order of names; DatasetError if there are none."""
    photographs = _photographs(folder) if folder.is_dir() else []
    if not photographs:
        raise DatasetError(f"{folder} holds no photographs; name a folder of JPEG or PNG files")
    return photographs


def write_cutouts(source: Path, target: Path, limit: int, seed: int) -> list[Path]:
    """Cut at most ``limit`` objects of one category, from its photographs in a random order.

    Each is cropped to its object and written by ``write_pair``; -> the photographs written.
    """
    target.mkdir(parents=True)
    paths = list_photographs(source)
    random.Random(f"{seed} {source.name}").shuffle(paths)
    return [
        write_pair(target / f"{number:03d}", photograph, mask)
        for number, (photograph, mask) in enumerate(islice(_objects(paths), limit))
    ]


def write_pair(stem: Path, photograph: Photograph, mask: ObjectMask) -> Path:
    """Write STEM.png (grey, 0 and 255) and STEM.jpg, as ``model.datasets.folder`` reads them."""
    Image.fromarray(mask.astype(np.uint8) * 255).save(stem.with_suffix(".png"))
    path = stem.with_suffix(".jpg")
    Image.fromarray(photograph).save(path, quality=95)
    return path


def central_object(photograph: Photograph) -> ObjectMask | None:
    """(H, W, 3) -> (H, W), or None where nothing that GrabCut finds is an object in the middle.

    A photograph has one answer: the random numbers of OpenCV's clustering start anew.
    """
    height, width = photograph.shape[:2]
    scale = GRABCUT_SIDE / max(height, width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    mask = _tidy(_grab_cut(cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)))
    if not _is_object(mask):
        return None
    soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft > 0.5)


def _photographs(folder: Path) -> list[Path]:
    return photographs_in(folder, PHOTOGRAPH_SUFFIXES | {".png"})


def _holds_category(folder: Path) -> bool:
    return folder.is_dir() and not is_leftover(folder) and bool(_photographs(folder))


def _objects(paths: Sequence[Path]) -> Iterator[tuple[Photograph, ObjectMask]]:
    for path in paths:
        photograph = photograph_pixels(open_image(path))
        mask = central_object(photograph)
        if mask is not None:
            rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            yield photograph[box], mask[box]


def _grab_cut(photograph: MatLike) -> MatLike:
    """(h, w, 3) -> (h, w) in {0, 1}, empty where the photograph is too narrow to hold an object."""
    cv2.setRNGSeed(0)
    trimap = _trimap(*photograph.shape[:2])
    colours, no_box = (np.zeros((1, 65)), np.zeros((1, 65))), (0, 0, 0, 0)
    try:
        cv2.grabCut(photograph, trimap, no_box, *colours, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return np.zeros_like(trimap)
    return np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _trimap(height: int, width: int) -> MatLike:
    """(h, w) of GrabCut's labels: background at the border, perhaps in the corners, else object."""
    trimap = np.full((height, width), cv2.GC_PR_FGD, np.uint8)
    top, left = int(CORNER * height), int(CORNER * width)
    for rows in (slice(top), slice(height - top, None)):
        for columns in (slice(left), slice(width - left, None)):
            trimap[rows, columns] = cv2.GC_PR_BGD
    top, left = max(2, int(BORDER * height)), max(2, int(BORDER * width))
    trimap[:top] = trimap[-top:] = trimap[:, :left] = trimap[:, -left:] = cv2.GC_BGD
    return trimap


def _tidy(mask: MatLike) -> MatLike:
    """(h, w) in {0, 1} -> the same without specks, small parts and holes."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(opened)
    areas = statistics[1:, cv2.CC_STAT_AREA]  # part 0 is the background
    large = np.arange(1, count)[areas >= COMPONENT * areas.max(initial=0)]
    kept = np.isin(parts, large).astype(np.uint8)
    return cv2.morphologyEx(kept, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))


def _is_object(mask: MatLike) -> bool:
    height, width = mask.shape
    middle = mask[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    return bool(AREA[0] < mask.mean() < AREA[1] and middle.mean() >= CENTRE)
