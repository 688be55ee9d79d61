"""The teacher of a distillation: ImageNet's MobileNetV2, its maps and its class scores."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.errors import CheckpointError
from model.network.weights import read_weights

BLOCKS = {6: 32, 13: 96, 17: 320, 18: 1280}
"""Blocks of torchvision's ``mobilenet_v2().features`` that are imitated, and their channels."""

EPSILON = 1e-5
"""Added to each channel's variance: some channels are nearly dead."""


class Lesson(NamedTuple):
    """What the teacher says of B views."""

    maps: dict[int, Tensor]  # block -> (B, C, h, w), each channel of mean 0 and deviation 1
    logits: Tensor  # (B, 1000)


class Teacher(nn.Module):
    """MobileNetV2 at its own strides (8, 16, 32, 32), not the dilated backbone: it never learns.

    Its batch normalisation is folded away. Views must be 32n + 1 pixels a side: there torch's
    padding is TensorFlow's, which the weights may have been trained with, and cells of all strides
    begin at the same corner.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.network = torchvision.models.mobilenet_v2()
        try:
            self.network.load_state_dict(read_weights(weights))
        except RuntimeError as error:
            raise CheckpointError(
                f"{weights} does not hold torchvision's mobilenet_v2 with classifier ({error})"
            ) from error
        _fold(self.network.eval())
        self.standards = nn.ModuleDict(
            {
                str(block): nn.BatchNorm2d(width, EPSILON, momentum=None, affine=False)
                for block, width in BLOCKS.items()
            }
        )
        self.requires_grad_(False).eval()

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Measure each channel's mean and deviation on normalised views."""
        self.standards.train()
        for views in batches:
            self(views)
        self.standards.eval()

    @torch.no_grad()
    def forward(self, views: Tensor) -> Lesson:
        """(B, 3, 32n + 1, 32n + 1) normalised views -> Lesson."""
        maps = {}
        for block, layer in enumerate(self.network.features):
            views = layer(views)
            if block in BLOCKS:
                maps[block] = self.standards[str(block)](views.float())
        return Lesson(maps, self.network.classifier(views.mean((2, 3))).float())

    def classify(self, standardised: Tensor) -> Tensor:
        """(B, 1280, h, w) maps like block 18's -> (B, 1000) logits; gradients pass through."""
        standard = self.standards["18"]
        deviation = (standard.get_buffer("running_var") + EPSILON).sqrt()
        pooled = standardised.mean((2, 3)) * deviation + standard.get_buffer("running_mean")
        logits: Tensor = self.network.classifier(pooled)
        return logits


def _fold(network: nn.Module) -> None:
    """Batch normalisation into the convolution before it, in place."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for index, (layer, after) in enumerate(pairwise(module)):
                if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                    module[index] = fuse_conv_bn_eval(layer, after)
                    module[index + 1] = nn.Identity()
