"""``sgone complete``: photographs with a rough mark each, for a network here or for a service."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from service.errors import SettingsError
from service.folders.photographs import SUFFIXES, Query
from service.folders.sources import NetworkFlags, check_client
from service.folders.sweep import Finder, Sweep
from service.options import CompletionOptions

Marks = Mapping[Path, Path]
"""The mark of each photograph."""


def marked(sweep: Sweep, mark: Path) -> tuple[Sweep, Marks]:
    """The sweep over the photographs that have a mark, and their marks.

    Raises SettingsError where none has, or where one mark is given for several photographs.
    """
    if not mark.is_dir():
        if len(sweep.queries) != 1:
            raise SettingsError(
                f"{mark} is one mark, and there are {len(sweep.queries)} photographs; give a "
                "folder with a mark for each"
            )
        return sweep, {sweep.queries[0].path: mark}
    marks = dict(_found(sweep.queries, mark))
    queries = [query for query in sweep.queries if query.path in marks]
    if not queries:
        first = sweep.queries[0].name.with_suffix("")
        raise SettingsError(
            f"{mark} has no mark of any photograph; name them like {first}.json or {first}.png"
        )
    if left := len(sweep.queries) - len(queries):
        click.echo(f"{left} of {len(sweep.queries)} photographs have no mark in {mark}", err=True)
    return replace(sweep, queries=queries), marks


class Completion(NetworkFlags):
    """Where masks are made of marks."""

    @contextmanager
    def open(self, marks: Marks, options: CompletionOptions) -> Iterator[Finder]:
        """Load the network, or reach the service, which needs none here."""
        settings = self.settings()
        if self.url is None:
            from service.folders.local import LocalCompleter

            yield LocalCompleter(settings, marks, options)
            return
        check_client()
        from service.folders.remote import RemoteCompleter, connected

        with connected(self.url, self.model) as client:
            yield RemoteCompleter(client, marks, options, settings)


def _found(queries: Iterable[Query], folder: Path) -> Iterator[tuple[Path, Path]]:
    """Of several marks of a photograph the JSON file is meant; never the photograph itself."""
    for query in queries:
        for suffix in (".json", ".png", *SUFFIXES):
            path = folder / query.name.with_suffix(suffix)
            if path.is_file() and path.resolve() != query.path.resolve():
                yield query.path, path
                break
