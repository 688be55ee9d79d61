"""Heads: what is kept of a support, and how a query's features are compared with it."""

from typing import cast

import torch
from torch import Tensor, nn

from model.network.architecture import SGOneConfig
from model.network.backbone import Features
from model.network.guidance import SIMILARITIES, fuse_prototypes, masked_average_pooling

Encoding = tuple[Tensor, ...]
"""What a head keeps of K supports, each tensor (B, K, ...)."""


def highest_margin(logits: Tensor) -> Tensor:
    """(..., 2, h, w) logits -> (...), that of the surest cell: what tells presence untrained."""
    return (logits[..., 1, :, :] - logits[..., 0, :, :]).amax(dim=(-2, -1))


class GuidanceBranch(nn.Module):
    """The last convolution of the guidance branch, and the comparison (SG-One section 3.2)."""

    def __init__(self, channels: tuple[int, ...], config: SGOneConfig) -> None:
        super().__init__()
        deep, width = channels[-1], config.guidance_channels
        separate = config.separate_networks
        self.align_corners = config.align_corners
        self.compare = SIMILARITIES[config.similarity]
        self.activate = nn.ReLU() if config.guidance_relu else nn.Identity()
        self.guidance = nn.Conv2d(deep, width, 3, padding=1)
        self.support_guidance = nn.Conv2d(deep, width, 3, padding=1) if separate else None

    @property
    def guidance_convolutions(self) -> tuple[nn.Conv2d, ...]:
        """One, or one for queries and one for supports."""
        both = (self.guidance, self.support_guidance)
        return tuple(convolution for convolution in both if convolution is not None)

    @torch.no_grad()
    def centre(self, mean: Tensor) -> None:
        """Let the guidance convolutions hand the deepest features on, less their (C,) mean."""
        for convolution in self.guidance_convolutions:
            nn.init.dirac_(convolution.weight)
            cast(Tensor, convolution.bias).copy_(-mean)

    def encode(self, features: Features, masks: Tensor) -> Encoding:
        """Features of B·K supports, (B, K, H, W) masks in [0, 1] -> (B, K, C) prototypes."""
        convolution = self.support_guidance or self.guidance
        prototypes = masked_average_pooling(
            self.activate(convolution(features[-1])),
            masks.flatten(0, 1),
            align_corners=self.align_corners,
        )
        return (prototypes.view(*masks.shape[:2], -1),)

    def fuse_shots(self, encoding: Encoding) -> Encoding:
        """K shots -> one: their mean prototype."""
        return (fuse_prototypes(*encoding),)

    def find(self, features: Features, encoding: Encoding) -> tuple[Tensor, Tensor]:
        """-> (B, K, 2, h, w) logits, and (B, K) logits of the object's presence."""
        logits: Tensor = self(features, encoding)
        return logits, highest_margin(logits)

    def guide(self, features: Features, encoding: Encoding) -> Tensor:
        """Features of B queries and K prototypes each -> (B, K, 1, h, w) similarity."""
        guidance = self.compare(self.activate(self.guidance(features[-1])), *encoding)
        return guidance[:, :, None].to(features[0].dtype)


class SimilarityHead(GuidanceBranch):
    """Without the segmentation branch: the guidance map alone is classified."""

    def __init__(self, channels: tuple[int, ...], config: SGOneConfig) -> None:
        super().__init__(channels, config)
        self.classify = nn.Conv2d(1, 2, 1)

    def forward(self, features: Features, encoding: Encoding) -> Tensor:
        """Features of B queries and K prototypes each -> (B, K, 2, h, w) logits."""
        guidance = self.guide(features, encoding)
        logits: Tensor = self.classify(guidance.flatten(0, 1))
        return logits.view(*guidance.shape[:2], *logits.shape[1:])


class GuidanceHead(GuidanceBranch):
    """The paper's head: the guidance map guides a segmentation branch.

    SG-One sections 3.2 and 4.2, Figure 2. The query's features are fused from shallow to deep,
    multiplied by the guidance map, and classified. ``exit_padding`` is 0; 1 reproduces the authors'
    code, whose 1×1 exit convolution adds a ring of bias-only cells around the map.
    """

    def __init__(self, channels: tuple[int, ...], config: SGOneConfig) -> None:
        super().__init__(channels, config)
        stem, middle, deep = channels if config.concatenate else (channels[0], 0, 0)
        width = config.branch_channels
        self.concatenate = config.concatenate
        self.reduce_stem = nn.Conv2d(stem, width, 3, padding=1)
        self.fuse_middle = nn.Conv2d(width + middle, width, 3, padding=1)
        self.fuse_deep = nn.Conv2d(width + deep, width, 3, padding=1)
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.classify = nn.Conv2d(width, 2, 1, padding=config.exit_padding)

    def forward(self, features: Features, encoding: Encoding) -> Tensor:
        """Features of B queries and K prototypes each -> (B, K, 2, h, w) logits."""
        fused = self._fuse_depths(features)[:, None] * self.guide(features, encoding)
        logits: Tensor = self.classify(self.refine(fused.flatten(0, 1)).relu())
        return logits.view(*fused.shape[:2], *logits.shape[1:])

    def _fuse_depths(self, features: Features) -> Tensor:
        """-> (B, width, h, w), the part that depends on the query alone."""
        stem, middle, deep = features
        fused: Tensor = self.reduce_stem(stem).relu()
        fused = self.fuse_middle(self._beside(fused, middle)).relu()
        fused = self.fuse_deep(self._beside(fused, deep))
        return fused

    def _beside(self, fused: Tensor, features: Tensor) -> Tensor:
        return torch.cat([fused, features], dim=1) if self.concatenate else fused
