"""Predictor: a network with its pre- and post-processing; it keeps no request."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.episode import Fusion, Photograph, Support, check_photograph
from model.executors.condensing import find_condensed
from model.executors.protocol import EncodedShots, Executor, PreparedSupport, Sighting, stack_shots
from model.refinement import guide_of, refine
from model.transforms import (
    Logits,
    Pixels,
    network_size,
    resize_image,
    resize_map,
    resize_mask,
    restore,
)


class PreparedQuery(NamedTuple):
    """(3, h, w) uint8 image at the network's size, and the photograph's own (height, width).

    ``guide`` is the photograph as far as crisp borders need it: at most 7 MB, however large it is.
    """

    image: Pixels
    size: tuple[int, int]
    guide: Photograph | None = None

    @property
    def network_size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.image.shape[1], self.image.shape[2]


class Predictor:
    """An executor, with the transform that its weights were trained with.

    Stateless after construction: ``prepare_*`` and ``restore`` are safe in any thread; forward
    passes (``encode_support``, ``segment``) belong to one thread at a time.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor, self.transform = executor, executor.transform

    def prepare_support(self, support: Support) -> PreparedSupport:
        """Resize one shot to the network's size."""
        height, width = support.mask.shape
        size = self._network_size(height, width)
        return PreparedSupport(resize_image(support.image, size), resize_mask(support.mask, size))

    def prepare_query(self, image: Photograph, refined: bool = False) -> PreparedQuery:
        """Resize a query to the network's size; ImageShapeError if it is no photograph.

        With ``refined``, keep what ``restore`` needs for borders that follow the photograph.
        """
        check_photograph(image)
        height, width = image.shape[:2]
        pixels = resize_image(image, self._network_size(height, width))
        return PreparedQuery(pixels, (height, width), guide_of(image) if refined else None)

    def encode_support(self, supports: Sequence[PreparedSupport]) -> EncodedShots:
        """K shots, each of its own size -> arrays (1, K, ...)."""
        return stack_shots(
            self.executor.encode(support, self.executor.read(support.image, once=True))
            for support in supports
        )

    def segment(
        self, query: PreparedQuery, shots: EncodedShots, fusion: Fusion = "average"
    ) -> Logits:
        """``find``, its logits alone."""
        return self.find(query, shots, fusion).logits

    def find(
        self, query: PreparedQuery, shots: EncodedShots, fusion: Fusion = "average"
    ) -> Sighting:
        """A query and K encoded shots -> (2, h, w) logits, and the object's presence."""
        features = self.executor.read(query.image, once=True)
        return find_condensed(self.executor, features, query.network_size, shots, fusion)

    def restore(
        self, logits: Logits, size: tuple[int, int], guide: Photograph | None = None
    ) -> NDArray[np.float32]:
        """(2, h, w) logits -> (H, W) probability of the object at the query's own size.

        Its borders are the guide's; it is refined at the guide's size, and then enlarged.
        """
        if guide is None:
            return restore(logits, size)
        height, width = guide.shape[:2]
        return resize_map(refine(guide, restore(logits, (height, width))), size)

    def predict(
        self,
        supports: Sequence[Support],
        image: Photograph,
        fusion: Fusion = "average",
        refined: bool = False,
    ) -> NDArray[np.float32]:
        """K shots and a query (H, W, 3) -> (H, W) probability of the object, in one call."""
        shots = self.encode_support([self.prepare_support(support) for support in supports])
        query = self.prepare_query(image, refined)
        return self.restore(self.segment(query, shots, fusion), query.size, query.guide)

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        return network_size(height, width, self.transform.side, self.transform.stride)
