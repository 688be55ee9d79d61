"""The backbone as queries and supports meet it: the same for both, or one for each."""

from typing import cast

import torch
from torch import Tensor, nn

from model.network.architecture import SGOneConfig
from model.network.backbone import BACKBONES, Backbone, Features


class SiameseBackbone(Backbone):
    """A backbone that reads queries when called, and supports with ``read_supports``.

    In SG-One both are one reading. Its ablations show a support's mask before the first layer, or
    give supports a backbone of their own, ``support`` (Tables 5 and 6).
    """

    def __init__(self, config: SGOneConfig) -> None:
        plain = BACKBONES[config.backbone]()
        super().__init__(*plain.anatomy)
        self.support_mask = config.support_mask
        self.support = BACKBONES[config.backbone]() if config.separate_networks else None
        if config.support_mask == "channels":
            _let_masks_in(self.support or self)

    @property
    def reads_apart(self) -> bool:
        """Whether an image has other features as a support than as a query."""
        return self.support is not None or self.support_mask in ("image", "channels")

    def read_supports(self, images: Tensor, masks: Tensor) -> Features:
        """(B, 3, H, W) normalised images, (B, H, W) masks in [0, 1] -> one map a tap.

        ``image`` makes all but the object zero, which is ImageNet's mean colour.
        """
        shown = self._show(images, masks[:, None].to(images.dtype))
        features: Features = (self.support or self)(shown)
        return features

    def _show(self, images: Tensor, masks: Tensor) -> Tensor:
        """(B, 3, H, W) images and (B, 1, H, W) masks -> what the first layer sees."""
        if self.support_mask == "image":
            return images * masks
        if self.support_mask == "channels":
            return torch.cat([images, masks, 1 - masks], dim=1)
        return images


class MaskedConv2d(nn.Conv2d):
    """A first convolution of five input channels: RGB, the object's mask, the background's.

    The weights of the masks lie apart, so that an image without masks is read as if both were zero
    and ImageNet's weights still fit. They start at zero, hence they need a backbone that learns.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        width, stride = plain.out_channels, plain.stride[0]
        super().__init__(3, width, 3, stride, padding=1, bias=plain.bias is not None)
        self.load_state_dict(plain.state_dict())
        self.masks = nn.Conv2d(2, width, 3, stride, padding=1, bias=False)
        nn.init.zeros_(self.masks.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) images, or (B, 5, H, W) with masks."""
        maps = super().forward(images[:, :3])
        return maps if images.shape[1] == 3 else maps + self.masks(images[:, 3:])


def _let_masks_in(backbone: Backbone) -> None:
    """Replace the first convolution, which may lie in a block."""
    block = backbone.layers
    while isinstance(first := block[0], nn.Sequential):
        block = first
    block[0] = MaskedConv2d(cast(nn.Conv2d, first))
