"""IoU of few-shot segmentation, by episode, class and fold; void pixels left out."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.episode import VOID

BAND = 0.01
"""Width of the band along an outline, as a share of the picture's diagonal."""


@dataclass(frozen=True)
class Scores:
    """IoU in percent. ``miou`` is the mean over classes, ``fb_iou`` that of object and rest.

    ``boundary_iou`` (Cheng et al. 2021) is of the borders alone, the mean over episodes.
    """

    class_iou: dict[int, float]
    miou: float
    fb_iou: float
    boundary_iou: float


@dataclass(frozen=True)
class MulticlassScores:
    """IoU in percent. ``miou`` is the mean over the classes, without the background."""

    class_iou: dict[int, float]
    miou: float
    background_iou: float


class IoUMeter:
    """Sums intersections and unions of each class over all its episodes (HSNet, OSLSM).

    FB-IoU pools the classes: object and background are the two things whose IoU is averaged.
    ``episode_iou`` is the object's IoU in percent in each episode, in order, and ``boundary_iou``
    that of its border; 100 where there is nothing to find and nothing found.
    """

    def __init__(self, class_ids: Sequence[int]) -> None:
        self._row = {class_id: row for row, class_id in enumerate(class_ids)}
        self._intersection = torch.zeros(len(class_ids), 2, dtype=torch.int64)
        self._union = torch.zeros(len(class_ids), 2, dtype=torch.int64)
        self.episode_iou: list[float] = []
        self.boundary_iou: list[float] = []

    def update(self, masks: Tensor, labels: Tensor, class_ids: Tensor) -> None:
        """(B, H, W) bool predictions, (B, H, W) labels in {0, 1, VOID}, (B,) class ids."""
        for mask, label, class_id in zip(masks, labels, class_ids.tolist(), strict=True):
            intersection, union = _counts(mask, label)
            self._intersection[self._row[class_id]] += intersection
            self._union[self._row[class_id]] += union
            found, seen = int(intersection[1]), int(union[1])
            self.episode_iou.append(100 * found / seen if seen else 100.0)
            self.boundary_iou.append(boundary_iou(mask, label))

    def scores(self) -> Scores:
        """Scores so far; a class without an episode is left out of the mean."""
        seen = self._union.sum(dim=1) > 0
        iou = 100 * self._intersection[:, 1] / self._union[:, 1].clamp(min=1)
        totals = 100 * self._intersection.sum(dim=0) / self._union.sum(dim=0).clamp(min=1)
        return Scores(
            {class_id: float(iou[row]) for class_id, row in self._row.items() if seen[row]},
            float(iou[seen].mean()) if bool(seen.any()) else 0.0,
            float(totals.mean()),
            statistics.fmean(self.boundary_iou or [0.0]),
        )


class MulticlassMeter:
    """Counts pixels of every true and predicted class over all queries (SG-One section 4.4)."""

    def __init__(self, class_ids: Sequence[int]) -> None:
        self.class_ids = tuple(class_ids)
        self._pixels = torch.zeros(len(class_ids) + 1, len(class_ids) + 1, dtype=torch.int64)

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Two (H, W) maps: 0 the background, n the n-th class; VOID in the truth is left out."""
        valid, rows = truth != VOID, len(self._pixels)
        pairs = truth[valid].long() * rows + predicted[valid].long()
        self._pixels += torch.bincount(pairs, minlength=rows**2).view(rows, rows)

    def scores(self) -> MulticlassScores:
        """Scores so far; a class that no truth holds is left out of the mean."""
        right, true, predicted = (
            self._pixels.diagonal(),
            self._pixels.sum(dim=1),
            self._pixels.sum(dim=0),
        )
        iou = (100 * right / (true + predicted - right).clamp(min=1)).tolist()
        class_iou = {
            class_id: iou[row] for row, class_id in enumerate(self.class_ids, 1) if true[row] > 0
        }
        return MulticlassScores(class_iou, sum(class_iou.values()) / max(len(class_iou), 1), iou[0])


def boundary_iou(mask: Tensor, label: Tensor) -> float:
    """(H, W) bool and (H, W) label -> IoU in percent of the bands inside both outlines.

    A band is as wide as BAND of the picture's diagonal; the picture's own edge is an outline too.
    """
    valid = (label != VOID).cpu().numpy()
    width = max(1, round(BAND * math.hypot(*label.shape)))
    inner = _inner_band(mask.cpu().numpy() & valid, width)
    true = _inner_band((label == 1).cpu().numpy(), width)
    union = int((inner | true).sum())
    return 100 * int((inner & true).sum()) / union if union else 100.0


def _inner_band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """(H, W): the pixels of a mask at most ``width`` from one that is not its own."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return np.asarray(mask & (eroded == 0))


def _counts(mask: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """(H, W) bool and (H, W) label -> intersections and unions in pixels, (background, object)."""
    valid = label != VOID
    sides = ((~mask & valid, label == 0), (mask & valid, label == 1))
    return (
        torch.stack([(predicted & true).sum() for predicted, true in sides]).cpu(),
        torch.stack([(predicted | true).sum() for predicted, true in sides]).cpu(),
    )
