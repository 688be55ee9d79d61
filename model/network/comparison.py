"""One tap's features of a query against those of its supports, cell by cell."""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARPNESS = 10.0
"""Inverse temperature of attention over cosines; the learned one starts there."""

SUREST_SHARE, REST_SHARE = 0.05, 0.5
"""Shares of a query's cells that speak for its object and for its background."""

FIXED_MAPS = 7
"""Maps of ``TapComparison.fixed_maps``."""

CROSS_REFERENCES = 3
"""Numbers of ``TapComparison.cross_reference``."""


class LearnedAttention(nn.Module):
    """Attention of query cells over support cells, by a learned metric: the mask as they see it.

    ``heads`` projections of ``width`` channels; each attends by cosine, with its own sharpness.
    """

    def __init__(self, channels: int, heads: int, width: int = 32) -> None:
        super().__init__()
        self.heads, self.scale = heads, math.sqrt(channels)
        self.project = nn.Linear(channels, heads * width, bias=False)
        self.sharpness = nn.Parameter(torch.full((heads, 1, 1), math.log(SHARPNESS)))

    def forward(self, queries: Tensor, supports: Tensor, shares: Tensor) -> Tensor:
        """(B, n, C) and (B, m, C) directions, (B, m) object shares -> (B, heads, n) in [0, 1]."""
        asking = self._metric(queries) * self.sharpness.exp().to(queries.dtype)
        asked = self._metric(supports)
        # The fused kernel wants values as wide as its keys; it never writes the n by m cosines.
        values = shares[:, None, :, None].to(asked.dtype).expand_as(asked).contiguous()
        seen = F.scaled_dot_product_attention(asking, asked, values, scale=1.0)
        return seen[..., 0]

    def _metric(self, cells: Tensor) -> Tensor:
        projected: Tensor = self.project(cells * self.scale)
        split = projected.view(*cells.shape[:2], self.heads, -1).transpose(1, 2)
        return F.normalize(split, dim=-1)


class TapComparison:
    """A query's map and its supports' cells, centred on their common mean.

    The mean of a photograph's features says more of the network than of the photograph; without it
    objects of held-out classes stand out better at every tap.
    """

    def __init__(self, features: Tensor, supports: Tensor, shares: Tensor) -> None:
        """(B, C, h, w) features, (B, m, C) support cells, (B, m) object's share of each."""
        self.size = (features.shape[-2], features.shape[-1])
        cells, supports = to_cells(features).float(), supports.float()
        mean = (cells.mean(dim=1, keepdim=True) + supports.mean(dim=1, keepdim=True)) / 2
        self.cells, self.supports, self.shares = cells - mean, supports - mean, shares
        self.directions = F.normalize(self.cells, dim=-1).to(features.dtype)
        self.support_directions = F.normalize(self.supports, dim=-1).to(features.dtype)
        self.cosine = self.directions @ self.support_directions.transpose(1, 2)

    def attention(self) -> Tensor:
        """-> (B, 1, h, w): the supports' mask as the query's cells see it, without learning."""
        weights = (self.cosine * SHARPNESS).softmax(dim=-1)
        return self._as_maps(weights @ self.shares[..., None])

    def fixed_maps(self, attention: Tensor, guess: Tensor) -> Tensor:
        """-> (B, FIXED_MAPS, h, w).

        The attention; cosine with the prototypes of object and background (SG-One eq. 1 and 2);
        cosine with the closest cell of each (PFENet); cosine with the prototypes of the query's own
        surest cells (SSP), as a (B, 1, h', w') ``guess`` of any size has it.
        """
        guess = resize_maps(guess, self.size)
        shares, certain = self.shares, self.shares.amax(dim=1, keepdim=True).clamp(min=1e-4)
        prototypes = torch.cat(
            [
                _prototypes(self.supports, torch.stack([shares, 1 - shares], dim=1)),
                _prototypes(self.cells, torch.stack(_surest(guess.flatten(1)), dim=1)),
            ],
            dim=1,
        )
        similar = self.directions @ prototypes.to(self.directions.dtype).transpose(1, 2)
        closest = [self._closest(chosen) for chosen in (shares >= 0.5 * certain, shares < 0.05)]
        maps = torch.cat([similar[..., :2], *closest, similar[..., 2:]], dim=2)
        return torch.cat([attention, self._as_maps(maps)], dim=1)

    def cross_reference(self, marked: Tensor) -> Tensor:
        """(B, 1, h', w') probability in the query, of any size -> (B, CROSS_REFERENCES).

        What is marked, sought in the support: its prototype's cosine with the object there, and
        with the rest; and how alike the most alike marked cell is, over the object's cells. A
        query without the object marks what is like the support's background as well.
        """
        weights = resize_maps(marked, self.size).flatten(1).float()
        prototype = _prototypes(self.cells, weights[:, None])
        similar = (self.support_directions.float() @ prototype.transpose(1, 2))[..., 0]
        unmarked = ((weights - 1) * 2).to(self.cosine.dtype)
        explained = (self.cosine + unmarked[..., None]).amax(dim=1).float().clamp(min=-1)
        shares = self.shares.float()
        return torch.stack(
            [
                _weighted_mean(similar, shares),
                _weighted_mean(similar, 1 - shares),
                _weighted_mean(explained, shares),
            ],
            dim=1,
        )

    def learned_maps(self, attention: nn.Module) -> Tensor:
        """``attention`` is a LearnedAttention -> (B, heads, h, w)."""
        seen: Tensor = attention(self.directions, self.support_directions, self.shares)
        return self._as_maps(seen.transpose(1, 2))

    def _closest(self, chosen: Tensor) -> Tensor:
        """(B, m) bool -> (B, n, 1), the highest cosine with a chosen cell; -1 without one."""
        beyond = (chosen[:, None].to(self.cosine.dtype) - 1) * 4  # to add is faster than to fill
        return (self.cosine + beyond).amax(dim=2, keepdim=True).clamp(min=-1)

    def _as_maps(self, cells: Tensor) -> Tensor:
        """(B, n, M) -> (B, M, h, w)."""
        return cells.transpose(1, 2).reshape(cells.shape[0], cells.shape[2], *self.size)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """(B, m) and (B, m) -> (B,); 0 where nothing weighs."""
    return (values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-4)


def directions(features: Tensor) -> Tensor:
    """(B, C, h, w) -> the same, centred on each image's mean, each cell of length √C / 4."""
    cells = features.float()
    centred = cells - cells.mean(dim=(2, 3), keepdim=True)
    length = math.sqrt(features.shape[1]) / 4
    return (F.normalize(centred, dim=1) * length).to(features.dtype)


def first_guess(attentions: Sequence[Tensor]) -> Tensor:
    """(B, 1, h, w) attention of each tap, finest first -> (B, 1, h, w): their standardised sum."""
    finest = (attentions[0].shape[-2], attentions[0].shape[-1])
    standardised = (
        (maps - maps.mean(dim=(2, 3), keepdim=True)) / (maps.std(dim=(2, 3), keepdim=True) + 1e-6)
        for maps in attentions
    )
    return torch.stack([resize_maps(maps, finest) for maps in standardised]).sum(dim=0)


def _prototypes(cells: Tensor, weights: Tensor) -> Tensor:
    """(B, n, C) cells, (B, P, n) weights -> (B, P, C), the directions of their weighted sums."""
    return F.normalize(weights.float() @ cells, dim=-1)


def _surest(guess: Tensor) -> tuple[Tensor, Tensor]:
    """(B, n) guess -> the cells that are surely object, and those that are surely not."""
    count = torch.as_tensor(guess.shape[1])  # a tensor, so that a trace follows it as well
    surest, rest = (SUREST_SHARE * count).long().clamp(min=4), (REST_SHARE * count).long()
    highest = guess.topk(cast(int, surest), dim=1).values[:, -1:]
    lowest = guess.topk(cast(int, rest), dim=1, largest=False).values[:, -1:]
    return (guess >= highest).float(), (guess <= lowest).float()


def to_cells(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h·w, C)."""
    return features.flatten(2).transpose(1, 2)


def pool_cells(features: Tensor, side: int) -> Tensor:
    """(B, C, h, w) -> (B, side², C), the means over a grid of ``side`` cells a side.

    As torch's ``adaptive_avg_pool2d``, on which OpenVINO spent most of an encoding's time.
    """
    rows = _pooling_matrix(features.shape[-2], side, features)
    columns = _pooling_matrix(features.shape[-1], side, features)
    return to_cells(rows @ features @ columns.T)


def _pooling_matrix(cells: int, side: int, like: Tensor) -> Tensor:
    """(side, cells); row i is the mean of the cells from ⌊i · cells / side⌋ to
    ⌈(i + 1) · cells / side⌉.
    """
    bounds = torch.arange(side + 1, device=like.device) * cells
    cell = torch.arange(cells, device=like.device)
    first, end = bounds[:-1, None] // side, (bounds[1:, None] + side - 1) // side
    inside = ((cell >= first) & (cell < end)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


def resize_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, corner cells on corner cells: cell i of every tap lies at pixel i · stride."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=True)
