"""A plain folder: ``CLASS/NAME.jpg`` (or another photograph) beside its mask ``CLASS/NAME.png``."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.datasets.listing import Sample, SegmentationDataset, open_image
from model.errors import DatasetError
from model.pixels import mask_pixels

PHOTOGRAPH_SUFFIXES = {".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def image_folder(root: Path) -> SegmentationDataset:
    """One sub-folder a class, in the order of names. The mask is a PNG of the photograph's name."""
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not folders:
        raise DatasetError(f"{root} has no sub-folders; lay it out as CLASS/NAME.jpg + NAME.png")
    samples = []
    for class_id, folder in enumerate(folders):
        images = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTOGRAPH_SUFFIXES)
        for image in images:
            annotation = image.with_suffix(".png")
            if not annotation.is_file():
                raise DatasetError(f"{image} has no mask; expected {annotation}")
            samples.append(Sample(image, annotation, frozenset({class_id})))
    return SegmentationDataset(tuple(folder.name for folder in folders), tuple(samples), read_label)


def read_label(annotation: Path, class_id: int) -> NDArray[np.uint8]:
    """1 on the object by the service's mask rules, else 0; a folder holds one class."""
    label: NDArray[np.uint8] = mask_pixels(open_image(annotation)).astype(np.uint8)
    return label
