"""Segmenting files with a network on this machine, without a server."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.folders.outputs import Found
from service.folders.photographs import OWN_MARKS, pair_ids, read_pairs
from service.images.given import read_shown
from service.options import CompletionOptions, KShotOptions
from service.segmenter import Segmenter
from service.settings import Settings


class LocalFinder:
    """Encodes K supports once, and finds their object in any number of query files.

    Several threads may call ``find``: they decode and shape side by side, and take turns at the
    network.
    """

    label: str | None = None

    def __init__(
        self, settings: Settings, pairs: Sequence[tuple[Path, Path]], options: KShotOptions
    ) -> None:
        parts = read_pairs(pairs)
        self._options = options
        self._segmenter = Segmenter(settings=settings)
        self._supports = self._segmenter.encode(parts, mask_format=options.mask_format)
        self.facts = {"supports": pair_ids(parts), **_network_of(self._segmenter)}

    def find(self, query: Path) -> Found:
        """Raises ServiceError for a query that cannot be used."""
        photograph = self._segmenter.photograph(query)
        finding = self._segmenter.find(photograph, self._supports, self._options)
        return Found(finding.mask, finding.score, finding.presence, lambda: photograph)


class LocalCompleter:
    """Makes a mask of each photograph's own mark. Several threads may call ``find``."""

    label: str | None = None

    def __init__(
        self, settings: Settings, marks: Mapping[Path, Path], options: CompletionOptions
    ) -> None:
        self._marks = marks
        self._options = options
        self._segmenter = Segmenter(settings=settings)
        self.facts = {"supports": OWN_MARKS, **_network_of(self._segmenter)}

    def find(self, query: Path) -> Found:
        """Raises ServiceError for a photograph or mark that cannot be used."""
        photograph = self._segmenter.photograph(query)
        mark = read_shown(self._marks[query])
        finding = self._segmenter.fill(photograph, mark, self._options)
        return Found(finding.mask, finding.score, finding.presence, lambda: photograph)


def _network_of(segmenter: Segmenter) -> dict[str, Any]:
    return {
        "checkpoint_sha256": segmenter.checkpoint.sha256,
        "input_side": segmenter.input_side,
    }
