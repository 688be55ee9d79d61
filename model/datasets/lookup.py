"""Finds the photographs that an annotation file names, whichever tool and system wrote it."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from model.errors import DatasetError

_SEPARATOR = re.compile(r"[\\/]+|\?d=")
"""Of folders, on Windows too; Label Studio hands local files out by ``/data/local-files/?d=``."""


class _Way(NamedTuple):
    """A folder, and how many leading parts of a name are those of another machine."""

    folder: Path
    dropped: int

    def to(self, parts: Sequence[str]) -> Path:
        return self.folder.joinpath(*parts[self.dropped :])


def find_photographs(root: Path, annotations: Path, names: Sequence[str]) -> list[Path]:
    """The file of each name; DatasetError, with all places looked at, where not one is found.

    A single photograph that is missing gets the place where it should be: what reads it says so.
    """
    folders = _folders(root, annotations)
    found: list[Path | None] = []
    way = None
    for name in names:
        way, path = _find(folders, name, way)
        found.append(path)
    if names and way is None:
        raise DatasetError(
            f"{annotations} has no photographs; put them in {root / _own_name(annotations)}, in "
            f"{root / 'images'} or beside it: {names[0]!r} is in none of "
            f"{', '.join(map(str, folders))}"
        )
    home = way.folder if way else root
    return [
        path or home.joinpath(*name_parts(name)) for path, name in zip(found, names, strict=True)
    ]


def name_parts(name: str) -> list[str]:
    """Folders and file of a path of any system, without what would lead out of a folder."""
    return [part for part in _SEPARATOR.split(name) if part not in ("", ".", "..")]


def spelled(path: Path) -> Path | None:
    """The file itself, or the one whose suffix is in the other case: ``1.JPG`` for ``1.jpg``."""
    suffix = path.suffix
    for each in dict.fromkeys((suffix, suffix.lower(), suffix.upper())):
        if (candidate := path.with_suffix(each)).is_file():
            return candidate
    return None


def _find(folders: Sequence[Path], name: str, way: _Way | None) -> tuple[_Way | None, Path | None]:
    """The photograph, and how it was found: most likely as the one before, on ``way``."""
    for spelling in dict.fromkeys((name, unquote(name))):
        parts = name_parts(spelling)
        for each in chain([way] if way else [], _ways(folders, parts)):
            if parts[each.dropped :] and (path := spelled(each.to(parts))):
                return each, path
    return way, None


def _ways(folders: Sequence[Path], parts: Sequence[str]) -> Iterator[_Way]:
    """The whole name in every folder first, then without its first part, and so on."""
    for dropped in range(len(parts)):
        for folder in folders:
            yield _Way(folder, dropped)


def _folders(root: Path, annotations: Path) -> list[Path]:
    """COCO's own first, then Roboflow's, Label Studio's, FiftyOne's and LabelMe's."""
    name, beside = _own_name(annotations), annotations.parent
    inside = (name, f"images/{name}", "images", "data", "JPEGImages", "")
    wanted = [*(root / each for each in inside), *(beside / each for each in inside)]
    return [folder for folder in dict.fromkeys(wanted) if folder.is_dir()]


def _own_name(annotations: Path) -> str:
    """``instances_val2014.json`` is of ``val2014``."""
    return annotations.stem.removeprefix("instances_")
