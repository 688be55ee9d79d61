"""Pixels to network input and back: the inference transform, and the training augmentation."""

import math
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from model.backbone import STRIDE
from model.episode import ObjectMask, Photograph

OBJECT_THRESHOLD = 0.5
"""Probability above which a pixel is the object's: there its logit is the larger of the two."""
CLASS_THRESHOLD = 0.75
"""The same where several classes are looked for, most of them in vain: training makes an object
pixel count 2.5 times as much as one of the background, which marks too much of an absent class.
Chosen for each fold on the classes of the three others, which all four choose within 0.05."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TransformConfig:
    """How a photograph becomes network input; it travels in the checkpoint.

    ``side``² is about the number of pixels that the network sees; ``mean`` and ``std`` are of RGB
    in 0..1. ``channel_order`` is "bgr" only for weights of the authors' code, which reads BGR and
    applies RGB statistics to it.
    Both sides become a multiple of ``stride`` plus one: the backbone's coarsest.
    """

    side: Annotated[int, Field(ge=33, le=4097)] = 321
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    stride: Literal[8, 32] = 8


def network_size(height: int, width: int, side: int, stride: int = STRIDE) -> tuple[int, int]:
    """Height and width fed to the network, both ``stride``·n + 1, of about side² pixels.

    Objects then have the size that training on squares has shown, and every photograph costs the
    same. The aspect ratio is the photograph's own up to 16:1; longer ones are squeezed.

    There every stride-2 layer up to ``stride`` sees an odd side, so that cells and pixels stay
    aligned and TensorFlow's padding, which MobileNetV2 was trained with, equals torch's.
    """
    scale = min(side / math.sqrt(height * width), 4 * side / max(height, width))

    def fit(pixels: int) -> int:
        return max(1, round((pixels * scale - 1) / stride)) * stride + 1

    return fit(height), fit(width)


def resize_image(image: Photograph, size: tuple[int, int]) -> Tensor:
    """(H, W, 3) uint8 -> (3, h, w) uint8, antialiased."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    resized: Tensor = v2.functional.resize(pixels, list(size), antialias=True)
    return resized


def resize_mask(mask: ObjectMask, size: tuple[int, int]) -> Tensor:
    """(H, W) bool -> (h, w) float32, the object's share of each pixel; never all zero.

    Antialiasing gives every source pixel some weight, so a one-pixel object survives shrinking.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(mask)).float()
    resized: Tensor = v2.functional.resize(pixels[None], list(size), antialias=True)
    return resized[0].clamp_(0, 1)


def normalise(images: Tensor, config: TransformConfig) -> Tensor:
    """(..., 3, H, W) uint8 RGB -> float32 as the network was trained on."""
    if config.channel_order == "bgr":
        images = images.flip(-3)
    mean = torch.tensor(config.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(config.std, device=images.device).view(3, 1, 1)
    return (images.float() / 255 - mean) / std


def restore(logits: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    """(2, h, w) logits -> (H, W) probability of the object at the photograph's own size.

    The logits are interpolated, not the mask: edges stay smooth at any enlargement.
    """
    margin = (logits[1] - logits[0])[None, None]
    margin = F.interpolate(margin, size=size, mode="bilinear", align_corners=False)
    return margin[0, 0].sigmoid_().numpy()


class TrainingTransform:
    """One random draw for image and label together: crop, flip, colour, to ``side`` × ``side``.

    A crop that loses the object (fewer than ``min_object_pixels``) gives way to the whole image.
    """

    def __init__(self, side: int, min_object_pixels: int = 64, min_scale: float = 0.4) -> None:
        self.min_object_pixels = min_object_pixels
        self.whole = v2.Compose([v2.Resize((side, side)), v2.RandomHorizontalFlip()])
        self.crop = v2.Compose(
            [
                v2.RandomResizedCrop(side, scale=(min_scale, 1.0), ratio=(0.75, 4 / 3)),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
            ]
        )

    def __call__(self, image: Photograph, label: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """(H, W, 3) uint8, (H, W) in {0, 1, VOID} -> (3, side, side) uint8, (side, side) uint8."""
        pixels = tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))
        target = tv_tensors.Mask(torch.from_numpy(label))
        cropped, cropped_target = self.crop(pixels, target)
        if int((cropped_target == 1).sum()) < self.min_object_pixels:
            cropped, cropped_target = self.whole(pixels, target)
        return cropped.as_subclass(Tensor), cropped_target.as_subclass(Tensor)


def square(image: Photograph, label: NDArray[np.uint8], side: int) -> tuple[Tensor, Tensor]:
    """HSNet's evaluation transform: (3, side, side) uint8, nearest-resized label."""
    target = torch.from_numpy(label)[None]
    resized = v2.functional.resize(target, [side, side], v2.InterpolationMode.NEAREST_EXACT)
    return resize_image(image, (side, side)), resized[0]


def object_weights(label: Tensor) -> Tensor:
    """(..., H, W) labels in {0, 1, VOID} -> float32 support mask; void does not count as object."""
    return (label == 1).float()
