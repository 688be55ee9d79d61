"""Pictures of an evaluation: each class's best, median and worst episode, and all classes as bars.

Needs the ``train`` extra.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from model.evaluation.gallery import Gallery
from model.evaluation.report import FIGURES, conditions, percent
from model.evaluation.scoring import Method, ScoredEpisodes, predict_mask
from model.pictures import GridRow, draw_grid

_BAR, _MEAN, _CLEAR = "#4477aa", "#cc3311", {"facecolor": "white", "edgecolor": "none", "pad": 1}


def show(
    gallery: Gallery,
    predict: Method,
    scored: ScoredEpisodes,
    report: dict[str, Any],
    folder: Path,
) -> None:
    """Write ``classes.png`` and ``CLASS.png`` into the folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_bars(report, folder / "classes.png")
    episodes, iou = scored.episodes, scored.meter.episode_iou
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


def draw_shots(reports: Sequence[dict[str, Any]], path: Path) -> None:
    """mIoU, FB-IoU and boundary IoU over the number of shots, as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shots = [report["protocol"]["shots"] for report in reports]
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axis = figure.subplots()
    for name, called in FIGURES.items():
        if name not in reports[0]:
            continue
        means = [report[name]["mean"] for report in reports]
        spreads = [report[name].get("std", 0) for report in reports]
        axis.errorbar(shots, means, yerr=spreads, marker="o", capsize=3, label=called)
        for count, mean in zip(shots, means, strict=True):
            axis.annotate(f"{mean:.1f}", (count, mean), xytext=(0, 6), textcoords="offset points")
    axis.set(xscale="log", xlabel="shots", ylabel="%", ylim=(0, 100))
    axis.set_xticks(shots, [str(count) for count in shots], minor=False)
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower right")
    figure.text(0, -0.02, conditions(reports[-1]), fontsize=7, color="0.35", va="top", wrap=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def draw_bars(report: dict[str, Any], path: Path) -> None:
    """IoU of each class, the best on top, with its spread over seeds and the mean, as a PNG."""
    ranked = sorted(report["class_iou"].items(), key=lambda item: float(item[1]["mean"]))
    figure = Figure(figsize=(8, 1.6 + 0.36 * len(ranked)), layout="constrained")
    axis = figure.subplots()
    axis.axvline(report["miou"]["mean"], color=_MEAN, linestyle="--", linewidth=1, zorder=0)
    for name, value in ranked:
        spread = value.get("std")
        axis.barh(name, value["mean"], xerr=spread, height=0.62, color=_BAR, capsize=3)
        axis.text(
            value["mean"] + (spread or 0) + 1.5, name, percent(value), va="center", bbox=_CLEAR
        )
    axis.text(
        report["miou"]["mean"],
        len(ranked) - 0.45,
        f"mean {percent(report['miou'])}",
        color=_MEAN,
        ha="center",
        va="bottom",
    )
    axis.set(xlim=(0, 100), ylim=(-0.6, len(ranked) - 0.5), xlabel="IoU (%)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{report['method']}, {report['protocol']['shots']}-shot", fontsize=12)
    figure.text(0, -0.02, conditions(report), fontsize=7, color="0.35", va="top", wrap=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
