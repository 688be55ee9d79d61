"""A run over many queries: what is done is skipped, what fails is told, and it can be stopped."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from tqdm import tqdm

from service.errors import ServiceError, SettingsError
from service.folders.annotations import Annotations
from service.folders.outputs import Format, Found, Picture, Pictures, check_paths, write_whole
from service.folders.photographs import Query, list_queries
from service.options import KShotOptions

RUN_FILE = "sgone-segment.json"
UNNAMED = "object"
# Of the options, those that make a mask what it is.
SHAPING = {"fusion", "threshold", "min_area", "fill_holes", "largest_component"}

Item = TypeVar("Item")
Result = TypeVar("Result")


class Finder(Protocol):
    """Finds the object of its supports, which ``facts`` identify and ``label`` may name."""

    facts: dict[str, Any]
    label: str | None

    def find(self, query: Path) -> Found:
        """Raises ServiceError for a query that fails alone; anything else ends the run."""


@dataclass(frozen=True)
class Plan:
    """Queries whose files below ``out`` do not get into each other's way."""

    queries: Sequence[Query]
    out: Path
    pictures: Sequence[Pictures]
    coco: bool


def make_plan(
    paths: Iterable[Path], out: Path, formats: Iterable[Picture | Literal["coco"]]
) -> Plan:
    """Raises SettingsError for an empty folder, or where a file would be overwritten."""
    kinds = dict.fromkeys(formats)
    pictures = [Pictures(kind, out) for kind in kinds if kind != "coco"]
    queries = list_queries(paths, out)
    check_paths(queries, pictures)
    return Plan(queries, out, pictures, "coco" in kinds)


def run(plan: Plan, finder: Finder, options: KShotOptions, *, overwrite: bool, jobs: int) -> int:
    """Write what is not there yet; returns how many queries failed.

    Raises SettingsError where ``out`` holds the results of another kind of run.
    """
    facts = finder.facts | options.model_dump(include=SHAPING)
    if not overwrite:
        _check_same_run(plan.out, facts)
    annotations = Annotations(plan.out) if plan.coco else None
    formats: list[Format] = [*plan.pictures, *([annotations] if annotations else [])]
    if overwrite:
        for kind in formats:
            kind.forget(plan.queries)
    write_whole(plan.out / RUN_FILE, json.dumps(facts, indent=2).encode())
    left = [query for query in plan.queries if not all(kind.has(query) for kind in formats)]
    if len(left) < len(plan.queries):
        done = len(plan.queries) - len(left)
        tqdm.write(f"{done} of {len(plan.queries)} queries are done already", file=sys.stderr)
    failed = _write_all(left, finder, formats, jobs)
    if annotations:
        annotations.finish(options.label or finder.label or UNNAMED)
    return failed


def _check_same_run(out: Path, facts: dict[str, Any]) -> None:
    """Masks of two objects, or of two thresholds, in one folder could not be told apart."""
    path = out / RUN_FILE
    earlier = json.loads(path.read_bytes()) if path.is_file() else facts
    changed = [name for name in facts if earlier.get(name) != facts[name]]
    if changed:
        raise SettingsError(
            f"the results in {out} were made with another {', '.join(changed)}; "
            "choose another --out, or do them again with --overwrite"
        )


def _write_all(queries: list[Query], finder: Finder, formats: list[Format], jobs: int) -> int:
    """Returns how many failed, each of which has been told on standard error."""

    def write(query: Query) -> str | None:
        try:
            found = finder.find(query.path)
            for kind in formats:
                kind.write(query, found)
        except ServiceError as error:
            return str(error)
        return None

    failed = 0
    with tqdm(total=len(queries), unit="image") as progress:
        for failure in _side_by_side(write, queries, jobs):
            if failure:
                failed += 1
                progress.write(f"Error: {failure}", file=sys.stderr)
            progress.update()
    return failed


def _side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[Result]:
    """Results as they are done; when it is left early, what has begun is finished first."""
    todo = iter(items)
    with ThreadPoolExecutor(jobs) as pool:
        begun: set[Future[Result]] = {pool.submit(work, item) for item in islice(todo, jobs)}
        while begun:
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            begun |= {pool.submit(work, item) for item in islice(todo, len(done))}
            yield from (future.result() for future in done)
