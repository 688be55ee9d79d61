"""COCO files where annotation tools put them."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from model.datasets.leftovers import is_leftover
from model.datasets.listing import Subset
from model.errors import DatasetError

_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_SUBSETS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def find_exports(root: Path) -> list[Path]:
    """Files in COCO's format in ``root`` and in the folders in it, in the order of names."""
    return [path for path in _json_files(root) if _is_coco(path)]


def choose_export(root: Path, subset: Subset) -> Path:
    """The one whose folder or name tells the subset, else the one that tells none.

    Raises DatasetError unless there is exactly one.
    """
    told = {path: _subset(path.relative_to(root)) for path in find_exports(root)}
    chosen = [path for path in told if told[path] == subset]
    chosen = chosen or [path for path in told if told[path] is None]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(str(path.relative_to(root)) for path in chosen or told) or "none"
    raise DatasetError(
        f"{root} holds {len(chosen)} COCO files for {subset} (found: {names}); name one as the list"
    )


def _json_files(root: Path) -> Iterator[Path]:
    """But not those beside a photograph of their own name, which LabelMe writes for each."""
    folders = [root, *(path for path in root.iterdir() if path.is_dir() and not is_leftover(path))]
    for folder in sorted(folders):
        paths = sorted(path for path in folder.iterdir() if not is_leftover(path))
        others = {path.stem for path in paths if path.suffix.lower() != ".json"}
        for path in paths:
            if path.suffix.lower() == ".json" and path.is_file() and path.stem not in others:
                yield path


def _is_coco(path: Path) -> bool:
    """By its keys alone: to parse COCO's own takes half a minute."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return all(content.find(key) >= 0 for key in _KEYS)


def _subset(path: Path) -> str | None:
    words = re.split(r"[^a-z]+", str(path).lower())
    told = {_SUBSETS[word] for word in words if word in _SUBSETS}
    return told.pop() if len(told) == 1 else None
