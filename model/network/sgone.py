"""SG-One: one network reads support and query, and their similarity guides the segmentation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.episode import Fusion
from model.network.architecture import SGOneConfig
from model.network.backbone import Backbone, Features
from model.network.guidance import union
from model.network.heads import Encoding, GuidanceBranch, GuidanceHead, SimilarityHead
from model.network.matching import MatchingHead
from model.network.siamese import SiameseBackbone

__all__ = ["SGOne", "SGOneConfig"]


class SGOne(nn.Module):
    """Similarity Guidance Network (Zhang et al., 2018); random weights until some are loaded."""

    def __init__(self, config: SGOneConfig = SGOneConfig()) -> None:  # noqa: B008 - frozen
        super().__init__()
        self.config = config
        self.backbone = SiameseBackbone(config)
        self.head = _build_head(self.backbone, config)

    def encode_support(self, images: Tensor, masks: Tensor) -> Encoding:
        """(B, K, 3, H, W) images, (B, K, H, W) masks in [0, 1] -> what the head keeps of them."""
        features = self.backbone.read_supports(images.flatten(0, 1), masks.flatten(0, 1))
        return self.encode_features(features, masks)

    def segment(self, query: Tensor, encoding: Encoding, fusion: Fusion = "average") -> Tensor:
        """(B, 3, H, W) query and K encoded supports -> (B, 2, H, W) logits, float32.

        Channel 1 is the object. ``average`` compares with all shots at once; ``union`` segments
        once for each shot, on one set of features, and unites the masks.
        """
        height, width = query.shape[-2:]
        return self.segment_features(self.backbone(query), (height, width), encoding, fusion)

    def forward(
        self, query: Tensor, images: Tensor, masks: Tensor, fusion: Fusion = "average"
    ) -> Tensor:
        """(B, 3, H, W) query, (B, K, 3, H', W') supports, (B, K, H', W') masks -> (B, 2, H, W)."""
        return self.segment(query, self.encode_support(images, masks), fusion)

    def encode_features(self, features: Features, masks: Tensor) -> Encoding:
        """``encode_support`` behind the backbone: features of B·K images.

        Every pixel counts where it is not pooling that tells the object.
        """
        pooled = masks if self.config.support_mask == "pooling" else torch.ones_like(masks)
        return self.head.encode(features, pooled)

    def segment_features(
        self,
        features: Features,
        size: tuple[int, int],
        encoding: Encoding,
        fusion: Fusion = "average",
    ) -> Tensor:
        """``segment`` behind the backbone; ``size`` is the query's (H, W)."""
        return self.find_features(features, size, encoding, fusion)[0]

    def find_features(
        self,
        features: Features,
        size: tuple[int, int],
        encoding: Encoding,
        fusion: Fusion = "average",
    ) -> tuple[Tensor, Tensor]:
        """-> (B, 2, H, W) logits, and (B,) of presence; of a union the surest shot's."""
        if fusion == "average":
            encoding = self.head.fuse_shots(encoding)
        logits, presence = self.head.find(features, encoding)
        resized = F.interpolate(
            logits.flatten(0, 1).float(),
            size=size,
            mode="bilinear",
            align_corners=self.config.align_corners,
        )
        return union(resized.view(*logits.shape[:3], *size)), presence.amax(dim=1)


def _build_head(backbone: Backbone, config: SGOneConfig) -> GuidanceBranch | MatchingHead:
    if config.head == "matching":
        return MatchingHead(backbone.channels, backbone.strides, config)
    head = GuidanceHead if config.segmentation_branch else SimilarityHead
    return head(backbone.channels, config)
