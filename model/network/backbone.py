"""Backbones: an image in, feature maps of several depths out."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from model.network.architecture import BackboneName
from model.network.efficientnet import lite2_layers
from model.network.residual import resnet50_layers
from model.network.transformer import DINOV2, DINOV3, Anatomy, PatchMaps, transformer_layers
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

    ``channels`` are their widths and ``strides`` the pixels between their cells. Where ``reduced``
    is given, a 1×1 convolution takes each tap to so many channels: cosines of a hundred principal
    components say as much as those of a thousand channels, for a tenth of the time. What a tap
    shows is what ``emit`` makes of a layer's output.

    Batch statistics stay the pre-trained ones: an episode holds too few images to estimate them.
    """

    def __init__(
        self,
        layers: nn.Sequential,
        taps: tuple[int, ...],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        reduced: tuple[int, ...] = (),
        emit: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.anatomy = (layers, taps, channels, strides, reduced, emit)
        self.emit = emit
        self.layers = layers[: taps[-1] + 1]
        self.taps, self.reduced, self.strides = taps, reduced, strides
        self.channels = reduced or channels
        self.reduce = nn.ModuleList(
            nn.Conv2d(wide, narrow, 1, bias=False)
            for wide, narrow in zip(channels, reduced, strict=bool(reduced))
        )

    def forward(self, images: Tensor) -> Features:
        """(B, 3, H, W) normalised images -> one map a tap, from fine to coarse."""
        features = self.read_taps(images)
        if not self.reduced:
            return features
        return tuple(reduce(maps) for reduce, maps in zip(self.reduce, features, strict=True))

    def read_taps(self, images: Tensor) -> Features:
        """(B, 3, H, W) normalised images -> the maps, before they are reduced."""
        state: Any = images
        features = []
        for index, layer in enumerate(self.layers):
            state = layer(state)
            if index in self.taps:
                features.append(self.emit(state) if self.emit else state)
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


def resnet50_pyramid() -> Backbone:
    """ResNet-50 at its own strides: eight blocks from stride 8 to 32, reduced.

    Cosines of 64, 96 and 128 principal components separate objects as well as all channels do.
    """
    return Backbone(
        resnet50_layers(),
        taps=(8, 10, 12, 13, 14, 15, 16, 17),
        channels=(512, *(1024,) * 4, *(2048,) * 3),
        strides=(8, *(16,) * 4, *(32,) * 3),
        reduced=(64, *(96,) * 4, *(128,) * 3),
    )


def efficientnet_lite2_pyramid() -> Backbone:
    """EfficientNet-Lite2 at its own strides: seven blocks."""
    return Backbone(
        lite2_layers(),
        taps=(7, 11, 13, 15, 18, 20, 21),
        channels=(48, 88, 120, 120, 208, 208, 352),
        strides=(8, *(16,) * 3, *(32,) * 3),
    )


def transformer_pyramid(anatomy: Anatomy) -> Backbone:
    """A vision transformer: five blocks of its second half, all at the stride of its patches."""
    half = anatomy.depth // 2
    taps = tuple(half + half * step // 5 for step in range(1, 6))
    return Backbone(
        transformer_layers(anatomy),
        taps=taps,
        channels=(anatomy.width,) * len(taps),
        strides=(anatomy.patch,) * len(taps),
        emit=PatchMaps(anatomy),
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
    "efficientnet_lite2_pyramid": efficientnet_lite2_pyramid,
    "resnet50_pyramid": resnet50_pyramid,
    "dinov2_vits14_pyramid": partial(transformer_pyramid, DINOV2["s"]),
    "dinov2_vitb14_pyramid": partial(transformer_pyramid, DINOV2["b"]),
    "dinov2_vitl14_pyramid": partial(transformer_pyramid, DINOV2["l"]),
    "dinov3_vits16_pyramid": partial(transformer_pyramid, DINOV3["s"]),
    "dinov3_vitb16_pyramid": partial(transformer_pyramid, DINOV3["b"]),
    "dinov3_vitl16_pyramid": partial(transformer_pyramid, DINOV3["l"]),
}
