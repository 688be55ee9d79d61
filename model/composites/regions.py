"""A training set of parts, materials and textures: regions of photographs in varied views.

A head that is trained on whole objects marks whole objects, whatever it was shown: on photographs
of clothes it marks the person. A region of a photograph is whatever has one colour (mean shift and
a flood), or one colour and place (k-means in Lab); in pictures with masks a region is a part of the
object. Its mask alone tells which part is meant, and where it is in any view is known.
"""

import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.composites.cutouts import list_photographs, write_pair
from model.composites.near_voc import shows_voc
from model.composites.variation import Variation
from model.datasets.listing import open_image
from model.episode import ObjectMask, Photograph
from model.errors import DatasetError
from model.images.masks import read_mask
from model.images.pixels import photograph_pixels

AREA = (0.006, 0.45)
"""Shares of the photograph between which a region lies."""
SEEN = 0.003
"""Least share of a view in which a region is seen; a region needs two views that show it."""
ALIKE = 0.7
"""IoU above which a region is one that there is already."""
FLOODS = 6
"""Seeds of floods a photograph."""
CLUSTERS, OBJECT_CLUSTERS = (3, 5, 8), (2, 3, 4)
"""Of colours and places, in a photograph and in an object: one of these numbers is drawn."""
PART = (0.1, 0.85)
"""Shares of its object between which a part lies."""
CONTRAST, RING = 10.0, 9
"""Levels of colour by which a region differs from a ring of so many pixels around it."""
COMPONENT = 0.15
"""Parts smaller than this share of a region's largest are dropped."""


@dataclass(frozen=True)
class RegionPlan:
    """Which photographs regions are cut from, and how many from each.

    ``objects`` are folders of ``CLASS/NAME.jpg`` + ``NAME.png``, whose objects are taken apart.
    ``limit`` is of photographs, and of objects. ``per_photograph`` regions at most, each seen in
    the photograph and ``views`` variations of it. Photographs that ImageNet labels with a class of
    VOC's are left out. All have ``side`` pixels.
    """

    photographs: Sequence[Path]
    objects: Sequence[Path]
    limit: int
    per_photograph: int
    views: int
    side: int
    seed: int


def main(plan: RegionPlan, out: Path) -> None:
    """Make the folder ``out``, ``REGION/NAME.jpg`` + ``NAME.png``; it appears once it is complete.

    DatasetError where photographs are missing or show no regions, or where ``out`` is there.
    """
    if out.exists():
        raise DatasetError(f"{out} is there already; remove it, or name another folder")
    paths = [*_chosen(plan), *_chosen_objects(plan)]
    unfinished = out.with_name(f".{out.name}.unfinished")
    if unfinished.exists():  # a run was killed
        shutil.rmtree(unfinished)
    written = sum(
        _write(path, paths, plan, unfinished) for path in tqdm(paths, "Regions", unit="photograph")
    )
    if not written:
        raise DatasetError("no photograph shows a region that is worth a view; name other ones")
    unfinished.rename(out)
    print(f"{out}: {written} regions of {len(paths)} photographs")


def _chosen(plan: RegionPlan) -> list[Path]:
    paths = [path for folder in plan.photographs for path in list_photographs(folder)]
    paths = [path for path in paths if not shows_voc(path)]
    if not paths:
        raise DatasetError("every photograph shows a class of VOC; name other ones")
    order = np.random.default_rng(plan.seed).permutation(len(paths))
    return [paths[index] for index in order[: plan.limit]]


def _chosen_objects(plan: RegionPlan) -> list[Path]:
    """Pictures with a mask beside them; DatasetError where a folder has none."""
    paths: list[Path] = []
    for root in plan.objects:
        pairs = sorted(path for path in root.glob("*/*.jpg") if path.with_suffix(".png").is_file())
        if not pairs:
            raise DatasetError(
                f"{root} holds no CLASS/NAME.jpg with NAME.png; see sgone composites"
            )
        paths += pairs
    order = np.random.default_rng(plan.seed).permutation(len(paths))
    return [paths[index] for index in order[: plan.limit]]


def _write(path: Path, paths: Sequence[Path], plan: RegionPlan, folder: Path) -> int:
    """All regions of one photograph -> how many; drawn from the seed and its name alone."""
    name = f"{path.parent.name}-{path.stem}"
    rng = np.random.default_rng((plan.seed, zlib.crc32(name.encode())))
    photograph = _square(path, plan.side)
    mask = path.with_suffix(".png")
    object_ = _square_mask(mask, plan.side) if mask.is_file() else None
    regions = find_regions(photograph, plan.per_photograph, rng, object_)
    if not regions:
        return 0
    labels = np.stack(regions).astype(np.uint8)
    views = [(photograph, labels)]
    for _ in range(plan.views):
        around = _square(paths[int(rng.integers(len(paths)))], plan.side)
        views.append(
            Variation.draw(np.asarray(labels.any(axis=0)), rng).of(photograph, labels, around)
        )
    return sum(
        _write_region(folder / f"{name}-{number}", [(image, seen[number]) for image, seen in views])
        for number in range(len(regions))
    )


def _write_region(folder: Path, views: Sequence[tuple[Photograph, NDArray[np.uint8]]]) -> bool:
    """Whether it is seen in enough views to be a class of its own."""
    seen = [(image, mask > 0) for image, mask in views if mask.mean() > SEEN]
    if len(seen) < 2:
        return False
    folder.mkdir(parents=True)
    for number, (image, mask) in enumerate(seen):
        write_pair(folder / str(number), image, mask)
    return True


def find_regions(
    photograph: Photograph,
    limit: int,
    rng: np.random.Generator,
    object_: ObjectMask | None = None,
) -> list[ObjectMask]:
    """(H, W, 3) -> at most ``limit`` regions, each (H, W); they may overlap, and be of any size.

    Of an ``object_``, (H, W), parts.
    """
    kept: list[ObjectMask] = []
    candidates = _candidates(photograph, rng)
    if object_ is not None:
        candidates = _parts(photograph, object_, rng)
    for candidate in candidates:
        region = _tidy(candidate)
        if not AREA[0] < region.mean() < AREA[1] or not _stands_out(region, photograph):
            continue
        if not any(_alike(region, one) for one in kept):
            kept.append(region)
        if len(kept) == limit:
            break
    return kept


def _candidates(photograph: Photograph, rng: np.random.Generator) -> Iterator[ObjectMask]:
    """Floods and clusters in turn, so that a limit leaves some of each."""
    floods, clusters = list(_floods(photograph, rng)), list(_clusters(photograph, rng))
    for index in range(max(len(floods), len(clusters))):
        yield from floods[index : index + 1]
        yield from clusters[index : index + 1]


def _parts(
    photograph: Photograph, object_: ObjectMask, rng: np.random.Generator
) -> Iterator[ObjectMask]:
    """Clusters of an object's own colours and places, few and many."""
    whole = object_.sum()
    for _ in range(2):
        for part in _clusters(photograph, rng, object_):
            if PART[0] * whole < part.sum() < PART[1] * whole:
                yield part


def _floods(photograph: Photograph, rng: np.random.Generator) -> Iterator[ObjectMask]:
    """Mean shift (Comaniciu & Meer 2002) levels textures; what is like a seed is taken with it."""
    levelled = cv2.pyrMeanShiftFiltering(photograph, 10, int(rng.integers(14, 36)), maxLevel=1)
    height, width = photograph.shape[:2]
    for _ in range(FLOODS):
        seed = int(rng.integers(width)), int(rng.integers(height))
        reach = (int(rng.integers(4, 14)),) * 3
        fixed = cv2.FLOODFILL_FIXED_RANGE if rng.random() < 0.5 else 0
        mask = np.zeros((height + 2, width + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8) | fixed
        cv2.floodFill(levelled.copy(), mask, seed, (0, 0, 0), reach, reach, flags)
        yield mask[1:-1, 1:-1] > 0


def _clusters(
    photograph: Photograph, rng: np.random.Generator, object_: ObjectMask | None = None
) -> Iterator[ObjectMask]:
    """k-means of Lab colours and places, on blurred pixels, of all or of an object's.

    A cluster may be of several parts.
    """
    count = int(rng.choice(CLUSTERS if object_ is None else OBJECT_CLUSTERS))
    lab = cv2.cvtColor(cv2.GaussianBlur(photograph, (0, 0), 3), cv2.COLOR_RGB2LAB)
    rows, columns = np.mgrid[: lab.shape[0], : lab.shape[1]].astype(np.float32)
    places = np.stack([rows / len(rows), columns / len(rows)], axis=-1) * float(rng.uniform(0, 60))
    cells = np.concatenate([lab.astype(np.float32), places], axis=-1).reshape(-1, 5)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 8, 0.5)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    own = cells if object_ is None else cells[object_.ravel()]
    sampled = np.ascontiguousarray(own[::7].astype(np.float32))
    if len(sampled) < count:
        return
    _, _, centres = cv2.kmeans(sampled, count, np.empty(0), stop, 1, cv2.KMEANS_PP_CENTERS)
    distances = ((cells[:, None] - centres[None]) ** 2).sum(axis=-1)
    nearest = distances.argmin(axis=1).reshape(lab.shape[:2])
    for cluster in range(count):
        chosen = nearest == cluster
        yield chosen if object_ is None else chosen & object_


def _tidy(region: ObjectMask) -> ObjectMask:
    """Drop specks and small parts, and fill holes."""
    opened = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(closed)
    areas = statistics[1:, cv2.CC_STAT_AREA]  # part 0 is the background
    large = np.arange(1, count)[areas >= COMPONENT * areas.max(initial=0)]
    return np.isin(parts, large)


def _stands_out(region: ObjectMask, photograph: Photograph) -> bool:
    """Whether its border is one that can be seen, not where a cluster of places ends."""
    ring = cv2.dilate(region.astype(np.uint8), np.ones((2 * RING + 1,) * 2, np.uint8)) > 0
    ring &= ~region
    if not ring.any():
        return False
    difference = photograph[region].mean(axis=0) - photograph[ring].mean(axis=0)
    return float(np.abs(difference).max()) > CONTRAST


def _alike(first: ObjectMask, second: ObjectMask) -> bool:
    return float((first & second).sum()) > ALIKE * float((first | second).sum())


def _square(path: Path, side: int) -> Photograph:
    photograph = photograph_pixels(open_image(path))
    return np.asarray(cv2.resize(photograph, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _square_mask(path: Path, side: int) -> ObjectMask:
    mask = read_mask(open_image(path)).mask
    small = cv2.resize(mask.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small > 0)
