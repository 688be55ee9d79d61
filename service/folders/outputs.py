"""What a run writes for each query, whole files only: masks, overlays and cut-outs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from model.episode import ObjectMask, Photograph
from service.errors import SettingsError
from service.folders.photographs import Query
from service.images.render import cutout_png, mask_png, overlay_png

Picture = Literal["masks", "overlays", "cutouts"]
SUFFIXES: dict[Picture, str] = {
    "masks": ".png",
    "overlays": ".overlay.png",
    "cutouts": ".cutout.png",
}


@dataclass(frozen=True)
class Found:
    """(H, W) bool mask, its score in [0, 1], and the query as it is decoded when asked for."""

    mask: ObjectMask
    score: float
    photograph: Callable[[], Photograph]


class Format(Protocol):
    """One kind of result; ``write`` is for any thread, and all or nothing."""

    def has(self, query: Query) -> bool:
        """Whether the query's result is there, from this run or an earlier one."""

    def forget(self, queries: Iterable[Query]) -> None:
        """Drop their results."""

    def write(self, query: Query, found: Found) -> None:
        """Keep the query's result."""


class Pictures:
    """A PNG for each query below ``out``, in the folders that the queries lie in."""

    def __init__(self, kind: Picture, out: Path) -> None:
        self._kind = kind
        self._out = out

    def path(self, query: Query) -> Path:
        """The query's own file."""
        return self._out / query.name.with_suffix(SUFFIXES[self._kind])

    def has(self, query: Query) -> bool:
        """An empty file is none: a power failure can leave one behind a finished rename."""
        path = self.path(query)
        return path.is_file() and path.stat().st_size > 0

    def forget(self, queries: Iterable[Query]) -> None:
        """Delete their files."""
        for query in queries:
            self.path(query).unlink(missing_ok=True)

    def write(self, query: Query, found: Found) -> None:
        """Raises OSError, or ServiceError for a query that cannot be decoded."""
        write_whole(self.path(query), self._render(found))

    def _render(self, found: Found) -> bytes:
        match self._kind:
            case "masks":
                return mask_png(found.mask)
            case "overlays":
                return overlay_png(found.photograph(), found.mask)
            case "cutouts":
                return cutout_png(found.photograph(), found.mask)


def check_paths(queries: Iterable[Query], pictures: Iterable[Pictures]) -> None:
    """Raise SettingsError where a file would be written twice, or over a query."""
    queries, pictures = list(queries), list(pictures)
    originals = {query.path.resolve() for query in queries}
    taken = set()
    for path in (picture.path(query) for query in queries for picture in pictures):
        if path in taken:
            raise SettingsError(f"two queries would write {path}; rename one, or run them apart")
        if path.resolve() in originals:
            raise SettingsError(f"{path} would overwrite a query; choose another --out")
        taken.add(path)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step; what a killed process leaves is NAME.part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
