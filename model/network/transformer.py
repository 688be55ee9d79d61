"""Vision transformers as chains of layers: DINOv2 and DINOv3, from their makers' own files.

Oquab et al. 2023, Siméoni et al. 2025. Names of weights are those of the files, so that loading
needs no table. Both give one map a block, at the stride of their patches.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Anatomy:
    """One member of a family: ``patch`` pixels a side, ``width`` channels, ``depth`` blocks.

    ``positions`` a side are learned (DINOv2); 0 turns queries and keys by their place (DINOv3).
    ``registers`` are tokens that no patch has. ``eps`` is that of the layer norms.
    """

    patch: int
    width: int
    depth: int
    heads: int
    positions: int
    registers: int
    eps: float


class Tokens(NamedTuple):
    """What blocks hand on: (B, n + h·w, C) tokens, those without a patch first, and (h, w)."""

    values: Tensor
    size: tuple[int, int]
    rotation: Tensor | None  # (2, h·w, C / heads), cosine and sine


class PatchEmbedding(nn.Module):
    """The first layer: an image's patches, what stands before them, and where they are."""

    def __init__(self, anatomy: Anatomy) -> None:
        super().__init__()
        self.anatomy, width = anatomy, anatomy.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        if anatomy.registers:
            self.storage_tokens = nn.Parameter(torch.zeros(1, anatomy.registers, width))
        if anatomy.positions:
            self.pos_embed = nn.Parameter(torch.zeros(1, anatomy.positions**2 + 1, width))
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(3, width, anatomy.patch, anatomy.patch)}
        )

    def forward(self, images: Tensor) -> Tokens:
        """(B, 3, H, W) normalised images; what is left of a whole patch at the end is not read."""
        patches: Tensor = self.patch_embed["proj"](images)
        batch, size = patches.shape[0], (patches.shape[-2], patches.shape[-1])
        before = [self.cls_token]
        if self.anatomy.registers:
            before.append(self.storage_tokens)
        cells = patches.flatten(2).transpose(1, 2)
        values = torch.cat([*(token.expand(batch, -1, -1) for token in before), cells], dim=1)
        if self.anatomy.positions:
            return Tokens(values + self._positions(size), size, None)
        channels = self.anatomy.width // self.anatomy.heads
        return Tokens(values, size, rotation(size, channels, images))

    def _positions(self, size: tuple[int, int]) -> Tensor:
        """The learned grid at this size, bicubic -> (1, 1 + h·w, C)."""
        side = self.anatomy.positions
        grid = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid.float(), size=size, mode="bicubic", align_corners=False)
        return torch.cat(
            [self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)], dim=1
        )


class Block(nn.Module):
    """Attention among all tokens, then two layers for each; both scaled and added."""

    def __init__(self, anatomy: Anatomy) -> None:
        super().__init__()
        width, eps = anatomy.width, anatomy.eps
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn = Attention(width, anatomy.heads)
        self.ls1, self.ls2 = Scale(width), Scale(width)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)}
        )

    def forward(self, tokens: Tokens) -> Tokens:
        """Tokens of the same number."""
        values = tokens.values
        values = values + self.ls1(self.attn(self.norm1(values), tokens.rotation))
        hidden = F.gelu(self.mlp["fc1"](self.norm2(values)))
        return tokens._replace(values=values + self.ls2(self.mlp["fc2"](hidden)))


class Attention(nn.Module):
    """Of ``heads`` heads; where a rotation is given, patches know their place by it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, values: Tensor, turned: Tensor | None) -> Tensor:
        """(B, n, C) and (2, patches, C / heads) -> (B, n, C)."""
        batch, count, width = values.shape
        split = self.qkv(values).view(batch, count, 3, self.heads, width // self.heads)
        queries, keys, seen = split.permute(2, 0, 3, 1, 4).unbind(0)
        if turned is not None:
            queries, keys = _turn(queries, turned), _turn(keys, turned)
        mixed = F.scaled_dot_product_attention(queries, keys, seen)
        return cast(Tensor, self.proj(mixed.transpose(1, 2).reshape(batch, count, width)))


class Scale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return values * self.gamma


class PatchMaps(nn.Module):
    """Tokens as the map of a tap: normalised by the last layer norm, patches only."""

    def __init__(self, anatomy: Anatomy) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(anatomy.width, anatomy.eps)
        self.before = 1 + anatomy.registers

    def forward(self, tokens: Tokens) -> Tensor:
        """-> (B, C, h, w)."""
        patches = self.norm(tokens.values)[:, self.before :]
        height, width = tokens.size
        return cast(Tensor, patches.transpose(1, 2).reshape(patches.shape[0], -1, height, width))


def rotation(size: tuple[int, int], channels: int, like: Tensor) -> Tensor:
    """Cosine and sine by which each patch's ``channels`` are turned -> (2, h·w, channels).

    Angles are those of the patch's centre in [-1, 1] over periods from 1 to 100.
    """
    steps = torch.arange(0, 1, 4 / channels, dtype=torch.float32, device=like.device)
    centres = [
        2 * (torch.arange(count, device=like.device, dtype=torch.float32) + 0.5) / count - 1
        for count in size
    ]
    rows, columns = centres[0][:, None], centres[1][None]
    places = torch.stack([rows + 0 * columns, 0 * rows + columns], dim=-1).flatten(0, 1)
    angles = (2 * math.pi * places[:, :, None] / 100**steps).flatten(1).tile(2)
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def _turn(values: Tensor, turned: Tensor) -> Tensor:
    """(B, heads, n, c), of which the last are patches, each channel turned with its partner."""
    before = values.shape[2] - turned.shape[1]
    patches = values[:, :, before:]
    first, second = patches.chunk(2, dim=-1)
    partners = torch.cat([-second, first], dim=-1)
    return torch.cat([values[:, :, :before], patches * turned[0] + partners * turned[1]], dim=2)


def transformer_layers(anatomy: Anatomy) -> nn.Sequential:
    """The embedding and all blocks: layer i is block i - 1."""
    return nn.Sequential(PatchEmbedding(anatomy), *(Block(anatomy) for _ in range(anatomy.depth)))


def transformer_name(name: str) -> str:
    """A tensor of the chain -> its name in the makers' file."""
    number, _, rest = name.partition(".")
    if number == "emit":
        return rest
    return rest if number == "0" else f"blocks.{int(number) - 1}.{rest}"


def _dinov2(width: int, depth: int, heads: int) -> Anatomy:
    return Anatomy(14, width, depth, heads, positions=37, registers=0, eps=1e-6)


def _dinov3(width: int, depth: int, heads: int) -> Anatomy:
    return Anatomy(16, width, depth, heads, positions=0, registers=4, eps=1e-5)


SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
"""Width, depth and heads."""
DINOV2 = {size: _dinov2(*numbers) for size, numbers in SIZES.items()}
DINOV3 = {size: _dinov3(*numbers) for size, numbers in SIZES.items()}
