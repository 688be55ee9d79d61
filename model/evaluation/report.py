"""Scores of several seeds as one report, for a file and for a terminal."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from model.decision import Decision
from model.evaluation.bench import Bench, Experiment
from model.evaluation.presence import PresenceScores
from model.metrics import MulticlassScores, Scores

FIGURES = {
    "miou": "mIoU",
    "fb_iou": "FB-IoU",
    "boundary_iou": "boundary IoU",
    "background_iou": "background",
}
"""Fields of scores that are one figure, and what people call it."""
PRESENCE_FIGURES = {
    "auc": "presence, area under ROC",
    "found": "found where it is",
    "marked": "marked where it is not",
    "marked_area": "area marked there",
}
"""The same of ``PresenceScores``; all in percent."""


def build_report(
    bench: Bench, experiment: Experiment, scores: Sequence[Scores] | Sequence[MulticlassScores]
) -> dict[str, Any]:
    """The scores of every seed, with all that they depend on."""
    data, executor = bench.data, bench.gallery.executor
    classes, card = data.dataset.classes, bench.checkpoint.card
    tested = {classes[class_id] for class_id in bench.class_ids}
    return {
        "method": experiment.baseline or "SG-One",
        "checkpoint": bench.checkpoint.path.name,
        "sha256": bench.checkpoint.sha256,
        "classes_seen_in_training": sorted(tested & set(card.classes)),
        "data": data.name,
        "list": data.list_name,
        "images": len(data.dataset.samples),
        "fold": bench.fold,
        "protocol": {
            "name": experiment.protocol,
            "rules": bench.gallery.protocol.rules,
            "side": executor.transform.side,
            "shots": experiment.shots,
            "fusion": experiment.fusion,
            "episodes": experiment.episodes,
            "refined": experiment.refined,
        },
        "seeds": list(experiment.seeds),
        "executor": executor.name,
        "device": executor.device,
        "precision": executor.precision,
        **_summarise(scores, classes),
    }


def _summarise(
    scores: Sequence[Scores] | Sequence[MulticlassScores], classes: Sequence[str]
) -> dict[str, Any]:
    """Every figure in percent: its mean over seeds, its values, and their standard deviation."""
    tables = [dataclasses.asdict(score) for score in scores]
    class_ids = sorted({class_id for table in tables for class_id in table["class_iou"]})
    figures = {
        name: spread([table[name] for table in tables]) for name in FIGURES if name in tables[0]
    }
    return figures | {
        "class_iou": {
            classes[i]: spread(
                [table["class_iou"][i] for table in tables if i in table["class_iou"]]
            )
            for i in class_ids
        }
    }


def summarise_presence(scores: Sequence[PresenceScores], decision: Decision) -> dict[str, Any]:
    """The same of presence, with the thresholds that it was told by."""
    tables = [dataclasses.asdict(score) for score in scores]
    figures = {name: spread([table[name] for table in tables]) for name in PRESENCE_FIGURES}
    return figures | dataclasses.asdict(decision)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """``std`` is the sample's, and there from two values on."""
    summary = {"mean": statistics.fmean(values), "values": list(values)}
    return summary | ({"std": statistics.stdev(values)} if len(values) > 1 else {})


def percent(value: dict[str, Any]) -> str:
    """A spread as people read it: ``37.7 ± 0.6``."""
    return f"{value['mean']:.1f}" + (f" ± {value['std']:.1f}" if "std" in value else "")


def format_report(report: dict[str, Any]) -> str:
    """The report as lines for a terminal: its figures, their conditions, and what they are not."""
    figures = {name: report[key] for key, name in FIGURES.items() if key in report}
    figures |= {
        name: report["presence"][key]
        for key, name in PRESENCE_FIGURES.items()
        if "presence" in report
    }
    width = max(map(len, [*report["class_iou"], *figures]))
    lines = [
        f"{name:>{width}}  {percent(value)}"
        for name, value in [*report["class_iou"].items(), *figures.items()]
    ]
    seen = report["classes_seen_in_training"]
    return "\n".join(
        [
            *lines,
            conditions(report),
            f"Seen in training, so no figure on unseen classes: {', '.join(seen)}"
            if seen
            else "None of these classes was seen in training.",
        ]
    )


def conditions(report: dict[str, Any]) -> str:
    """What a figure depends on, in one sentence."""
    protocol = report["protocol"]
    fold = "all classes" if report["fold"] is None else f"fold {report['fold']}"
    task = "multi-class" if "background_iou" in report else "one-class"
    return (
        f"{report['method']}, {fold} of {report['data']} ({report['list']}, "
        f"{report['images']} images); {protocol['name']} protocol ({protocol['rules']}), "
        f"{protocol['episodes']} {protocol['shots']}-shot {task} episodes ({protocol['fusion']}) "
        f"for each seed ({', '.join(map(str, report['seeds']))}); "
        f"checkpoint {report['sha256'][:12]}, {report['precision']} on {report['device']}"
    )
