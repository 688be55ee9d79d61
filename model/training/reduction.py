"""The 1×1 convolutions behind wide taps, as the principal components of what the taps see.

They are found once, before the first step, and do not learn: a metric that is learned fits the
classes that it is learned from, and components of no class in particular do not.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from model.network.backbone import Backbone

CELLS = 100
"""Random cells that each image gives to each tap's statistics."""


@torch.no_grad()
def fit_reduction(backbone: Backbone, images: Iterable[Tensor], seed: int) -> None:
    """Batches of (B, 3, H, W) normalised images; nothing happens where no tap is reduced.

    A component keeps its length, so that cosines of the reduced taps are those of the wide ones as
    far as the components reach: to weigh all alike lost 1.5 points of mIoU without training.
    """
    if not backbone.reduced:
        return
    backbone.eval()  # batch statistics stay ImageNet's
    generator = torch.Generator().manual_seed(seed)
    seen: list[list[Tensor]] = [[] for _ in backbone.reduced]
    for batch in images:
        for cells, maps in zip(seen, backbone.read_taps(batch), strict=True):
            flat = maps.flatten(2).transpose(1, 2).float().cpu()
            chosen = torch.randperm(flat.shape[1], generator=generator)[:CELLS]
            cells.append(flat[:, chosen].flatten(0, 1))
    for reduce, cells in zip(backbone.reduce, seen, strict=True):
        weight = cast(nn.Conv2d, reduce).weight
        components = principal_components(torch.cat(cells), weight.shape[0])
        weight.copy_(components[:, :, None, None])


def principal_components(cells: Tensor, count: int) -> Tensor:
    """(N, C) -> (count, C) directions of unit length, those of the highest variance first."""
    centred = cells - cells.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred / len(cells))
    components: Tensor = directions.flip(1)[:, :count].T
    return components * components.sum(dim=1, keepdim=True).sign()
