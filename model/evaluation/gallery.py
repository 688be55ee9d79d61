"""The images of an evaluation behind the backbone, each computed once for all its episodes."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from model.datasets.listing import SegmentationDataset
from model.datasets.sampling import View
from model.episode import Photograph
from model.evaluation.protocols import Prepared, Protocol
from model.executors.protocol import EncodedShots, Executor, ImageFeatures, PreparedSupport
from model.transforms import resize_image

Computed = TypeVar("Computed", bound=Sequence[Any])


class EncodedQuery(NamedTuple):
    """A query behind the backbone, and what is counted in it."""

    features: ImageFeatures  # in the form of the executor
    size: tuple[int, int]  # (height, width) of the network's input
    truth: Tensor  # (H, W) uint8 in {0, 1, VOID}, on the CPU


class EncodedSupport(NamedTuple):
    """One shot: its features, read as a query's are, and what the network keeps of it."""

    features: ImageFeatures  # in the form of the executor
    mask: Tensor  # of the network's input, float32 in [0, 1], on the CPU
    encoding: EncodedShots  # each (1, 1, ...)


class Gallery:
    """A data set under a protocol, seen through one network as it is served.

    It keeps what it computes until ``capacity_bytes`` are full, and computes the rest each time:
    episodes are random, so no image is worth more than another.
    """

    def __init__(
        self,
        executor: Executor,
        dataset: SegmentationDataset,
        protocol: Protocol,
        capacity_bytes: int = 8 << 30,
    ) -> None:
        self.executor, self.dataset, self.protocol = executor, dataset, protocol
        self.free_bytes = capacity_bytes
        self._kept: dict[Hashable, Any] = {}

    def query(self, view: View) -> EncodedQuery:
        """The image as a query of the view's class."""
        prepared = self._prepared(view)
        height, width = prepared.pixels.shape[-2:]
        return EncodedQuery(self._features(view, prepared), (height, width), prepared.truth)

    def support(self, view: View) -> EncodedSupport:
        """The image as a support of the view's class."""
        prepared = self._prepared(view)
        features = self._features(view, prepared)
        encoding = self._once(("encoding", view), lambda: self._encode(features, prepared))
        return EncodedSupport(features, prepared.support_mask, encoding)

    def photograph(self, view: View, size: tuple[int, int]) -> Photograph:
        """(H, W, 3), the image itself at the (H, W) ``size`` that is scored."""
        image, _ = self.dataset.load(view.sample, view.class_id)
        return np.ascontiguousarray(resize_image(image, size).transpose(1, 2, 0))

    def _prepared(self, view: View) -> Prepared:
        load, prepare = self.dataset.load, self.protocol.prepare
        return self._once(view, lambda: prepare(*load(view.sample, view.class_id)))

    def _features(self, view: View, prepared: Prepared) -> ImageFeatures:
        return self._once(view.sample, lambda: self.executor.read(prepared.pixels.numpy()))

    def _encode(self, features: ImageFeatures, prepared: Prepared) -> EncodedShots:
        support = PreparedSupport(prepared.pixels.numpy(), prepared.support_mask.numpy())
        return self.executor.encode(support, features)

    def _once(self, key: Hashable, compute: Callable[[], Computed]) -> Computed:
        """The value kept under the key; else it is computed, and kept where there is room."""
        if key in self._kept:
            kept: Computed = self._kept[key]
            return kept
        value = compute()
        size = sum(array.nbytes for array in value)
        if size <= self.free_bytes:
            self.free_bytes -= size
            self._kept[key] = value
        return value
