"""What a few-shot task is made of: photographs, object masks, and supports that hold both."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from model.errors import EmptyMaskError, ImageShapeError, MaskSizeError

Photograph = NDArray[np.uint8]
"""(H, W, 3) RGB in 0..255."""
ObjectMask = NDArray[np.bool_]
"""(H, W), true on the object."""

Fusion = Literal["average", "union"]
"""K shots: what the network keeps of them is averaged, or their masks are united (section 3.4)."""
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)

VOID = 255
"""The label of pixels that the annotators left open; ignored by losses and metrics."""


@dataclass(frozen=True)
class Support:
    """One shot: a photograph (H, W, 3) uint8 RGB and its object mask (H, W) bool.

    Raises ImageShapeError, MaskSizeError or EmptyMaskError; nothing later checks again.
    """

    image: Photograph
    mask: ObjectMask

    def __post_init__(self) -> None:
        check_photograph(self.image)
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            raise ImageShapeError(
                f"mask has shape {self.mask.shape} of {self.mask.dtype}; send (height, width) bool"
            )
        height, width = self.image.shape[:2]
        mask_height, mask_width = self.mask.shape
        if (mask_height, mask_width) != (height, width):
            raise MaskSizeError(
                f"mask is {mask_width}x{mask_height}, its image is {width}x{height}; "
                "send a mask of the image's size"
            )
        if not self.mask.any():
            raise EmptyMaskError(
                "mask has no object pixel; paint the object with non-zero values "
                "(palette and 0/1 masks), above half (grey) or opaque (alpha)"
            )


def check_photograph(image: Photograph) -> None:
    """Raise ImageShapeError unless image is (H, W, 3) uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ImageShapeError(
            f"image has shape {image.shape} of {image.dtype}; send (height, width, 3) uint8 RGB"
        )
