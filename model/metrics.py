"""mIoU and FB-IoU of few-shot segmentation, void pixels left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.episode import VOID


@dataclass(frozen=True)
class Scores:
    """IoU in percent. ``miou`` is the mean over classes, ``fb_iou`` that of object and rest."""

    class_iou: dict[int, float]
    miou: float
    fb_iou: float


class IoUMeter:
    """Sums intersections and unions of each class over all its episodes (HSNet, OSLSM).

    FB-IoU pools the classes: object and background are the two things whose IoU is averaged.
    """

    def __init__(self, class_ids: Sequence[int]) -> None:
        self._row = {class_id: row for row, class_id in enumerate(class_ids)}
        self._intersection = torch.zeros(len(class_ids), 2, dtype=torch.int64)
        self._union = torch.zeros(len(class_ids), 2, dtype=torch.int64)

    def update(self, masks: Tensor, labels: Tensor, class_ids: Tensor) -> None:
        """(B, H, W) bool predictions, (B, H, W) labels in {0, 1, VOID}, (B,) class ids."""
        for mask, label, class_id in zip(masks, labels, class_ids.tolist(), strict=True):
            row, valid = self._row[class_id], label != VOID
            for side, (predicted, true) in enumerate(((~mask, label == 0), (mask, label == 1))):
                self._intersection[row, side] += (predicted & true & valid).sum().cpu()
                self._union[row, side] += ((predicted | true) & valid).sum().cpu()

    def scores(self) -> Scores:
        """Scores so far; a class without an episode is left out of the mean."""
        seen = self._union.sum(dim=1) > 0
        iou = 100 * self._intersection[:, 1] / self._union[:, 1].clamp(min=1)
        totals = 100 * self._intersection.sum(dim=0) / self._union.sum(dim=0).clamp(min=1)
        return Scores(
            {class_id: float(iou[row]) for class_id, row in self._row.items() if seen[row]},
            float(iou[seen].mean()) if bool(seen.any()) else 0.0,
            float(totals.mean()),
        )
