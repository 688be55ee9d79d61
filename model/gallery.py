"""The images of an evaluation behind the backbone, each computed once for all its episodes."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from model.backbone import Features
from model.datasets.listing import SegmentationDataset
from model.heads import Encoding
from model.protocols import Prepared, Protocol
from model.sampling import View
from model.torch_executor import TorchExecutor

Tensors = TypeVar("Tensors", bound=tuple[Tensor, ...])


class EncodedQuery(NamedTuple):
    """A query behind the backbone, and what is counted in it."""

    features: Features  # each (1, C, h, w), on the device
    size: tuple[int, int]  # (height, width) of the network's input
    truth: Tensor  # (H, W) uint8 in {0, 1, VOID}, on the CPU


class EncodedSupport(NamedTuple):
    """One shot, behind the backbone as if it were a query, and behind the network."""

    features: Features  # each (1, C, h, w), on the device
    mask: Tensor  # of the network's input, float32 in [0, 1], on the CPU
    encoding: Encoding  # each (1, 1, ...), on the device


class Gallery:
    """A data set under a protocol, seen through one network.

    What is computed is kept until ``capacity_bytes`` are full, and from then on computed each time:
    episodes are random, so no image is worth more than another.
    """

    def __init__(
        self,
        executor: TorchExecutor,
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

    def _prepared(self, view: View) -> Prepared:
        load, prepare = self.dataset.load, self.protocol.prepare
        return self._once(view, lambda: prepare(*load(view.sample, view.class_id)))

    def _features(self, view: View, prepared: Prepared) -> Features:
        return self._once(view.sample, lambda: self._see(prepared.pixels))

    @torch.inference_mode()
    def _see(self, pixels: Tensor) -> Features:
        executor = self.executor
        features: Features = executor.network.backbone(executor.network_input(pixels[None]))
        return features

    @torch.inference_mode()
    def _encode(self, features: Features, prepared: Prepared) -> Encoding:
        network = self.executor.network
        masks = prepared.support_mask.to(self.executor.torch_device)[None]
        if network.backbone.reads_apart:
            features = network.backbone.read_supports(
                self.executor.network_input(prepared.pixels[None]), masks
            )
        return network.encode_features(features, masks[None])

    def _once(self, key: Hashable, compute: Callable[[], Tensors]) -> Tensors:
        """What is kept under the key, or computed, and kept where it fits."""
        if key in self._kept:
            kept: Tensors = self._kept[key]
            return kept
        value = compute()
        size = sum(tensor.nbytes for tensor in value)
        if size <= self.free_bytes:
            self.free_bytes -= size
            self._kept[key] = value
        return value
