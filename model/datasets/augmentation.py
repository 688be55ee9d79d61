"""Photographs and labels as square tensors: drawn at random for training, fixed for evaluation."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from model.episode import Photograph
from model.transforms import resize_image


class TrainingTransform:
    """One random draw for image and label together: crop, flip, colour, to ``side`` × ``side``.

    A crop that loses the object (fewer than ``min_object_pixels``) gives way to the whole image. An
    image without the object is cropped all the same: else its colours would tell that it lacks it.
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
        lost = int((cropped_target == 1).sum()) < self.min_object_pixels
        if lost and bool((label == 1).any()):
            cropped, cropped_target = self.whole(pixels, target)
        return cropped.as_subclass(Tensor), cropped_target.as_subclass(Tensor)


def square(image: Photograph, label: NDArray[np.uint8], side: int) -> tuple[Tensor, Tensor]:
    """HSNet's evaluation transform: (3, side, side) uint8, nearest-resized label."""
    target = torch.from_numpy(label)[None]
    resized = v2.functional.resize(target, [side, side], v2.InterpolationMode.NEAREST_EXACT)
    return torch.from_numpy(resize_image(image, (side, side))), resized[0]


def object_weights(label: Tensor) -> Tensor:
    """(..., H, W) labels in {0, 1, VOID} -> float32 support mask; void does not count as object."""
    return (label == 1).float()
