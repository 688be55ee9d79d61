"""Segmenting files with a network on this machine, without a server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.folders.outputs import Found
from service.folders.photographs import pair_ids, read_pairs
from service.options import KShotOptions
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
        self.facts: dict[str, Any] = {
            "supports": pair_ids(parts),
            "checkpoint_sha256": self._segmenter.checkpoint.sha256,
            "input_side": self._segmenter.input_side,
        }

    def find(self, query: Path) -> Found:
        """Raises ServiceError for a query that cannot be used."""
        photograph = self._segmenter.photograph(query)
        finding = self._segmenter.find(photograph, self._supports, self._options)
        return Found(finding.mask, finding.score, finding.presence, lambda: photograph)
