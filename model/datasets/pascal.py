"""PASCAL VOC 2012, with SBD's masks or without, and the four folds of PASCAL-5i."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from model.datasets.listing import (
    Sample,
    SegmentationDataset,
    Subset,
    open_image,
    read_all,
    read_lines,
)
from model.datasets.lookup import name_parts, spelled
from model.episode import VOID
from model.errors import DatasetError

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle",
    "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person",
    "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
PASCAL_5I = tuple(tuple(range(5 * fold, 5 * fold + 5)) for fold in range(4))
"""Test classes of each fold (Shaban et al. 2017; SG-One Table 1)."""

_NAMED = re.compile(r"(?P<id>((?!__)[^\s/])+)(__(?P<index>0?[1-9]|1\d|20))?")
_PAIRED = re.compile(r"(?P<image>\S+\.jpe?g)\s+(?P<mask>\S+\.png)", re.IGNORECASE)


class ListedImage(NamedTuple):
    """An image of a list, for ``class_ids`` alone; where these are empty, for all in its mask."""

    image: Path
    annotation: Path
    class_ids: frozenset[int]


def pascal_voc(root: Path, list_file: Path) -> SegmentationDataset:
    """``JPEGImages/ID.jpg`` and the list's masks (indices 1 to 20, void 255).

    A line of the list is ``ID``; or ``ID__CC``, which asks for class CC (01 to 20) alone (HSNet);
    or ``JPEGImages/ID.jpg SegmentationClassAug/ID.png`` (OSLSM, PFENet). The mask of ``ID`` is
    ``SegmentationClassAug/ID.png``, or ``SegmentationClass/ID.png`` without that folder. Every mask
    is read once, to know its classes. ``labels.json`` in the root names other classes than VOC's.
    DatasetError names the line or file at fault.
    """
    listed: dict[tuple[Path, Path], frozenset[int]] = {}
    for line in read_lines(list_file):
        image, annotation, class_ids = _listed_image(root, list_file, line)
        listed[image, annotation] = listed.get((image, annotation), frozenset()) | class_ids
    classes = own_classes(root)
    read = partial(_sample, classes or CLASSES)
    samples = tuple(read_all(read, (ListedImage(*files, ids) for files, ids in listed.items())))
    if classes:
        return SegmentationDataset(classes, samples, read_label)
    return SegmentationDataset(CLASSES, samples, read_label, PASCAL_5I)


def own_classes(root: Path) -> tuple[str, ...]:
    """The names in ``labels.json``, a list from index 0 (the background) on; none without a file.

    DatasetError where it is no list of names, or has more than a mask can hold.
    """
    path = root / "labels.json"
    if not path.is_file():
        return ()
    try:
        names = TypeAdapter(list[str]).validate_json(path.read_bytes())
    except ValidationError as error:
        raise DatasetError(f"{path} is no JSON list of names") from error
    if not 2 <= len(names) <= VOID:
        raise DatasetError(f"{path} has {len(names)} names; a mask holds 2 to {VOID}")
    return tuple(names[1:])


def default_list(root: Path, subset: Subset) -> Path:
    """``lists/`` where there is one, else VOC's own ``ImageSets/Segmentation/``."""
    candidates = [root / folder / f"{subset}.txt" for folder in ("lists", "ImageSets/Segmentation")]
    for path in candidates:
        if path.is_file():
            return path
    raise DatasetError(f"{' and '.join(map(str, candidates))} are missing; name a list of images")


def read_label(sample: Sample, class_id: int) -> NDArray[np.uint8]:
    """The class's pixels 1, void VOID, all other classes and the background 0."""
    indices = np.array(open_image(sample.annotation))
    label: NDArray[np.uint8] = (indices == class_id + 1).astype(np.uint8)
    label[indices == VOID] = VOID
    return label


def _listed_image(root: Path, list_file: Path, line: str) -> ListedImage:
    if paired := _PAIRED.fullmatch(line):
        return ListedImage(
            _located(root, paired["image"]), _located(root, paired["mask"]), frozenset()
        )
    named = _NAMED.fullmatch(line)
    if not named:
        raise DatasetError(
            f"{list_file} has the line {line!r}; a line is ID, ID__CC (CC from 01 to 20) "
            "or JPEGImages/ID.jpg SegmentationClassAug/ID.png"
        )
    augmented = root / "SegmentationClassAug"
    masks = augmented if augmented.is_dir() else root / "SegmentationClass"
    class_ids = frozenset({int(named["index"]) - 1} if named["index"] else ())
    name = named["id"]
    image, mask = root / "JPEGImages" / f"{name}.jpg", masks / f"{name}.png"
    return ListedImage(spelled(image) or image, spelled(mask) or mask, class_ids)


def _located(root: Path, name: str) -> Path:
    """A listed file, by its last folder where it is a path on another machine."""
    parts = name_parts(name)
    paths = [root.joinpath(*parts[dropped:]) for dropped in range(max(1, len(parts) - 1))]
    return next(filter(None, map(spelled, paths)), paths[-1])


def _sample(classes: Sequence[str], listed: ListedImage) -> Sample:
    present = _present(listed.annotation, len(classes))
    if absent := listed.class_ids - present:
        names = ", ".join(classes[class_id] for class_id in sorted(absent))
        raise DatasetError(f"{listed.annotation} holds no {names}, which its list asks for")
    class_ids = listed.class_ids or present
    return Sample(listed.image, listed.annotation, class_ids, present - class_ids)


def _present(annotation: Path, count: int) -> frozenset[int]:
    image = open_image(annotation)
    counts = image.histogram() if image.mode in ("P", "L") else ()
    if not counts or any(counts[count + 1 : VOID]):
        raise DatasetError(
            f"{annotation} is no VOC class mask; "
            f"it must be an indexed PNG with 0 to {count} and 255"
        )
    return frozenset(class_id for class_id in range(count) if counts[class_id + 1])
