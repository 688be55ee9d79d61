"""PerSeg (Zhang et al. 2024): ``Images/OBJECT/00.jpg`` and ``Annotations/OBJECT/00.png``."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.datasets.folder import photographs_in
from model.datasets.leftovers import is_leftover
from model.datasets.listing import Sample, SegmentationDataset, open_image
from model.datasets.lookup import spelled
from model.errors import DatasetError

IMAGES, ANNOTATIONS = "Images", "Annotations"


def perseg(root: Path) -> SegmentationDataset:
    """Each folder of ``Images`` is one object, a class of its own, in the order of names.

    The object is what is not black in the PNG of the photograph's name. DatasetError names what is
    missing.
    """
    folders = [
        folder
        for folder in sorted((root / IMAGES).iterdir())
        if folder.is_dir() and not is_leftover(folder)
    ]
    samples = tuple(
        Sample(image, _mask_of(root, image), frozenset({class_id}))
        for class_id, folder in enumerate(folders)
        for image in photographs_in(folder)
    )
    if not samples:
        raise DatasetError(f"{root / IMAGES} holds no photographs; lay them out as OBJECT/00.jpg")
    return SegmentationDataset(tuple(folder.name for folder in folders), samples, read_label)


def read_label(sample: Sample, class_id: int) -> NDArray[np.uint8]:
    """1 where the mask is not black, else 0; a photograph shows one object."""
    return (np.array(open_image(sample.annotation).convert("L")) > 0).astype(np.uint8)


def _mask_of(root: Path, image: Path) -> Path:
    wanted = root / ANNOTATIONS / image.parent.name / f"{image.stem}.png"
    mask = spelled(wanted)
    if mask is None:
        raise DatasetError(f"{image} has no mask; expected {wanted}")
    return mask
