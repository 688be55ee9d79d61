"""A folder of classes: ``CLASS/NAME.jpg`` (or another photograph) beside its ``CLASS/NAME.png``.

FSS-1000 (Li et al. 2020) has this layout: 1,000 classes of ten photographs, ``abacus/1.jpg`` to
``zucchini/10.png``. Its splits are lists of classes, as its authors' 240 test classes.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.listing import Sample, SegmentationDataset, open_image, read_lines
from model.errors import DatasetError
from model.pixels import mask_pixels

PHOTOGRAPH_SUFFIXES = {".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def image_folder(root: Path, list_file: Path | None = None) -> SegmentationDataset:
    """Each sub-folder that holds photographs is a class, in the order of names.

    ``list_file`` names those to use, one a line. The mask is a PNG of the photograph's name.
    DatasetError names what is missing.
    """
    folders = _listed(root, list_file) if list_file else _all(root)
    samples = [
        Sample(image, _mask_of(image), frozenset({class_id}))
        for class_id, folder in enumerate(folders)
        for image in _photographs(folder)
    ]
    return SegmentationDataset(tuple(folder.name for folder in folders), tuple(samples), read_label)


def read_label(sample: Sample, class_id: int) -> NDArray[np.uint8]:
    """1 on the object by the service's mask rules, else 0; a folder holds one class."""
    label: NDArray[np.uint8] = mask_pixels(open_image(sample.annotation)).astype(np.uint8)
    return label


def _all(root: Path) -> list[Path]:
    folders = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    classes = sorted(folder for folder in folders if _photographs(folder))
    if not classes:
        raise DatasetError(f"{root} holds no classes; lay it out as CLASS/NAME.jpg + NAME.png")
    return classes


def _listed(root: Path, list_file: Path) -> list[Path]:
    folders = [root / name for name in sorted(set(read_lines(list_file)))]
    if not folders:
        raise DatasetError(f"{list_file} is empty; write the name of one class a line")
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(f"{list_file} names the class {folder.name!r}, but {root} has none")
    return folders


def _photographs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTOGRAPH_SUFFIXES)


def _mask_of(image: Path) -> Path:
    mask = image.with_suffix(".png")
    if not mask.is_file():
        raise DatasetError(f"{image} has no mask; expected {mask}")
    return mask
