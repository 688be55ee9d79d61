"""One checkpoint on one fold under one protocol: what every experiment on them shares."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from model.checkpoint import Checkpoint
from model.data.layouts import open_dataset
from model.data.listing import SegmentationDataset
from model.data.sampling import EpisodeViews
from model.episode import Fusion
from model.evaluation.baselines import BASELINES, BaselineName
from model.evaluation.gallery import Gallery
from model.evaluation.multiclass import draw_multiclass, score_multiclass
from model.evaluation.protocols import PROTOCOLS, ProtocolName
from model.evaluation.report import summarise
from model.evaluation.scoring import Predictor, network_predictor, score_episodes
from model.executors.choose import Placement, open_executor
from model.metrics import IoUMeter, MulticlassScores, Scores


@dataclass(frozen=True)
class Plan:
    """What is measured, and where it is computed."""

    seeds: tuple[int, ...]
    protocol: ProtocolName = "hsnet"
    shots: int = 1
    fusion: Fusion = "average"
    episodes: int = 1000
    baseline: BaselineName | None = None
    placement: Placement = field(default_factory=Placement)


class Photographs(NamedTuple):
    """A data set, and what a report calls it."""

    dataset: SegmentationDataset
    name: str
    list_name: str


class Measurement(NamedTuple):
    """One seed's episodes and their meter, in one order."""

    episodes: list[EpisodeViews]
    meter: IoUMeter


def open_photographs(root: Path, list_file: Path | None) -> Photographs:
    """DatasetError names the file or folder at fault."""
    list_name = list_file.name if list_file else "its own validation list"
    return Photographs(open_dataset(root, list_file), root.resolve().name, list_name)


class Bench:
    """Computes the features of every image once, for all seeds, shots and methods."""

    def __init__(
        self, checkpoint: Checkpoint, photographs: Photographs, fold: int | None, plan: Plan
    ) -> None:
        self.checkpoint, self.photographs, self.fold = checkpoint, photographs, fold
        dataset, transform = photographs.dataset, checkpoint.transform
        executor = open_executor(checkpoint, plan.placement)
        self.class_ids = tuple(range(len(dataset.classes))) if fold is None else dataset.fold(fold)
        self.protocol = PROTOCOLS[plan.protocol](transform)
        usable = self.protocol.usable(dataset, self.class_ids)
        self.gallery = Gallery(executor, usable, self.protocol)

    def predictor(self, plan: Plan) -> Predictor:
        """The plan's baseline, or the network."""
        if plan.baseline:
            return BASELINES[plan.baseline]
        return network_predictor(self.gallery.executor, plan.fusion)

    def measure(self, plan: Plan, seed: int) -> Measurement:
        """Score the plan's episodes of one seed."""
        episodes = self.protocol.draw(
            self.gallery.dataset, self.class_ids, plan.shots, plan.episodes, seed
        )
        predict = self.predictor(plan)
        return Measurement(
            episodes, score_episodes(predict, self.gallery, episodes, f"seed {seed}")
        )

    def measure_multiclass(self, plan: Plan, seed: int) -> MulticlassScores:
        """Score the plan's queries of one seed, every class of the fold a candidate."""
        episodes = draw_multiclass(
            self.gallery.dataset, self.class_ids, plan.shots, plan.episodes, seed
        )
        predict = self.predictor(plan)
        meter = score_multiclass(predict, self.gallery, self.class_ids, episodes, f"seed {seed}")
        return meter.scores()

    def report(
        self, plan: Plan, scores: Sequence[Scores] | Sequence[MulticlassScores]
    ) -> dict[str, Any]:
        """The scores of every seed, with all that they depend on."""
        classes, executor = self.photographs.dataset.classes, self.gallery.executor
        tested = {classes[class_id] for class_id in self.class_ids}
        return {
            "method": plan.baseline or "SG-One",
            "checkpoint": self.checkpoint.path.name,
            "sha256": self.checkpoint.sha256,
            "classes_seen_in_training": sorted(tested & set(self.checkpoint.card.classes)),
            "data": self.photographs.name,
            "list": self.photographs.list_name,
            "images": len(self.photographs.dataset.samples),
            "fold": self.fold,
            "protocol": {
                "name": plan.protocol,
                "rules": self.protocol.rules,
                "side": executor.transform.side,
                "shots": plan.shots,
                "fusion": plan.fusion,
                "episodes": plan.episodes,
            },
            "seeds": list(plan.seeds),
            "executor": executor.name,
            "device": executor.device,
            "precision": executor.precision,
            **summarise(scores, classes),
        }
