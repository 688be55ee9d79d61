"""Pictures of an evaluation: each class's best, median and worst episode, and all classes as bars.

Needs the ``train`` extra.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.evaluation.bench import Measurement
from model.evaluation.gallery import Gallery
from model.evaluation.scoring import Predictor, predict_mask
from model.training.curves import GridRow, draw_bars, draw_grid


def show(
    gallery: Gallery,
    predict: Predictor,
    measurement: Measurement,
    report: dict[str, Any],
    folder: Path,
) -> None:
    """Write ``classes.png`` and ``CLASS.png`` into the folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_bars(report, folder / "classes.png")
    episodes, iou = measurement.episodes, measurement.meter.episode_iou
    for class_id in sorted({episode.query.class_id for episode in episodes}):
        indices = [i for i, episode in enumerate(episodes) if episode.query.class_id == class_id]
        rows = [
            GridRow(
                episodes[index],
                predict_mask(predict, gallery, episodes[index]),
                f"{word}\nIoU {iou[index]:.0f}",
            )
            for word, index in exemplars(indices, iou).items()
        ]
        draw_grid(gallery.dataset, rows, folder / f"{gallery.dataset.classes[class_id]}.png")


def exemplars(indices: Sequence[int], iou: Sequence[float]) -> dict[str, int]:
    """Which of the episodes is the best, the median and the worst by IoU."""
    ranked = sorted(indices, key=lambda index: iou[index])
    return {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
