"""A head that sees similarities and little else, so that it learns to compare, not the classes.

Every tap of the backbone is compared with the same tap of the supports, and small convolutions turn
the comparisons into a mask, from coarse to fine. It joins known parts: masked average pooling of
object and background (SG-One), the closest cell of the object (PFENet's prior), all depths instead
of the last (HSNet), attention over the support's mask (DCAMA), and prototypes of the query's own
surest cells (SSP).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.network.architecture import SGOneConfig
from model.network.backbone import Features
from model.network.comparison import (
    CROSS_REFERENCES,
    FIXED_MAPS,
    LearnedAttention,
    TapComparison,
    directions,
    first_guess,
    pool_cells,
    resize_maps,
)
from model.network.heads import Encoding, highest_margin

COARSE = 32
"""The stride from which a support keeps half the cells a side."""
LEARNED = 14
"""The stride from which a metric is learned: finer ones cost as much as all others together."""


FAVOUR = 20.0
"""Inverse temperature by which a map's highest cells speak for it."""


class MatchingHead(nn.Module):
    """Comparisons of all taps, mixed from the coarsest scale to the finest.

    A support is kept as a fixed number of cells a tap whatever its size, so that shots stack, and
    K shots are one support of K times as many cells. Of the query's own features the convolutions
    see ``query_channels`` a scale: enough for outlines, too few to know classes by.
    """

    def __init__(
        self, channels: tuple[int, ...], strides: tuple[int, ...], config: SGOneConfig
    ) -> None:
        super().__init__()
        width, heads, own = config.branch_channels, config.attention_heads, config.query_channels
        least = config.compared_stride
        self.first = next(tap for tap, stride in enumerate(strides) if stride >= least)
        self.sides = tuple(
            config.support_cells if stride < COARSE else (config.support_cells + 1) // 2
            for stride in strides[self.first :]
        )
        self.scales = tuple(
            tuple(tap for tap, stride in enumerate(strides) if stride == one)
            for one in sorted(set(strides), reverse=True)
        )
        compared = [sum(tap >= self.first for tap in taps) for taps in self.scales]
        self.attention = nn.ModuleList(
            LearnedAttention(wide, heads) if stride >= LEARNED else nn.Identity()
            for wide, stride in zip(channels[self.first :], strides[self.first :], strict=True)
        )
        self.outline = nn.ModuleList(nn.Conv2d(channels[taps[-1]], own, 1) for taps in self.scales)
        self.read = nn.ModuleList(
            _convolution((FIXED_MAPS + heads * (strides[taps[0]] >= LEARNED)) * count + own, width)
            for taps, count in zip(self.scales, compared, strict=True)
        )
        self.mix = nn.ModuleList(
            nn.Sequential(_convolution(width * inputs, width), _convolution(width, width))
            for inputs in (1, *[2] * (len(self.scales) - 1))
        )
        self.classify = nn.Conv2d(width, 2, 1)
        self.presence = PresenceBranch(sum(compared)) if config.presence else None

    def encode(self, features: Features, masks: Tensor) -> Encoding:
        """Features of B·K supports, (B, K, H, W) masks in [0, 1] -> cells and shares of each tap.

        Cells are (B, K, n, C), the object's share of each (B, K, n, 1).
        """
        encoding = []
        for maps, side in zip(features[self.first :], self.sides, strict=True):
            for pixels in (maps, masks.flatten(0, 1)[:, None].to(maps.dtype)):
                cells = pool_cells(pixels, side)
                encoding.append(cells.view(*masks.shape[:2], side * side, -1))
        return tuple(encoding)

    def fuse_shots(self, encoding: Encoding) -> Encoding:
        """K shots -> one of K times as many cells."""
        return tuple(cells.flatten(1, 2)[:, None] for cells in encoding)

    def forward(self, features: Features, encoding: Encoding) -> Tensor:
        """Features of B queries and K shots each -> (B, K, 2, h, w) logits."""
        return self.find(features, encoding)[0]

    def find(self, features: Features, encoding: Encoding) -> tuple[Tensor, Tensor]:
        """-> (B, K, 2, h, w) logits, and (B, K) logits of the object's presence.

        Without a presence branch those are the surest cells' margins.
        """
        batch, shots = encoding[0].shape[:2]
        features = tuple(maps.repeat_interleave(shots, dim=0) for maps in features)
        cells = [tensor.flatten(0, 1) for tensor in encoding]
        taps = [
            TapComparison(maps, supports, shares[..., 0])
            for maps, supports, shares in zip(
                features[self.first :], cells[::2], cells[1::2], strict=True
            )
        ]
        compared = self._compare(taps)
        mixed = self._mix(features, compared)
        logits: Tensor = self.classify(mixed)
        if self.presence is None:
            presence = highest_margin(logits)
        else:
            fixed = [maps[:, :FIXED_MAPS] for maps in compared]
            presence = self.presence(taps, fixed, logits)
        return logits.view(batch, shots, *logits.shape[1:]), presence.view(batch, shots)

    def _compare(self, taps: list[TapComparison]) -> list[Tensor]:
        """-> every map of every compared tap, each (B, maps, h, w)."""
        attentions = [tap.attention() for tap in taps]
        guess = first_guess(attentions)
        fixed = [
            tap.fixed_maps(attention, guess)
            for tap, attention in zip(taps, attentions, strict=True)
        ]
        return [
            torch.cat([maps, tap.learned_maps(learned)], dim=1)
            if isinstance(learned, LearnedAttention)
            else maps
            for tap, maps, learned in zip(taps, fixed, self.attention, strict=True)
        ]

    def _mix(self, features: Features, compared: list[Tensor]) -> Tensor:
        """-> (B, width, h, w) at the finest scale."""
        mixed: Tensor | None = None
        for taps, outline, read, mix in zip(
            self.scales, self.outline, self.read, self.mix, strict=True
        ):
            maps = [compared[tap - self.first] for tap in taps if tap >= self.first]
            seen: Tensor = read(torch.cat([*maps, outline(directions(features[taps[-1]]))], dim=1))
            if mixed is not None:
                size = (seen.shape[-2], seen.shape[-1])
                seen = torch.cat([seen, resize_maps(mixed, size)], dim=1)
            mixed = mix(seen)
        assert mixed is not None
        return mixed


class PresenceBranch(nn.Module):
    """Whether the object is there at all: how alike the most alike cells are, what is marked, and
    whether the support's object is what that looks like in turn.

    A logistic regression of comparisons that no training can change, so that it holds for any
    object: of held-out classes it tells more than layers behind the segmentation's last maps do.
    """

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.weigh = nn.Linear((2 * FIXED_MAPS + CROSS_REFERENCES) * taps + 2, 1)

    def forward(
        self, taps: Sequence[TapComparison], fixed: Sequence[Tensor], logits: Tensor
    ) -> Tensor:
        """The taps, their fixed maps and the (B, 2, h, w) logits -> (B,) logit."""
        seen = self.summarise(taps, fixed, logits)
        weighed: Tensor = self.weigh(seen.to(self.weigh.weight.dtype))
        return weighed[:, 0].float()

    def summarise(
        self, taps: Sequence[TapComparison], fixed: Sequence[Tensor], logits: Tensor
    ) -> Tensor:
        """-> (B, numbers), all that presence is told by."""
        margin = logits[:, 1:] - logits[:, :1]
        parts = [_summary(maps) for maps in fixed]
        parts += [tap.cross_reference(margin.sigmoid()) for tap in taps]
        return torch.cat([*parts, _summary(margin) / 8], dim=1)


def _summary(maps: Tensor) -> Tensor:
    """(B, M, h, w) -> (B, 2M): the mean, and the mean that favours the highest cells."""
    cells = maps.flatten(2).float()
    highest = ((cells * FAVOUR).softmax(dim=2) * cells).sum(dim=2)
    return torch.cat([cells.mean(dim=2), highest], dim=1)


def _convolution(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.GroupNorm(4, width), nn.ReLU()
    )
