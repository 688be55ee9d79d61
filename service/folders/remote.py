"""Segmenting files by asking a server; nothing here needs torch."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from service.client import (
    ProblemError,
    Segmentation,
    SegmentationClient,
    ServiceUnreachableError,
    SupportSet,
)
from service.errors import ServiceError
from service.folders.outputs import Found
from service.folders.photographs import OWN_MARKS, pair_ids, read_pairs
from service.folders.stored import StoredSets, one_sentence
from service.images.codec import decode_photograph
from service.images.given import read_part, read_shown
from service.options import CompletionOptions, KShotOptions, Options
from service.settings import Settings


class RefusedQueryError(ServiceError):
    """The server did not segment this query; it may segment the others."""


class RemoteFinder:
    """Asks a server for one query at a time, with supports that it sends or that are stored there.

    Several threads may call ``find``. The server sends the mask as numbers; pictures of it are
    drawn here.
    """

    def __init__(
        self,
        client: SegmentationClient,
        supports: Sequence[tuple[Path, Path]] | SupportSet,
        options: KShotOptions,
        settings: Settings,
    ) -> None:
        self._client = client
        self._max_pixels = settings.max_image_pixels
        self._given = sent_options(options)
        self.label: str | None = None
        self.facts = network_of(client)
        if isinstance(supports, SupportSet):
            self._given["support_set"] = supports.id
            # A pair that is replaced keeps its id.
            self.facts["supports"] = [f"{pair.id} of {pair.created}" for pair in supports.pairs]
            self.label = supports.label or supports.name
        else:
            parts = read_pairs(supports)
            self._given["supports"] = [
                (image.content, path if mask.is_mark else mask.content)
                for (image, mask), (_, path) in zip(parts, supports, strict=True)
            ]
            self.facts["supports"] = pair_ids(parts)

    def find(self, query: Path) -> Found:
        """Raises ServiceError where this query fails alone, RemoteError where every query would."""
        part = read_part(query)
        found = ask(
            self._client,
            lambda: self._client.segment(part.content, output="json", **self._given),
            query,
            ("query_image",),
        )
        photograph = partial(decode_photograph, part, self._max_pixels)
        return Found(found.mask, found.score, found.presence, photograph)


class RemoteCompleter:
    """Asks a server for the mask of each photograph's own mark. Several threads may ``find``."""

    label: str | None = None

    def __init__(
        self,
        client: SegmentationClient,
        marks: Mapping[Path, Path],
        options: CompletionOptions,
        settings: Settings,
    ) -> None:
        self._client = client
        self._marks = marks
        self._max_pixels = settings.max_image_pixels
        self._given = sent_options(options)
        self.facts = {"supports": OWN_MARKS, **network_of(client)}

    def find(self, query: Path) -> Found:
        """Raises ServiceError where this one fails alone, RemoteError where every one would."""
        part, path = read_part(query), self._marks[query]
        mark = read_shown(path)
        shown = path if mark.is_mark else mark.content
        found = ask(
            self._client,
            lambda: self._client.complete(part.content, shown, output="json", **self._given),
            query,
            ("support_image", "support_mask", "support_mark"),
        )
        photograph = partial(decode_photograph, part, self._max_pixels)
        return Found(found.mask, found.score, found.presence, photograph)


def sent_options(options: Options) -> dict[str, Any]:
    """Those that shape a mask and are given; an older service does not know each."""
    own = {"output", "depth", "label", "instances"}  # what is made of the mask here
    return options.model_dump(exclude=own, exclude_defaults=True)


def network_of(client: SegmentationClient) -> dict[str, Any]:
    """Facts that identify it; RemoteError."""
    with one_sentence():
        info = client.info()
    return {name: info[name] for name in ("checkpoint_sha256", "input_side")}


def ask(
    client: SegmentationClient,
    request: Callable[[], Segmentation],
    query: Path,
    own_fields: Container[str],
) -> Segmentation:
    """RefusedQueryError where this query fails alone, RemoteError where every query would.

    Problems of ``own_fields``, and those of no field, are the query's.
    """
    with one_sentence():
        try:
            return request()
        except ServiceUnreachableError as error:
            client.info()  # raises where it is the server that is away
            raise RefusedQueryError(f"{query}: {error}") from error
        except ProblemError as problem:
            of_query = problem.field is None or problem.field in own_fields
            if problem.status == 404 or not of_query:
                raise
            raise RefusedQueryError(f"{query}: {problem}") from problem


@contextmanager
def connected(url: str, model: str | None) -> Iterator[SegmentationClient]:
    """A client of a model; RemoteError for what is no address."""
    with one_sentence():
        client = SegmentationClient(url, model=model)
    with client:
        yield client


@contextmanager
def asking(
    url: str,
    model: str | None,
    shown: str | Sequence[tuple[Path, Path]],
    options: KShotOptions,
    settings: Settings,
) -> Iterator[RemoteFinder]:
    """Connect to a server. ``shown`` is pairs of files, or the name or id of a stored set.

    Raises RemoteError.
    """
    with connected(url, model) as client:
        supports = _find(client, shown) if isinstance(shown, str) else shown
        yield RemoteFinder(client, supports, options, settings)


def _find(client: SegmentationClient, name: str) -> SupportSet:
    with one_sentence():
        return StoredSets(client).find(name)
