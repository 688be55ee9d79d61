"""SG-One: one network reads support and query, and their similarity guides the segmentation."""

from typing import Literal

import torch.nn.functional as F
from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from model.backbone import BACKBONES, BackboneName, Features
from model.guidance import Fusion, fuse_prototypes, guidance_map, masked_average_pooling, union
from model.heads import SegmentationBranch


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SGOneConfig:
    """The architecture; it travels in the checkpoint. The defaults are the paper's.

    ``align_corners`` belongs to both resizes between feature cells and pixels. False is the
    authors' code; True puts cell i at pixel 8i, where strided layers centre it on images of
    8n + 1 pixels. ``exit_padding`` is 1 in weights converted from the authors' code.
    """

    backbone: BackboneName = "vgg16"
    guidance_channels: PositiveInt = 512
    branch_channels: PositiveInt = 128
    exit_padding: Literal[0, 1] = 0
    align_corners: bool = False


class SGOne(nn.Module):
    """Similarity Guidance Network (Zhang et al., 2018); random weights until some are loaded."""

    def __init__(self, config: SGOneConfig = SGOneConfig()) -> None:  # noqa: B008 - frozen
        super().__init__()
        self.config = config
        self.backbone = BACKBONES[config.backbone]()
        self.guidance = nn.Conv2d(
            self.backbone.channels[-1], config.guidance_channels, 3, padding=1
        )
        self.head = SegmentationBranch(
            self.backbone.channels, config.branch_channels, config.exit_padding
        )

    def encode_support(self, images: Tensor, masks: Tensor) -> Tensor:
        """(B, K, 3, H, W) images, (B, K, H, W) masks in [0, 1] -> (B, K, C) prototypes."""
        return self.pool_support(self.backbone(images.flatten(0, 1)), masks)

    def segment(self, query: Tensor, prototypes: Tensor, fusion: Fusion = "average") -> Tensor:
        """(B, 3, H, W) query, (B, K, C) prototypes -> (B, 2, H, W) logits, float32.

        Channel 1 is the object. ``average`` compares with the mean prototype; ``union`` segments
        once for each shot, on one set of features, and unites the masks.
        """
        height, width = query.shape[-2:]
        return self.segment_features(self.backbone(query), (height, width), prototypes, fusion)

    def forward(
        self, query: Tensor, images: Tensor, masks: Tensor, fusion: Fusion = "average"
    ) -> Tensor:
        """(B, 3, H, W) query, (B, K, 3, H', W') supports, (B, K, H', W') masks -> (B, 2, H, W)."""
        return self.segment(query, self.encode_support(images, masks), fusion)

    def pool_support(self, features: Features, masks: Tensor) -> Tensor:
        """``encode_support`` behind the backbone: features of B·K images -> (B, K, C)."""
        prototypes = masked_average_pooling(
            self.guidance(features.deep),
            masks.flatten(0, 1),
            align_corners=self.config.align_corners,
        )
        return prototypes.view(*masks.shape[:2], -1)

    def segment_features(
        self,
        features: Features,
        size: tuple[int, int],
        prototypes: Tensor,
        fusion: Fusion = "average",
    ) -> Tensor:
        """``segment`` behind the backbone; ``size`` is the query's (H, W)."""
        if fusion == "average":
            prototypes = fuse_prototypes(prototypes)
        guidance = guidance_map(self.guidance(features.deep), prototypes)
        batch, shots = guidance.shape[:2]
        fused = self.head.fuse(features).repeat_interleave(shots, dim=0)
        logits = F.interpolate(
            self.head(fused, guidance.flatten(0, 1)[:, None]).float(),
            size=size,
            mode="bilinear",
            align_corners=self.config.align_corners,
        )
        return union(logits.view(batch, shots, *logits.shape[1:]))
