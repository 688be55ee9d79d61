"""COCO, or any data set in its format, and the folds of COCO-20i and LVIS-92i."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.datasets.exports import choose_export
from model.datasets.instances import Scene, read_instances
from model.datasets.listing import Sample, SegmentationDataset, Subset
from model.datasets.lookup import find_photographs, name_parts
from model.episode import VOID
from model.errors import DatasetError

COCO_20I = tuple(tuple(range(fold, 80, 4)) for fold in range(4))
"""Test classes of each fold: every fourth of the 80, in the order of COCO's category ids.

The split of Nguyen & Todorovic 2019 (FWB), which PFENet (``use_split_coco``) and HSNet measure on.
"""
LVIS_CLASSES = 1203
"""Of LVIS v1; its file lists all of them, whether a photograph shows one or not."""
LVIS_FOLDS = 10


@dataclass(frozen=True)
class RegionLabels:
    """Reads labels from the regions of each photograph."""

    scenes: Mapping[Path, Scene]

    def __call__(self, sample: Sample, class_id: int) -> NDArray[np.uint8]:
        """Objects of the class 1, its crowds VOID, all else 0.

        A crowd of another class is background: COCO's own evaluation ignores crowds for their
        own category alone.
        """
        scene = self.scenes[sample.image]
        label = np.zeros(scene.size, np.uint8)
        label[scene.pixels(class_id, crowd=True)] = VOID
        label[scene.pixels(class_id, crowd=False)] = 1
        return label


def coco_instances(root: Path, annotations: Path) -> SegmentationDataset:
    """An instances file of COCO 2014, 2017 or a tool that exports their format.

    The photographs of ``instances_NAME.json`` lie beside it, in ``NAME/``, ``images/NAME/``,
    ``images/`` or ``data/``. Class ids are in the order of category ids; COCO's 80 have the folds
    of COCO-20i, those of LVIS v1 the folds of LVIS-92i.
    """
    classes, scenes = read_instances(annotations)
    paths = find_photographs(root, annotations, [scene.file_name for scene in scenes])
    by_path: dict[Path, Scene] = {}
    for path, scene in zip(paths, scenes, strict=True):
        earlier = by_path.setdefault(path, scene)
        if earlier is not scene:
            _unite(earlier, scene, annotations)
    samples = tuple(_sample(path, annotations, scene) for path, scene in by_path.items())
    folds = _folds(len(classes), samples)
    return SegmentationDataset(classes, samples, RegionLabels(by_path), folds)


def default_annotations(root: Path, subset: Subset) -> Path:
    """The one instances file of the subset, of whichever year, or a tool's export.

    DatasetError if there is not one.
    """
    patterns = (f"annotations/instances_{subset}*.json", f"lvis_v*_{subset}.json")
    found = [path for pattern in patterns for path in root.glob(pattern)]
    if not found:
        return choose_export(root, subset)
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(root)) for path in found)
        raise DatasetError(f"{root} holds {len(found)} files ({names}); name one as the list")
    return found[0]


def _folds(classes: int, samples: Sequence[Sample]) -> tuple[tuple[int, ...], ...]:
    """COCO-20i's; or LVIS-92i's (Liu et al. 2024, Matcher): every tenth class of those that two
    photographs show, 92 a fold of LVIS v1's validation set.
    """
    if classes == len(COCO_20I) * len(COCO_20I[0]):
        return COCO_20I
    if classes != LVIS_CLASSES:
        return ()
    counts = Counter(class_id for sample in samples for class_id in sample.class_ids)
    shown = sorted(class_id for class_id, count in counts.items() if count > 1)
    return tuple(tuple(shown[fold::LVIS_FOLDS]) for fold in range(LVIS_FOLDS))


def _unite(scene: Scene, other: Scene, annotations: Path) -> None:
    """Two entries of one photograph add up, as merged projects have them."""
    if name_parts(scene.file_name) != name_parts(other.file_name) or scene.size != other.size:
        raise DatasetError(
            f"{annotations} has two images of one photograph, {scene.file_name} of {scene.size} "
            f"and {other.file_name} of {other.size}; keep one of them"
        )
    scene.regions.extend(other.regions)


def _sample(path: Path, annotations: Path, scene: Scene) -> Sample:
    seen = frozenset(region.class_id for region in scene.regions)
    objects = frozenset(region.class_id for region in scene.regions if not region.crowd)
    return Sample(path, annotations, objects, seen - objects)
