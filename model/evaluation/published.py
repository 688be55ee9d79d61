"""SG-One's Tables 2 to 4 with the published figures and ours, as Markdown."""

import statistics
from collections.abc import Sequence
from typing import Any

from model.evaluation.report import percent, spread

FOLDS = (0, 1, 2, 3)
SHOTS = (1, 5)
BENCHMARK_IMAGES = 1449
"""PASCAL VOC 2012's validation list, which the published figures are measured on."""

PUBLISHED: dict[int, dict[str, tuple[float, ...]]] = {
    1: {
        "1-NN": (25.3, 44.9, 41.7, 18.4, 32.6),
        "LogReg": (26.9, 42.9, 37.1, 18.4, 31.4),
        "Finetuning": (24.9, 38.8, 36.5, 30.1, 32.6),
        "Siamese": (28.1, 39.9, 31.8, 25.8, 31.4),
        "OSLSM": (33.6, 55.3, 40.9, 33.5, 40.8),
        "co-FCN": (36.7, 50.6, 44.9, 32.4, 41.1),
        "SG-One": (40.2, 58.4, 48.4, 38.4, 46.3),
    },
    5: {
        "1-NN": (34.5, 53.0, 46.9, 25.6, 40.0),
        "LogReg": (35.9, 51.6, 44.5, 25.6, 39.3),
        "co-FCN": (37.5, 50.0, 44.1, 33.9, 41.4),
        "OSLSM": (35.9, 58.1, 42.7, 39.1, 43.9),
        "SG-One": (41.9, 58.6, 48.6, 39.4, 47.1),
    },
}
"""mIoU in percent of folds 0 to 3 and their mean, by shots (SG-One Tables 2 and 3)."""
PUBLISHED_FB_IOU = {1: 63.1, 5: 65.9}
"""SG-One's FB-IoU in percent by shots (Table 4)."""


def tables(reports: Sequence[dict[str, Any]]) -> str:
    """Reports of four folds and both SHOTS -> the three tables, with what they rest on."""
    ours = {
        shots: [report for report in reports if report["protocol"]["shots"] == shots]
        for shots in SHOTS
    }
    parts = ["# SG-One, Tables 2 to 4", _caution(reports)]
    for number, shots in zip((2, 3), SHOTS, strict=True):
        parts.append(f"**Table {number}.** mIoU (%), {shots}-shot\n\n{_miou(ours[shots], shots)}")
    parts.append(f"**Table 4.** FB-IoU (%), mean of the four folds\n\n{_fb_iou(ours)}")
    return "\n\n".join([*parts, _basis(ours[1])]) + "\n"


def _miou(folds: Sequence[dict[str, Any]], shots: int) -> str:
    rows = [
        [name, *(f"{value:.1f}" for value in values)] for name, values in PUBLISHED[shots].items()
    ]
    measured = [percent(report["miou"]) for report in folds]
    rows.append([_ours(folds[0]), *measured, percent(_mean_of_folds(folds, "miou"))])
    return _markdown(["Method", *(f"Fold {report['fold']}" for report in folds), "Mean"], rows)


def _fb_iou(ours: dict[int, list[dict[str, Any]]]) -> str:
    published = ["SG-One", *(f"{PUBLISHED_FB_IOU[shots]:.1f}" for shots in SHOTS)]
    measured = [percent(_mean_of_folds(ours[shots], "fb_iou")) for shots in SHOTS]
    return _markdown(
        ["Method", *(f"{shots}-shot" for shots in SHOTS)],
        [published, [_ours(ours[1][0]), *measured]],
    )


def _mean_of_folds(folds: Sequence[dict[str, Any]], figure: str) -> dict[str, Any]:
    """The mean over folds within each seed, and its spread over seeds."""
    seeds = zip(*(report[figure]["values"] for report in folds), strict=True)
    return spread([statistics.fmean(values) for values in seeds])


def _ours(report: dict[str, Any]) -> str:
    return f"**{report['method']} (ours)**"


def _caution(reports: Sequence[dict[str, Any]]) -> str:
    """What ours is measured on, and why it may not stand beside the paper's."""
    first = reports[0]
    sentences = [
        f"Ours is measured on {first['data']} ({first['list']}): {first['images']:,} images.",
        "The other rows are the paper's (arXiv 1810.09091), measured on the "
        f"{BENCHMARK_IMAGES:,} of PASCAL VOC 2012's validation list.",
    ]
    if first["images"] != BENCHMARK_IMAGES:
        sentences.append("**That is another list of photographs: ours is no benchmark figure.**")
    if any(report["classes_seen_in_training"] for report in reports):
        sentences.append("**Ours has seen test classes in training: it is no few-shot figure.**")
    return " ".join(sentences)


def _basis(folds: Sequence[dict[str, Any]]) -> str:
    """Everything that our rows depend on."""
    first = folds[0]
    protocol = first["protocol"]
    spread_of = "± is the standard deviation over them." if len(first["seeds"]) > 1 else ""
    rows = [
        [
            str(report["fold"]),
            report["checkpoint"],
            f"`{report['sha256']}`",
            ", ".join(report["classes_seen_in_training"]) or "none",
        ]
        for report in folds
    ]
    return (
        f"Ours: {protocol['episodes']} episodes a fold and seed, seeds "
        f"{', '.join(map(str, first['seeds']))}. {spread_of}\n"
        f"{protocol['name']} protocol: {protocol['rules']}; input {protocol['side']} px; "
        f"shots fused by {protocol['fusion']}; {first['precision']} on {first['device']}.\n\n"
        + _markdown(["Fold", "Checkpoint", "sha256", "Test classes seen in training"], rows)
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
