"""A strong variation of a photograph: turned, scaled, moved, in other light, among other things."""

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from model.episode import ObjectMask, Photograph

TURN, MOST_TURN = 16.0, 45.0
"""Degrees: the deviation, and the most."""
SCALE = (0.6, 1.8)
STRETCH, SHEAR = 0.18, 0.15
CENTRE = (0.3, 0.7)
"""Shares of a side between which the middle of what matters comes to lie."""
AMONG_OTHERS = 0.6
"""How often what lies beyond the photograph's edge is another one; else it is the photograph's
own mirror image, whose regions are labelled as well."""
GREY = 0.12


@dataclass(frozen=True)
class Variation:
    """A 2×3 affine ``matrix``, whether other things are around it, and a ``seed`` of the light."""

    matrix: NDArray[np.float32]
    among_others: bool
    seed: int

    @classmethod
    def draw(cls, matters: ObjectMask, rng: np.random.Generator) -> Self:
        """A variation that brings the middle of what ``matters``, (H, W), near the middle."""
        height, width = matters.shape
        rows, columns = np.nonzero(matters)
        middle = np.array([columns.mean(), rows.mean()])
        turn = np.deg2rad(np.clip(rng.normal(0, TURN), -MOST_TURN, MOST_TURN))
        scale, stretch = _between(SCALE, rng), float(np.exp(rng.uniform(-STRETCH, STRETCH)))
        mirror, shear = rng.choice([-1, 1]), rng.uniform(-SHEAR, SHEAR)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        linear = rotation @ np.array([[scale * stretch * mirror, shear], [0, scale / stretch]])
        target = rng.uniform(*CENTRE, 2) * (width, height)
        matrix = np.concatenate([linear, (target - linear @ middle)[:, None]], axis=1)
        return cls(
            matrix.astype(np.float32), rng.random() < AMONG_OTHERS, int(rng.integers(1 << 30))
        )

    def of(
        self, photograph: Photograph, labels: NDArray[np.uint8], around: Photograph
    ) -> tuple[Photograph, NDArray[np.uint8]]:
        """(H, W, 3) photograph and (L, H, W) labels, another (H, W, 3) photograph -> the view."""
        size = (photograph.shape[1], photograph.shape[0])
        edge = cv2.BORDER_CONSTANT if self.among_others else cv2.BORDER_REFLECT_101
        view: NDArray[Any] = cv2.warpAffine(
            photograph, self.matrix, size, flags=cv2.INTER_LINEAR, borderMode=edge
        )
        if self.among_others:
            inside = cv2.warpAffine(np.full(size[::-1], 255, np.uint8), self.matrix, size)
            view = np.where(inside[..., None] > 127, view, around)
        seen = [
            cv2.warpAffine(one, self.matrix, size, flags=cv2.INTER_NEAREST, borderMode=edge)
            for one in labels
        ]
        return relight(view, np.random.default_rng(self.seed)), np.stack(seen).astype(np.uint8)


def relight(photograph: NDArray[np.uint8], rng: np.random.Generator) -> Photograph:
    """Brightness, contrast, saturation and hue change; sometimes grey, blurred or noisy."""
    light = photograph.astype(np.float32) * rng.uniform(0.6, 1.4)
    light = (light - light.mean()) * rng.uniform(0.6, 1.3) + light.mean()
    grey = light.mean(axis=-1, keepdims=True)
    saturation = 0.0 if rng.random() < GREY else rng.uniform(0.5, 1.4)
    varied = (grey + (light - grey) * saturation).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        hsv = cv2.cvtColor(varied, cv2.COLOR_RGB2HSV).astype(np.int16)
        hsv[..., 0] = (hsv[..., 0] + int(rng.integers(-8, 9))) % 180
        varied = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    if rng.random() < 0.25:
        varied = cv2.GaussianBlur(varied, (0, 0), rng.uniform(0.5, 1.6))
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 10), varied.shape)
        varied = (varied + noise).clip(0, 255).astype(np.uint8)
    return np.asarray(varied, np.uint8)


def _between(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Drawn evenly among the logarithms."""
    return float(np.exp(rng.uniform(*np.log(bounds))))
