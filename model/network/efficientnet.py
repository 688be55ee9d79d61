"""EfficientNet-Lite2 (Tan & Le 2019, Google's release for mobile CPUs), as a chain of blocks.

ReLU6 in place of swish, and no squeeze-and-excite: what a CPU is fast at. On sides of 32n + 1
pixels its symmetric paddings equal TensorFlow's, which it was trained with.
"""

from typing import NamedTuple

from torch import Tensor, nn

EPSILON = 1e-3
"""Of TensorFlow's batch normalisation."""


class Stage(NamedTuple):
    """``blocks`` inverted residuals of one width; the first has the ``stride``."""

    blocks: int
    width: int
    kernel: int
    stride: int
    expansion: int


STAGES = (
    Stage(1, 16, 3, 1, 1),
    Stage(3, 24, 3, 2, 6),
    Stage(3, 48, 5, 2, 6),
    Stage(4, 88, 3, 2, 6),
    Stage(4, 120, 5, 1, 6),
    Stage(5, 208, 5, 2, 6),
    Stage(1, 352, 3, 1, 6),
)
STEM = 32


class InvertedResidual(nn.Module):
    """1×1 to ``expansion`` times the channels, depthwise, 1×1 back; added to its input if it fits.

    Tensors are named as in PyPI's efficientnet-lite-pytorch.
    """

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._depthwise_conv = nn.Conv2d(
            wide, wide, kernel, stride, padding=kernel // 2, groups=wide, bias=False
        )
        self._bn1 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._project_conv = nn.Conv2d(wide, width, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(width, eps=EPSILON)
        self.activate = nn.ReLU6()
        self.expands, self.adds = expansion > 1, stride == 1 and channels == width

    def forward(self, maps: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, width, h / stride, w / stride)."""
        wide = self.activate(self._bn0(self._expand_conv(maps))) if self.expands else maps
        wide = self.activate(self._bn1(self._depthwise_conv(wide)))
        narrow: Tensor = self._bn2(self._project_conv(wide))
        return maps + narrow if self.adds else narrow


def lite2_layers() -> nn.Sequential:
    """The stem and 21 blocks."""
    stem = nn.Sequential(
        nn.Conv2d(3, STEM, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(STEM, eps=EPSILON),
        nn.ReLU6(),
    )
    blocks, channels = [], STEM
    for stage in STAGES:
        for number in range(stage.blocks):
            stride = stage.stride if number == 0 else 1
            blocks.append(
                InvertedResidual(channels, stage.width, stage.kernel, stride, stage.expansion)
            )
            channels = stage.width
    return nn.Sequential(stem, *blocks)


def lite2_name(key: str) -> str:
    """A tensor of the chain -> its name in the file: ``1._bn1.weight`` is ``_blocks.0._bn1``'s."""
    layer, _, rest = key.partition(".")
    if layer != "0":
        return f"_blocks.{int(layer) - 1}.{rest}"
    part, _, tensor = rest.partition(".")
    return f"{('_conv_stem', '_bn0')[int(part)]}.{tensor}"
