"""A sweep over many queries. It skips what is done, reports what fails, and may be stopped."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tqdm import tqdm

from service.errors import ServiceError, SettingsError
from service.folders.annotations import JOURNAL, Annotations
from service.folders.outputs import (
    Format,
    Found,
    QueryFiles,
    check_paths,
    path_of,
    write_whole,
)
from service.folders.photographs import Query, list_queries
from service.formats.catalogue import Writer, documents, photograph_files
from service.formats.record import UNNAMED, Export
from service.options import FormatName, Options

RUN_FILE = "sgone-segment.json"
# Of the options, those that make a mask what it is.
SHAPING = {
    *("fusion", "mask_format", "threshold", "presence_threshold", "refine"),
    *("min_area", "fill_holes", "largest_component", "instances"),
}
# Of older releases, whose notes do not say it.
ALWAYS = {"instances": False}


class Finder(Protocol):
    """Finds the object that its supports show. ``facts`` identify them, ``label`` may name it."""

    facts: dict[str, Any]
    label: str | None

    def find(self, query: Path) -> Found:
        """Raises ServiceError for a query that fails alone; any other error ends the sweep."""


class Remark(NamedTuple):
    """What is told of a query that has failed, or does not show the object."""

    sentence: str
    failed: bool = False


@dataclass(frozen=True)
class Sweep:
    """Queries, and the formats in which their results are written below ``out``."""

    queries: Sequence[Query]
    out: Path
    formats: Sequence[FormatName]


def plan_sweep(paths: Iterable[Path], out: Path, formats: Iterable[FormatName]) -> Sweep:
    """Raises SettingsError for an empty folder, or where a file would be overwritten."""
    sweep = Sweep(list_queries(paths, out), out, list(dict.fromkeys(formats)))
    check_paths(sweep.queries, photograph_files(sweep.formats), out)
    return sweep


def run(sweep: Sweep, finder: Finder, options: Options, *, overwrite: bool, jobs: int) -> int:
    """Write what is not there yet; returns how many queries failed.

    Raises SettingsError where ``out`` holds the results of other supports or options, or
    files that no run wrote.
    """
    facts = finder.facts | options.model_dump(include=SHAPING)
    if not overwrite:
        _check_same_run(sweep.out, facts)
        _check_own(sweep)
    label = options.label or finder.label or UNNAMED
    writer = Writer(sweep.formats, Export((label,), options.instances))
    formats: list[Format] = [
        QueryFiles(kind, sweep.out, writer.export) for kind in writer.photograph_files
    ]
    annotations = Annotations(sweep.out) if writer.documents else None
    if annotations:
        formats.append(annotations)
    if overwrite:
        for kind in formats:
            kind.forget(sweep.queries)
    write_whole(sweep.out / RUN_FILE, json.dumps(facts, indent=2).encode())
    left = [query for query in sweep.queries if not all(kind.has(query) for kind in formats)]
    if len(left) < len(sweep.queries):
        done = len(sweep.queries) - len(left)
        tqdm.write(f"{done} of {len(sweep.queries)} queries are done already", file=sys.stderr)
    failed = _write_all(left, finder, formats, jobs)
    if annotations:
        annotations.finish(writer)
    return failed


def _check_same_run(out: Path, facts: dict[str, Any]) -> None:
    """Refuse to mix results: nobody could tell masks of two objects, or two thresholds, apart."""
    path = out / RUN_FILE
    earlier = ALWAYS | _read_facts(path) if path.is_file() else facts
    changed = [name for name in facts if earlier.get(name) != facts[name]]
    if changed:
        raise SettingsError(
            f"the results in {out} were made with another {', '.join(changed)}; "
            "choose another --out, or do them again with --overwrite"
        )


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{path} is broken ({error}); choose another --out, or do it again with --overwrite"
        ) from error


def _check_own(sweep: Sweep) -> None:
    """A file that no run wrote would be taken for a query's result, or written over."""
    if (sweep.out / RUN_FILE).exists():
        return
    kinds = photograph_files(sweep.formats)
    paths = (path_of(kind, query, sweep.out) for query in sweep.queries for kind in kinds)
    names = [document.path for document in documents(sweep.formats)]
    notes = [sweep.out / name for name in (*names, *([JOURNAL] if names else []))]
    for path in chain(notes, paths):
        if path.exists():
            raise SettingsError(
                f"{path} is there already, and no run of sgone segment wrote it; choose another "
                "--out, or write over it with --overwrite"
            )


def _write_all(queries: list[Query], finder: Finder, formats: list[Format], jobs: int) -> int:
    """Tell of each query that fails or is empty on standard error; returns how many failed."""

    def write(query: Query) -> Remark | None:
        try:
            found = finder.find(query.path)
            for kind in formats:
                kind.write(query, found)
        except ServiceError as error:
            return Remark(f"Error: {error}", failed=True)
        return None if found.mask.any() else _empty(query, found)

    failed, empty = 0, 0
    with tqdm(total=len(queries), unit="image") as progress:
        for remark in _side_by_side(write, queries, jobs):
            if remark:
                failed, empty = failed + remark.failed, empty + (not remark.failed)
                progress.write(remark.sentence, file=sys.stderr)
            progress.update()
    if empty:
        summary = (
            f"The object is found in {len(queries) - failed - empty} of {len(queries)} queries"
        )
        tqdm.write(f"{summary}; {empty} do not show it", file=sys.stderr)
    return failed


def _empty(query: Query, found: Found) -> Remark:
    told = "" if found.presence is None else f" (presence {found.presence:.3f})"
    return Remark(f"{query.path}: the object is not found{told}")


def _side_by_side(
    write: Callable[[Query], Remark | None], queries: Iterable[Query], jobs: int
) -> Iterator[Remark | None]:
    """Write ``jobs`` queries at a time; yields each outcome as it comes.

    A caller that stops early waits for the queries that have begun.
    """
    todo = iter(queries)
    with ThreadPoolExecutor(jobs) as pool:
        begun = {pool.submit(write, query) for query in islice(todo, jobs)}
        while begun:
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            begun |= {pool.submit(write, query) for query in islice(todo, len(done))}
            yield from (future.result() for future in done)
