"""Segmentation heads: query features and guidance in, two logits for each feature cell out."""

import torch
from torch import Tensor, nn

from model.backbone import Features


class SegmentationBranch(nn.Module):
    """The paper's segmentation branch (SG-One section 4.2, Figure 2).

    The query's features are fused from shallow to deep, multiplied by the guidance map, and
    classified. ``exit_padding`` is 0; 1 reproduces the authors' code, whose 1×1 exit convolution
    adds a ring of bias-only cells around the map.
    """

    def __init__(self, channels: tuple[int, int, int], width: int, exit_padding: int = 0) -> None:
        super().__init__()
        stem, middle, deep = channels
        self.reduce_stem = nn.Conv2d(stem, width, 3, padding=1)
        self.fuse_middle = nn.Conv2d(width + middle, width, 3, padding=1)
        self.fuse_deep = nn.Conv2d(width + deep, width, 3, padding=1)
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.classify = nn.Conv2d(width, 2, 1, padding=exit_padding)

    def fuse(self, features: Features) -> Tensor:
        """Features -> (B, width, h, w), the part that depends on the query alone."""
        fused: Tensor = self.reduce_stem(features.stem).relu()
        fused = self.fuse_middle(torch.cat([fused, features.middle], dim=1)).relu()
        fused = self.fuse_deep(torch.cat([fused, features.deep], dim=1))
        return fused

    def forward(self, fused: Tensor, guidance: Tensor) -> Tensor:
        """(B, width, h, w) fused features and (B, 1, h, w) guidance -> (B, 2, h, w) logits."""
        logits: Tensor = self.classify(self.refine(fused * guidance.to(fused.dtype)).relu())
        return logits
