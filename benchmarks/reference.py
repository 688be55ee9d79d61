"""A one-shot request as the authors' code computes it: eager torch, float32, NCHW.

Only what they do differently is written here; layers and weights are the network's own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.network.sgone import SGOne


@torch.no_grad()
def segment_naively(network: SGOne, support: Tensor, mask: Tensor, query: Tensor) -> Tensor:
    """(1, 3, H, W) normalised images, (1, H, W) mask in {0, 1} -> (1, 2, H', W') logits."""
    head: Any = network.head
    prototype = pool_naively(head.guidance(network.backbone(support)[-1]), mask)
    features = network.backbone(query)
    guidance = F.cosine_similarity(head.guidance(features[-1]), prototype[..., None, None], dim=1)
    stem, middle, deep = features
    fused = head.reduce_stem(stem).relu()
    fused = head.fuse_middle(torch.cat([fused, middle], dim=1)).relu()
    fused = head.fuse_deep(torch.cat([fused, deep], dim=1)) * guidance[:, None]
    logits = head.classify(head.refine(fused).relu())
    return F.interpolate(logits, size=query.shape[-2:], mode="bilinear", align_corners=False)


def pool_naively(features: Tensor, mask: Tensor) -> Tensor:
    """(1, 512, h, w) features -> (1, 512): all 512 channels are resized to the mask's size."""
    resized = F.interpolate(features, size=mask.shape[-2:], mode="bilinear", align_corners=False)
    return (resized * mask).sum(dim=(2, 3)) / mask.sum()
