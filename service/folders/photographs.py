"""The photographs of a sweep: files, and folders with all that lies below them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from model.datasets.leftovers import is_leftover
from service.errors import SettingsError
from service.images.codec import Part
from service.images.given import read_part, read_shown

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".jp2"),
)

OWN_MARKS = "a mark of each photograph"
"""What a run's note has in the place of supports where photographs are their own."""


class Query(NamedTuple):
    """A photograph, and its name below ``--out``: the path from the folder that was given."""

    path: Path
    name: PurePosixPath


def list_queries(paths: Iterable[Path], out: Path) -> list[Query]:
    """List each file once, a folder's by name; leave out what is hidden or lies in ``out``.

    Raises SettingsError for a folder without images, or one that is ``out`` itself.
    """
    return list(dict.fromkeys(query for path in paths for query in _below(path, out)))


def read_pairs(pairs: Iterable[tuple[Path, Path]]) -> list[tuple[Part, Part]]:
    """Read the image of each support, and its mask or, from a .json file, its rough mark.

    Raises UndecodableImageError where one cannot be read.
    """
    return [(read_part(image), read_shown(mask)) for image, mask in pairs]


def pair_ids(pairs: Sequence[tuple[Part, Part]]) -> list[str]:
    """Identify supports by their content, wherever the files lie."""
    return [hashlib.sha256(image.content + mask.content).hexdigest() for image, mask in pairs]


def _below(path: Path, out: Path) -> list[Query]:
    if not path.is_dir():
        return [Query(path, PurePosixPath(path.name))]
    if path.resolve() == out.resolve():
        raise SettingsError(
            f"--out is {path}, a folder of queries, and the next run would take its masks for "
            "queries; choose another folder"
        )
    queries = sorted(_images(path, out))
    if not queries:
        raise SettingsError(f"folder {path} has no image ({', '.join(SUFFIXES)})")
    return queries


def _images(folder: Path, out: Path) -> Iterator[Query]:
    results = out.resolve()
    for path in folder.rglob("*"):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        left = any(is_leftover(PurePosixPath(part)) for part in name.parts)
        if path.suffix.lower() not in SUFFIXES or left or not path.is_file():
            continue
        if results not in path.resolve().parents:
            yield Query(path, name)
