"""Crisp borders: a probability follows the photograph's own edges, whatever the object is.

The network's logits have a cell every 8 pixels of about 321, so that what is enlarged from them
cuts across outlines. A guided filter (He et al. 2013) explains the probability around each pixel
as a linear function of its colour; its coefficients are smooth, so that they may be found on a
small grid (He & Sun 2015), and only their sum with the colours is computed at full resolution.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.episode import Photograph

GRID = 128
"""Cells of the longest side on which the coefficients are found."""
RADIUS = 0.042
"""Of the window that a linear function holds in, as a share of the longest side."""
SMOOTHNESS = 3e-4
"""Variance of colours in 0..1 below which a window has no edge to follow."""
FINEST = 1536
"""Pixels of the longest side beyond which the refined map is enlarged: 1.8 megapixels of 12."""

Maps = NDArray[np.float32]
"""(h, w, ...)."""


def guide_of(photograph: Photograph) -> Photograph:
    """(H, W, 3) uint8 -> all that ``refine`` reads of it: at most FINEST pixels a side.

    Bilinear in steps of two at most, which read every pixel: six times as fast as INTER_AREA.
    """
    height, width = photograph.shape[:2]
    fine = _shrunk((height, width), FINEST)
    while fine != (width, height):
        width, height = max(fine[0], (width + 1) // 2), max(fine[1], (height + 1) // 2)
        photograph = np.asarray(cv2.resize(photograph, (width, height)), np.uint8)
    return photograph


def refine(photograph: Photograph, probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) uint8 and (H, W) in [0, 1] -> (H, W) in [0, 1], its edges those of the photograph.

    Nothing appears where nothing was: a probability of zero everywhere stays zero.
    """
    height, width = probability.shape
    coarse = _shrunk((height, width), GRID)
    colours = np.float32(1 / 255) * _resized(photograph, coarse).astype(np.float32)
    small = _resized(probability, coarse).astype(np.float32)
    coefficients = _coefficients(colours, small, max(1, round(RADIUS * max(coarse))))
    refined = _apply(guide_of(photograph), coefficients)
    if refined.shape == probability.shape:
        return refined
    return np.asarray(cv2.resize(refined, (width, height), interpolation=cv2.INTER_LINEAR))


def _resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """To (width, height): each pixel is the mean of what it covers."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _shrunk(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(H, W) -> (width, height), the longest side at most ``longest``."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[1] * scale)), max(1, round(size[0] * scale))


def _coefficients(colours: Maps, probability: NDArray[np.float32], radius: int) -> Maps:
    """(h, w, 3) and (h, w) -> (h, w, 4): the weights of the colours, and the constant.

    Each window's are the least-squares fit of the probability, and each cell's their mean.
    """
    red, green, blue = np.moveaxis(colours, -1, 0)
    planes = [red, green, blue, probability]
    pairs = [a * b for a in planes[:3] for b in planes]
    means = _window_means(np.stack(planes + pairs, axis=-1), radius)
    mean, mean_probability = means[..., :3], means[..., 3]
    moments = means[..., 4:].reshape(*means.shape[:2], 3, 4)
    moments = moments - mean[..., :, None] * means[..., None, :4]
    covariance = moments[..., :3] + SMOOTHNESS * np.eye(3, dtype=np.float32)
    weights = _solve(covariance, moments[..., 3])
    constant = mean_probability - (weights * mean).sum(axis=-1)
    return _window_means(np.concatenate([weights, constant[..., None]], axis=-1), radius)


def _solve(matrices: Maps, vectors: Maps) -> Maps:
    """(h, w, 3, 3) symmetric and (h, w, 3) -> (h, w, 3), by cofactors: a tenth of LAPACK's time."""
    (a, b, c), (_, d, e), (_, _, f) = np.moveaxis(matrices, (-2, -1), (0, 1))
    x, y, z = np.moveaxis(vectors, -1, 0)
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    fourth, fifth, sixth = a * f - c * c, b * c - a * e, a * d - b * b
    solution = np.stack(
        [
            first * x + second * y + third * z,
            second * x + fourth * y + fifth * z,
            third * x + fifth * y + sixth * z,
        ],
        axis=-1,
    )
    return np.asarray(solution / (a * first + b * second + c * third)[..., None], np.float32)


def _window_means(maps: Maps, radius: int) -> Maps:
    """(h, w, C) -> the means over windows of 2 · radius + 1 cells a side."""
    side = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.boxFilter(maps, -1, side, borderType=cv2.BORDER_REFLECT), np.float32)


def _apply(photograph: Photograph, coefficients: Maps) -> NDArray[np.float32]:
    """(H, W, 3) uint8 and (h, w, 4) -> (H, W)."""
    size = photograph.shape[1], photograph.shape[0]
    weights = cv2.resize(np.ascontiguousarray(coefficients[..., :3]), size)
    colours = cv2.multiply(photograph, weights, scale=1 / 255, dtype=cv2.CV_32F)
    total = cv2.transform(colours, np.ones((1, 3), np.float32))
    constant = cv2.resize(np.ascontiguousarray(coefficients[..., 3]), size)
    refined = np.asarray(cv2.add(total, constant), np.float32)
    return refined.clip(0, 1, out=refined)
