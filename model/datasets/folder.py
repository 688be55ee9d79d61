"""A folder of classes: ``CLASS/NAME.jpg`` (or another photograph) beside its ``CLASS/NAME.png``.

FSS-1000 (Li et al. 2020) has this layout: 1,000 classes of ten photographs, ``abacus/1.jpg`` to
``zucchini/10.png``. Its splits are lists of classes, as its authors' 240 test classes.
"""

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.datasets.leftovers import is_leftover
from model.datasets.listing import (
    Sample,
    SegmentationDataset,
    open_image,
    read_all,
    read_lines,
)
from model.datasets.lookup import name_parts, spelled
from model.errors import AmbiguousMaskError, DatasetError, MaskFormatError
from model.images.masks import OBJECT, MaskFormat, MaskReading, read_mask

PHOTOGRAPH_SUFFIXES = {
    *(".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2"),
}


def image_folder(
    root: Path, list_file: Path | None = None, mask_format: MaskFormat = "auto"
) -> SegmentationDataset:
    """Each sub-folder that holds photographs is a class, in the order of names.

    ``list_file`` names those to use, one a line. The mask is a PNG of the photograph's name, and
    ``mask_format`` says what is object in it. Every mask is read once: what is read in another way
    than light on dark is told, and photographs whose mask has no object are told and left out.
    DatasetError names what is missing, and a class of which all masks are empty.
    """
    folders = _listed(root, list_file) if list_file else _all(root)
    samples = [
        Sample(image, _mask_of(image), frozenset({class_id}))
        for class_id, folder in enumerate(folders)
        for image in photographs_in(folder)
    ]
    classes = tuple(folder.name for folder in folders)
    kept = _with_object(classes, samples, mask_format)
    return SegmentationDataset(classes, kept, partial(read_label, mask_format=mask_format))


def read_label(
    sample: Sample, class_id: int, mask_format: MaskFormat = "auto"
) -> NDArray[np.uint8]:
    """1 on the object by the service's mask rules, else 0; a folder holds one class."""
    return _reading(sample, mask_format).mask.astype(np.uint8)


def _reading(sample: Sample, mask_format: MaskFormat) -> MaskReading:
    image = open_image(sample.annotation)
    try:
        return read_mask(image, mask_format)
    except AmbiguousMaskError as error:
        raise DatasetError(
            f"{sample.annotation} {error}; say --mask-format {' or '.join(error.formats)}, or save "
            "it as grey, 255 on the object and 0 elsewhere"
        ) from error
    except MaskFormatError as error:
        raise DatasetError(
            f"mask_format is {mask_format!r}, but {sample.annotation} {error}"
        ) from error


def photographs_in(
    folder: Path, suffixes: Collection[str] = frozenset(PHOTOGRAPH_SUFFIXES)
) -> list[Path]:
    """The photographs right in a folder, in the order of names, without what systems leave."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not is_leftover(path) and path.is_file()
    )


def holds_photographs(root: Path) -> bool:
    """Whether a sub-folder does."""
    return any(True for _ in _photographs_below(root))


def has_pairs(root: Path) -> bool:
    """Whether a photograph in a sub-folder has its mask beside it."""
    return any(spelled(path.with_suffix(".png")) for path in _photographs_below(root))


def _photographs_below(root: Path) -> Iterator[Path]:
    for path in root.glob("*/*"):
        left = is_leftover(path) or is_leftover(path.parent)
        if path.suffix.lower() in PHOTOGRAPH_SUFFIXES and not left:
            yield path


def _with_object(
    classes: Sequence[str], samples: Sequence[Sample], mask_format: MaskFormat
) -> tuple[Sample, ...]:
    """A class that is given for its photographs' sake alone is a mistake in its masks."""

    def look(sample: Sample) -> tuple[bool, str]:
        reading = _reading(sample, mask_format)
        return bool(reading.mask.any()), reading.name

    looks = read_all(look, samples)
    marked = [has_object for has_object, _ in looks]
    if mask_format == "auto":
        _tell_readings(Counter(name for has_object, name in looks if has_object), len(samples))
    kept = tuple(sample for sample, has_object in zip(samples, marked, strict=True) if has_object)
    empty = [sample for sample, has_object in zip(samples, marked, strict=True) if not has_object]
    left = {class_id for sample in kept for class_id in sample.class_ids}
    for sample in empty:
        if not sample.class_ids <= left:
            (class_id,) = sample.class_ids
            raise DatasetError(
                f"{_emptiness(sample.annotation)}, nor does another mask of {classes[class_id]!r} "
                "hold one; save masks as grey, 255 on the object and 0 elsewhere"
            )
    if empty:
        tqdm.write(
            f"Left out: {len(empty)} of {len(samples)} masks hold no object; "
            f"{_emptiness(empty[0].annotation)}",
            file=sys.stderr,
        )
    return kept


def _tell_readings(counts: Mapping[str, int], masks: int) -> None:
    for name, count in counts.items():
        if name != "light":
            tqdm.write(
                f"Read as {name}: in {count} of {masks} masks the object is {OBJECT[name]}; light "
                "on dark they would hold no object, or another (--mask-format says which is meant)",
                file=sys.stderr,
            )


def _emptiness(mask: Path) -> str:
    """What a mask without an object holds instead."""
    return f"{mask} holds no object (its largest value is {np.max(open_image(mask).getextrema())})"


def _all(root: Path) -> list[Path]:
    folders = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    classes = sorted(
        folder for folder in folders if not is_leftover(folder) and photographs_in(folder)
    )
    if not classes:
        raise DatasetError(f"{root} holds no classes; lay it out as CLASS/NAME.jpg + NAME.png")
    return classes


def _listed(root: Path, list_file: Path) -> list[Path]:
    folders = [_class_folder(root, line, list_file) for line in sorted(set(read_lines(list_file)))]
    if not folders:
        raise DatasetError(f"{list_file} is empty; write the name of one class a line")
    return list(dict.fromkeys(folders))


def _class_folder(root: Path, line: str, list_file: Path) -> Path:
    """By its name, or by the last part of a path on another machine."""
    for name in (line, *name_parts(line)[-1:]):
        if (folder := root / name).is_dir():
            return folder
    raise DatasetError(f"{list_file} names the class {line!r}, but {root} has none")


def _mask_of(image: Path) -> Path:
    mask = spelled(image.with_suffix(".png"))
    if mask is None:
        raise DatasetError(f"{image} has no mask; expected {image.with_suffix('.png')}")
    return mask
