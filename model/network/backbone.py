"""Backbones: an image in, feature maps of several depths out."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from model.errors import CheckpointError
from model.network.architecture import BackboneName
from model.network.weights import read_weights
from model.transforms import TransformConfig

Features = tuple[Tensor, ...]
"""Feature maps of one batch from shallow to deep, each (B, C, h, w)."""


def normalise(images: Tensor, config: TransformConfig) -> Tensor:
    """(..., 3, H, W) uint8 RGB -> float32 as the network was trained on."""
    if config.channel_order == "bgr":
        images = images.flip(-3)
    mean, std = _statistics(config, images.device)
    return (images.float() / 255 - mean) / std


@cache
def _statistics(config: TransformConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) mean and deviation; kept, so that a GPU waits for them once."""
    with torch.inference_mode(False):
        mean, std = (torch.tensor(each, device=device) for each in (config.mean, config.std))
    return mean.view(3, 1, 1), std.view(3, 1, 1)


class Backbone(nn.Module):
    """A chain of layers; the outputs at ``taps`` are its features.

    ``channels`` are their widths and ``strides`` the pixels between their cells.

    Batch statistics stay the pre-trained ones: an episode holds too few images to estimate them.
    """

    def __init__(
        self,
        layers: nn.Sequential,
        taps: tuple[int, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.layers = layers[: taps[-1] + 1]
        self.taps, self.channels, self.strides = taps, channels, strides

    def forward(self, images: Tensor) -> Features:
        """(B, 3, H, W) normalised images -> one map a tap."""
        features = []
        for index, layer in enumerate(self.layers):
            images = layer(images)
            if index in self.taps:
                features.append(images)
        return tuple(features)

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of every layer but batch normalisation, which keeps its statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def vgg16() -> Backbone:
    """VGG-16 up to conv5_3, pools of kernel 3 and padding 1, the last two at stride 1 (SG-One).

    Three maps at stride 8: the pooled conv3_3 and conv4_3, and conv5_3.
    """
    layers = torchvision.models.vgg16().features
    pools = [index for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    for index, stride in zip(pools, (2, 2, 2, 1, 1), strict=True):
        layers[index] = nn.MaxPool2d(kernel_size=3, stride=stride, padding=1)
    return Backbone(layers, taps=(16, 23, 30), channels=(256, 512, 512), strides=(8,) * 3)


def mobilenet_v2() -> Backbone:
    """MobileNetV2 1.0 up to its last residual block, three maps dilated to stride 8.

    As in DeepLab, a stage that gives up its stride passes it on as dilation to the blocks behind.
    """
    layers = torchvision.models.mobilenet_v2().features
    for index in range(7, 18):
        _dilate(layers[index], 1 if index == 7 else 2 if index <= 14 else 4)
    return Backbone(layers, taps=(6, 13, 17), channels=(32, 96, 320), strides=(8,) * 3)


def mobilenet_v2_pyramid() -> Backbone:
    """MobileNetV2 1.0 at its own strides: the outputs of its blocks from stride 8 to 32.

    Undilated it is cheaper at 385 pixels than dilated at 257, and larger images separate held-out
    objects better than finer cells do.
    """
    layers = torchvision.models.mobilenet_v2().features
    return Backbone(
        layers,
        taps=(6, 8, 10, 11, 12, 13, 14, 15, 16, 17),
        channels=(32, 64, 64, 96, 96, 96, 160, 160, 160, 320),
        strides=(8, *(16,) * 5, *(32,) * 4),
    )


def _dilate(block: nn.Module, dilation: int) -> None:
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.stride = (1, 1)
            layer.dilation = layer.padding = (dilation, dilation)


BACKBONES: dict[BackboneName, Callable[[], Backbone]] = {
    "vgg16": vgg16,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v2_pyramid": mobilenet_v2_pyramid,
}


def load_imagenet_weights(backbone: Backbone, name: BackboneName, file: Path | None) -> None:
    """Load a safetensors file in torchvision's layout, or torchvision's own download where None.

    An SG-One checkpoint of the same backbone is taken too. Raises CheckpointError where a
    tensor is missing, of another shape or not finite.
    """
    if file is None:
        weights = torchvision.models.get_model_weights(name.removesuffix("_pyramid")).DEFAULT
        source = weights.get_state_dict(check_hash=True, weights_only=True)
    else:
        ours = "backbone.layers."
        source = {
            key.replace(ours, "features."): value for key, value in read_weights(file).items()
        }
    # A slice of torchvision's sequence: layers.0.weight is features.0.weight there. What ImageNet
    # has no weights for, the input channels of masks, stays as it is.
    state = backbone.state_dict()
    names = {
        key: f"features.{key.rpartition('layers.')[2]}" for key in state if ".masks." not in key
    }
    try:
        backbone.load_state_dict(state | {key: source[theirs] for key, theirs in names.items()})
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{file or 'the download'} does not hold torchvision's {name} weights ({error})"
        ) from error
