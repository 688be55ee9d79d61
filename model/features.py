"""Features of a frozen backbone, computed once for each view and reused by every episode."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.backbone import Backbone, Features
from model.sampling import EpisodeViews, View, ViewLoader
from model.transforms import TransformConfig, normalise, object_weights


class FeatureBatch(NamedTuple):
    """B episodes of K shots behind the backbone, on its device."""

    supports: Features  # of B·K images
    support_masks: Tensor  # (B, K, H, W) float32
    query: Features  # of B images
    query_labels: Tensor  # (B, H, W) uint8 in {0, 1, VOID}
    class_ids: Tensor  # (B,) on the CPU


class FeatureStore:
    """Remembers features and labels of views until ``capacity_bytes`` are full.

    What comes after that is computed each time: draws are random, so no entry is worth more than
    another. The store works on a copy of the backbone, which therefore must not learn.
    """

    def __init__(
        self,
        backbone: Backbone,
        loader: ViewLoader,
        transform: TransformConfig,
        device: torch.device,
        dtype: torch.dtype,
        capacity_bytes: int = 8 << 30,
    ) -> None:
        backbone = copy.deepcopy(backbone).eval().requires_grad_(False)
        self.backbone = backbone.to(device, dtype).to(memory_format=torch.channels_last)
        self.loader, self.transform, self.device, self.dtype = loader, transform, device, dtype
        self.free_bytes = capacity_bytes
        self._entries: dict[View, tuple[Features, Tensor]] = {}

    def batch(self, episodes: Sequence[EpisodeViews]) -> FeatureBatch:
        """Features of a batch of episodes; new views go through the backbone together."""
        wanted = {view for episode in episodes for view in (episode.query, *episode.supports)}
        entries = {view: self._entries[view] for view in wanted & self._entries.keys()}
        entries |= self._compute(sorted(wanted - entries.keys()))
        queries = [entries[episode.query] for episode in episodes]
        supports = [entries[view] for episode in episodes for view in episode.supports]
        masks = torch.stack([object_weights(label) for _, label in supports])
        return FeatureBatch(
            _join(supports),
            masks.view(len(episodes), -1, *masks.shape[1:]),
            _join(queries),
            torch.stack([label for _, label in queries]),
            torch.tensor([episode.query.class_id for episode in episodes]),
        )

    @torch.no_grad()
    def _compute(self, views: Sequence[View]) -> dict[View, tuple[Features, Tensor]]:
        if not views:
            return {}
        images, labels = zip(*(self.loader.load(view) for view in views), strict=True)
        pixels = normalise(torch.stack(images).to(self.device), self.transform).to(
            dtype=self.dtype, memory_format=torch.channels_last
        )
        with torch.autocast(self.device.type, enabled=False):
            stages = self.backbone(pixels)
        entries = {
            view: (
                Features(*(stage[row : row + 1].clone() for stage in stages)),
                label.to(self.device),
            )
            for row, (view, label) in enumerate(zip(views, labels, strict=True))
        }
        for view, (features, label) in entries.items():
            size = sum(stage.nbytes for stage in features) + label.nbytes
            if size <= self.free_bytes:
                self._entries[view] = (features, label)
                self.free_bytes -= size
        return entries


def _join(entries: Sequence[tuple[Features, Tensor]]) -> Features:
    return Features(*(torch.cat(stage) for stage in zip(*(e[0] for e in entries), strict=True)))
