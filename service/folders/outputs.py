"""What a sweep writes for each query, whole files only: masks, overlays, labels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.episode import ObjectMask, Photograph
from service.errors import SettingsError
from service.folders.photographs import Query
from service.formats.catalogue import PhotographFile
from service.formats.record import Export, Labelled


@dataclass(frozen=True)
class Found:
    """(H, W) bool mask, its score in [0, 1], and a function that decodes the query.

    ``presence`` in [0, 1] is whether the object is there at all; None where a service knows none.
    """

    mask: ObjectMask
    score: float
    presence: float | None
    photograph: Callable[[], Photograph]


class Format(Protocol):
    """One kind of result. Any thread may ``write``, which leaves a whole result or none."""

    def has(self, query: Query) -> bool:
        """Whether this sweep or an earlier one has written the query's result."""

    def forget(self, queries: Iterable[Query]) -> None:
        """Drop their results."""

    def write(self, query: Query, found: Found) -> None:
        """Keep the query's result."""


class QueryFiles:
    """A file for each query below ``out``, in the folders that the queries lie in."""

    def __init__(self, kind: PhotographFile, out: Path, export: Export) -> None:
        self._kind = kind
        self._out = out
        self._export = export

    def path(self, query: Query) -> Path:
        """The query's own file."""
        return path_of(self._kind, query, self._out)

    def has(self, query: Query) -> bool:
        """Whether the file is there.

        A power failure can leave an empty one after the rename, which only labels may be.
        """
        path = self.path(query)
        return path.is_file() and (self._kind.may_be_empty or path.stat().st_size > 0)

    def forget(self, queries: Iterable[Query]) -> None:
        """Delete their files."""
        for query in queries:
            self.path(query).unlink(missing_ok=True)

    def write(self, query: Query, found: Found) -> None:
        """Raises OSError, or ServiceError for a query that cannot be decoded."""
        labelled = Labelled.of_object(found.mask, found.photograph)
        write_whole(self.path(query), self._kind.render(labelled, self._export))


def path_of(kind: PhotographFile, query: Query, out: Path) -> Path:
    """Where a query's file of a kind lies."""
    return out / kind.path.format(query.name.with_suffix(""))


def check_paths(queries: Iterable[Query], kinds: Iterable[PhotographFile], out: Path) -> None:
    """Raise SettingsError where a file would be written twice, or over a query."""
    queries, kinds = list(queries), list(kinds)
    originals = {query.path.resolve() for query in queries}
    taken: dict[Path, Query] = {}
    for path, query in ((path_of(kind, query, out), query) for query in queries for kind in kinds):
        other = taken.setdefault(path, query)
        if other is not query:
            raise SettingsError(
                f"two queries would write {path}: {other.path} and {query.path}; rename one, or "
                "run them apart"
            )
        if path.resolve() in originals:
            raise SettingsError(f"{path} would overwrite a query; choose another --out")


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step. A process that is killed leaves the old file and NAME.part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
