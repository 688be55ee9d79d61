"""Backbones: an image in, feature maps of three depths out, all at stride 8."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from model.errors import CheckpointError

STRIDE = 8
"""Pixels between two neighbouring feature cells, for every backbone."""


class Features(NamedTuple):
    """Feature maps of one batch, each (B, C, h, w) with h = ceil(H / 8), w = ceil(W / 8)."""

    stem: Tensor
    middle: Tensor
    deep: Tensor


class Backbone(nn.Module):
    """Three stages in a row; ``channels`` are the widths of stem, middle and deep.

    Batch statistics stay the pre-trained ones: an episode holds too few images to estimate them.
    """

    def __init__(
        self, stem: nn.Module, middle: nn.Module, deep: nn.Module, channels: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self.stem, self.middle, self.deep = stem, middle, deep
        self.channels = channels

    def forward(self, images: Tensor) -> Features:
        """(B, 3, H, W) normalised images -> Features."""
        stem = self.stem(images)
        middle = self.middle(stem)
        return Features(stem, middle, self.deep(middle))

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of every layer but batch normalisation, which keeps its statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def vgg16() -> Backbone:
    """VGG-16 up to conv5_3, pools of kernel 3 and padding 1, the last two at stride 1 (SG-One)."""
    layers = torchvision.models.vgg16().features
    pools = [index for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    for index, stride in zip(pools, (2, 2, 2, 1, 1), strict=True):
        layers[index] = nn.MaxPool2d(kernel_size=3, stride=stride, padding=1)
    return Backbone(layers[:17], layers[17:24], layers[24:], channels=(256, 512, 512))


def mobilenet_v2() -> Backbone:
    """MobileNetV2 1.0 up to its last residual block, dilated to stride 8.

    As in DeepLab, a stage that gives up its stride passes it on as dilation to the blocks behind.
    """
    layers = torchvision.models.mobilenet_v2().features
    for index in range(7, 18):
        _dilate(layers[index], 1 if index == 7 else 2 if index <= 14 else 4)
    return Backbone(layers[:7], layers[7:14], layers[14:18], channels=(32, 96, 320))


def _dilate(block: nn.Module, dilation: int) -> None:
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.stride = (1, 1)
            layer.dilation = layer.padding = (dilation, dilation)


BackboneName = Literal["vgg16", "mobilenet_v2"]
BACKBONES: dict[BackboneName, Callable[[], Backbone]] = {
    "vgg16": vgg16,
    "mobilenet_v2": mobilenet_v2,
}


def load_imagenet_weights(backbone: Backbone, name: BackboneName, file: Path | None) -> None:
    """Load a safetensors file in torchvision's layout, or torchvision's own download where None.

    Raises CheckpointError where a tensor is missing or of another shape.
    """
    if file is None:
        weights = torchvision.models.get_model_weights(name).DEFAULT
        source = weights.get_state_dict(check_hash=True, weights_only=True)
    else:
        source = load_file(file)
    # Slices of torchvision's sequence keep its indices: stem.0.weight is features.0.weight there.
    names = {key: "features." + key.split(".", 1)[1] for key in backbone.state_dict()}
    try:
        backbone.load_state_dict({key: source[theirs] for key, theirs in names.items()})
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{file or 'the download'} does not hold torchvision's {name} weights ({error})"
        ) from error
