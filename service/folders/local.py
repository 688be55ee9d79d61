"""Segmenting files with a network on this machine, without a server."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.folders.outputs import Found
from service.folders.photographs import pair_ids, read_pairs, read_part
from service.images.answer import find_object
from service.images.codec import decode_photograph, decode_support
from service.inference.engine import Engine
from service.options import KShotOptions
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
        self._max_pixels = settings.max_image_pixels
        self._options = options
        self._turn = threading.Lock()
        parts = read_pairs(pairs)
        engine = Engine.load(settings)
        self._segmenter = engine.segmenter
        self._decision = options.decide(engine.checkpoint.decision)
        self._encoding = self._segmenter.encode_support(
            [
                self._segmenter.prepare_support(
                    decode_support(image, mask, self._max_pixels, options.mask_format)
                )
                for image, mask in parts
            ]
        )
        self.facts: dict[str, Any] = {
            "supports": pair_ids(parts),
            "checkpoint_sha256": engine.checkpoint.sha256,
            "input_side": self._segmenter.transform.side,
        }

    def find(self, query: Path) -> Found:
        """Raises ServiceError for a query that cannot be used."""
        photograph = decode_photograph(read_part(query), self._max_pixels)
        prepared = self._segmenter.prepare_query(photograph, self._options.refine)
        with self._turn:
            shown = self._segmenter.find(prepared, self._encoding, self._options.fusion)
        probability = self._segmenter.restore(shown.logits, prepared.size, prepared.guide)
        finding = find_object(probability, shown.presence, self._decision, self._options)
        return Found(finding.mask, finding.score, finding.presence, lambda: photograph)
