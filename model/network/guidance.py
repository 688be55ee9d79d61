"""The similarity guidance of SG-One (section 3.2): pooling, fusion, comparison."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from model.network.architecture import Similarity


def masked_average_pooling(
    features: Tensor, masks: Tensor, *, align_corners: bool = False
) -> Tensor:
    """(B, C, h, w) features and (B, H, W) masks in [0, 1] -> (B, C) prototypes (SG-One eq. 1).

    The paper resizes the features to the mask's size and averages over the object. Resizing is
    linear, so the mask goes through the transpose of that resize instead: one channel, not C.
    An empty mask, which Support refuses but resized labels can hold, gives a zero prototype and so
    no guidance. float32 whatever the features are.
    """
    height, width = masks.shape[-2:]
    rows = _resize_matrix(features.shape[-2], height, align_corners, features.device)
    columns = _resize_matrix(features.shape[-1], width, align_corners, features.device)
    masks = masks.float()
    weights = rows @ masks @ columns.T  # not einsum, which OpenVINO expands to all four axes
    totals = features.float().flatten(2) @ weights.flatten(1)[:, :, None]
    return totals[..., 0] / masks.sum(dim=(1, 2)).clamp(min=1e-12)[:, None]


def _resize_matrix(cells: int, pixels: int, align_corners: bool, device: torch.device) -> Tensor:
    """(cells, pixels) weights of torch's own bilinear resize along one axis."""
    identity = torch.eye(cells, device=device)[None]
    resized = F.interpolate(identity, size=pixels, mode="linear", align_corners=align_corners)
    return resized[0]


def fuse_prototypes(prototypes: Tensor) -> Tensor:
    """(B, K, C) prototypes of K shots -> (B, 1, C), their average (SG-One section 3.4)."""
    return prototypes.mean(dim=1, keepdim=True)


def guidance_map(features: Tensor, prototypes: Tensor) -> Tensor:
    """(B, C, h, w) features and (B, K, C) prototypes -> (B, K, h, w) cosine in [-1, 1] (eq. 2).

    Written as a product of normalised vectors: exporters know it, and it costs one matrix product.
    """
    directions = F.normalize(features.float(), dim=1, eps=1e-8)
    cosine = F.normalize(prototypes.float(), dim=2, eps=1e-8) @ directions.flatten(2)
    return cosine.view(*prototypes.shape[:2], *features.shape[-2:])


def distance_map(features: Tensor, prototypes: Tensor) -> Tensor:
    """(B, C, h, w) features and (B, K, C) prototypes -> (B, K, h, w), 0 where they are equal.

    Minus the Euclidean distance: what SG-One's section 4.5 compares with the cosine.
    """
    cells = features.float().flatten(2).transpose(1, 2)
    distances = torch.cdist(prototypes.float(), cells)
    return -distances.view(*distances.shape[:2], *features.shape[-2:])


SIMILARITIES: dict[Similarity, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": guidance_map,
    "l2": distance_map,
}


def union(logits: Tensor) -> Tensor:
    """(B, K, 2, H, W) logits of K shots -> (B, 2, H, W): the shot surest of the object, per pixel.

    Its mask is exactly the union of the K masks (SG-One section 3.4).
    """
    margins = logits[:, :, 1] - logits[:, :, 0]
    surest = margins.argmax(dim=1, keepdim=True)[:, :, None].expand(-1, 1, 2, -1, -1)
    return logits.gather(1, surest)[:, 0]
