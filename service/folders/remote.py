"""Segmenting files by asking a server; nothing here needs torch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from service.client import (
    ProblemError,
    SegmentationClient,
    ServiceUnreachableError,
    SupportSet,
)
from service.errors import ServiceError
from service.folders.outputs import Found
from service.folders.photographs import pair_ids, read_pairs
from service.folders.stored import StoredSets, one_sentence
from service.images.codec import decode_photograph
from service.images.given import read_part
from service.options import KShotOptions
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
        # An older service does not know each option.
        self._given: dict[str, Any] = options.model_dump(
            exclude={"output", "depth", "label", "instances"}, exclude_defaults=True
        )
        self.label: str | None = None
        with one_sentence():
            info = client.info()
        self.facts = {name: info[name] for name in ("checkpoint_sha256", "input_side")}
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
        with one_sentence():
            try:
                found = self._client.segment(part.content, output="json", **self._given)
            except ServiceUnreachableError as error:
                self._client.info()  # raises where it is the server that is away
                raise RefusedQueryError(f"{query}: {error}") from error
            except ProblemError as problem:
                if problem.status == 404 or problem.field not in (None, "query_image"):
                    raise
                raise RefusedQueryError(f"{query}: {problem}") from problem
        photograph = partial(decode_photograph, part, self._max_pixels)
        return Found(found.mask, found.score, found.presence, photograph)


@contextmanager
def asking(
    url: str,
    shown: str | Sequence[tuple[Path, Path]],
    options: KShotOptions,
    settings: Settings,
) -> Iterator[RemoteFinder]:
    """Connect to a server. ``shown`` is pairs of files, or the name or id of a stored set.

    Raises RemoteError.
    """
    with one_sentence():
        client = SegmentationClient(url)
    with client:
        supports = _find(client, shown) if isinstance(shown, str) else shown
        yield RemoteFinder(client, supports, options, settings)


def _find(client: SegmentationClient, name: str) -> SupportSet:
    with one_sentence():
        return StoredSets(client).find(name)
