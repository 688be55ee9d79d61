"""A photograph to the network's size, and its logits back: the same in training and serving."""

import functools
import math
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from model.episode import ObjectMask, Photograph

Pixels = NDArray[np.uint8]
"""(3, h, w) RGB in 0..255."""
Logits = NDArray[np.float32]
"""(2, h, w); channel 1 is the object's."""

STRIDE = 8
"""Pixels between two neighbouring cells of the finest maps that a head compares."""

OBJECT_THRESHOLD = 0.5
"""Probability above which a pixel is the object's: there its logit is the larger of the two."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TransformConfig:
    """How a photograph becomes network input; it travels in the checkpoint.

    ``side``² is about the number of pixels that the network sees; ``mean`` and ``std`` are of RGB
    in 0..1. ``channel_order`` is "bgr" only for weights of the authors' code, which reads BGR and
    applies RGB statistics to it.
    Both sides of the input become a multiple of ``stride``, the backbone's coarsest, plus one.
    """

    side: Annotated[int, Field(ge=33, le=4097)] = 321
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    stride: Literal[8, 14, 16, 32] = 8


def network_size(height: int, width: int, side: int, stride: int = STRIDE) -> tuple[int, int]:
    """Height and width fed to the network, both ``stride``·n + 1, of about side² pixels.

    Objects then have the size that training on squares has shown, and every photograph costs the
    same. The aspect ratio is the photograph's own up to 16:1; longer ones are squeezed.

    At such a size every stride-2 layer up to ``stride`` sees an odd side. Cells and pixels then
    stay aligned, and TensorFlow's padding, which MobileNetV2 was trained with, equals torch's.
    """
    scale = min(side / math.sqrt(height * width), 4 * side / max(height, width))

    def fit(pixels: int) -> int:
        return max(1, round((pixels * scale - 1) / stride)) * stride + 1

    return fit(height), fit(width)


def resize_image(image: Photograph, size: tuple[int, int]) -> Pixels:
    """(H, W, 3) uint8 -> (3, h, w) uint8, antialiased."""
    return np.ascontiguousarray(_resize(image, size).transpose(2, 0, 1))


def resize_mask(mask: ObjectMask, size: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) bool -> (h, w) float32, the object's share of each pixel; never all zero.

    Antialiasing gives every source pixel some weight, so a one-pixel object survives shrinking.
    """
    return np.asarray(_resize(mask.astype(np.float32), size).clip(0, 1), np.float32)


def resize_map(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w) -> (H, W), bilinear; itself where it has the size."""
    if values.shape == size:
        return values
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The mean of what a pixel covers where an axis shrinks, bilinear where it grows.

    Shrinking and growing are two steps, since OpenCV takes mere samples of an image that shrinks
    along one axis alone. This takes half the time of Pillow's antialiased filter, and the masks are
    as good.
    """
    height, width = (min(sides) for sides in zip(size, image.shape[:2], strict=True))
    shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, size[::-1], interpolation=cv2.INTER_LINEAR))


def enlarge(logits: Logits, size: tuple[int, int], align_corners: bool) -> Logits:
    """(..., h, w) -> (..., H, W), bilinear, as torch's ``interpolate`` does.

    Along one axis a bilinear resize is a product with a matrix.
    """
    rows = _resize_matrix(logits.shape[-2], size[0], align_corners)
    columns = _resize_matrix(logits.shape[-1], size[1], align_corners)
    return np.asarray(rows @ logits @ columns.T, np.float32)


@functools.lru_cache(64)
def _resize_matrix(cells: int, pixels: int, align_corners: bool) -> NDArray[np.float32]:
    """(pixels, cells); each row weighs the two cells around a pixel's centre."""
    if align_corners:
        centres = np.linspace(0, cells - 1, pixels)
    else:
        centres = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    distances = np.abs(centres.clip(0, cells - 1)[:, None] - np.arange(cells))
    return (1 - distances).clip(0).astype(np.float32)


def unite(logits: NDArray[np.float32]) -> Logits:
    """(K, 2, h, w) logits of K shots -> (2, h, w): the shot surest of the object, per pixel.

    Its mask is exactly the union of the K masks (SG-One section 3.4).
    """
    if len(logits) == 1:  # the usual case, where the rest would cost a tenth of a pass
        first: Logits = logits[0]
        return first
    surest = (logits[:, 1] - logits[:, 0]).argmax(axis=0)
    united: Logits = np.take_along_axis(logits, surest[None, None], axis=0)[0]
    return united


def restore(logits: Logits, size: tuple[int, int]) -> NDArray[np.float32]:
    """(2, h, w) logits -> (H, W) probability of the object at the photograph's own size.

    The logits are interpolated, not the mask: edges stay smooth at any enlargement.
    """
    margin = cv2.resize(logits[0] - logits[1], size[::-1], interpolation=cv2.INTER_LINEAR)
    # The sigmoid in place, as the array may be large; the bound keeps the exponential finite.
    probability = np.asarray(np.minimum(margin, 80, out=margin), np.float32)
    cv2.exp(probability, probability)  # twice as fast as numpy's
    probability += 1
    return np.reciprocal(probability, out=probability)
