"""PASCAL VOC layout and the four folds of PASCAL-5i (SG-One Table 1)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.datasets.listing import Sample, SegmentationDataset, open_image
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
FOLDS = 4


def fold_classes(fold: int) -> tuple[int, ...]:
    """The five class ids (from 0) that fold 0 to 3 tests on; the other fifteen train."""
    if not 0 <= fold < FOLDS:
        raise DatasetError(f"fold is {fold}; PASCAL-5i has folds 0 to 3")
    return tuple(range(5 * fold, 5 * fold + 5))


def pascal_voc(root: Path, list_file: Path) -> SegmentationDataset:
    """``JPEGImages/ID.jpg`` and ``SegmentationClass/ID.png`` (indices 1 to 20, void 255).

    ``list_file`` holds one ID a line. Every mask is read once, to know its classes.
    """
    if not list_file.is_file():
        raise DatasetError(f"{list_file} is missing; give a file with one image id a line")
    samples = []
    for name in list_file.read_text().split():
        annotation = root / "SegmentationClass" / f"{name}.png"
        present = np.bincount(_indices(annotation).ravel(), minlength=256).nonzero()[0]
        class_ids = frozenset(int(index) - 1 for index in present if index not in (0, VOID))
        samples.append(Sample(root / "JPEGImages" / f"{name}.jpg", annotation, class_ids))
    return SegmentationDataset(CLASSES, tuple(samples), read_label)


def read_label(annotation: Path, class_id: int) -> NDArray[np.uint8]:
    """The class's pixels 1, void VOID, all other classes and the background 0."""
    indices = _indices(annotation)
    label: NDArray[np.uint8] = (indices == class_id + 1).astype(np.uint8)
    label[indices == VOID] = VOID
    return label


def _indices(annotation: Path) -> NDArray[np.uint8]:
    image = open_image(annotation)
    indices: NDArray[np.uint8] = np.array(image)
    if image.mode not in ("P", "L") or np.any((indices > len(CLASSES)) & (indices != VOID)):
        raise DatasetError(
            f"{annotation} is no VOC class mask; it must be an indexed PNG with 0 to 20 and 255"
        )
    return indices
