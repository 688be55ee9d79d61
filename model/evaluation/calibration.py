"""``sgone calibrate``: presence becomes a probability, and thresholds travel in the checkpoint.

A network cannot be asked about unseen classes once it has seen them all. Its judges are networks of
the same recipe that were trained without some classes: each is asked about the classes that it has
not seen, in photographs that were kept from its training, and their answers together calibrate the
network (Platt 1999).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.datasets.listing import SegmentationDataset
from model.datasets.sampling import EpisodeSampler, EpisodeViews
from model.decision import Decision
from model.errors import ConfigError
from model.evaluation.bench import open_data
from model.evaluation.extras import need_pictures, need_scikit_learn
from model.evaluation.gallery import Gallery
from model.evaluation.presence import area_under_curve, draw_absent, sight
from model.evaluation.protocols import Hsnet
from model.evaluation.reliability import Told, draw_reliability
from model.evaluation.scoring import network_finder
from model.executors.choose import Placement, at_side, open_executor
from model.executors.protocol import Sighting
from model.metrics import IoUMeter
from model.network.matching import PresenceBranch
from model.refinement import refine
from model.transforms import restore

OBJECT_THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
"""Probabilities above which a refined pixel may be the object's."""
SLACK = 0.5
"""mIoU below the best within which a threshold is as good; of those the nearest to 0.5 is kept."""
MOST_CERTAIN = 1e-7
"""Presence this near to 0 or 1 says no more than this."""


@dataclass(frozen=True)
class Questions:
    """What judges are asked: ``episodes`` of each number of shots, with the object and without.

    ``found`` is the share of the queries with the object whose presence is to pass the threshold.
    ``side`` is that of the input at which they are asked, if not their own: the same for all, as
    presence is not the same at another.
    """

    episodes: int = 200
    shots: tuple[int, ...] = (1, 5)
    seed: int = 0
    found: float = 0.95
    side: int | None = None
    placement: Placement = field(default_factory=Placement)


@dataclass(frozen=True)
class Answers:
    """What all judges answer: presence as logits, and masks at every threshold."""

    with_it: list[float] = field(default_factory=list)
    without: list[float] = field(default_factory=list)
    meters: dict[float, IoUMeter] = field(default_factory=dict)


def main(
    checkpoint: Path,
    judges: Sequence[Path],
    data: Path,
    list_file: Path | None,
    out: Path,
    questions: Questions,
    curve: Path | None = None,
) -> None:
    """Write the calibrated checkpoint to ``out``, and its reliability to ``curve`` (PNG).

    ConfigError where the network has no branch for presence, a judge has seen every class, or what
    is needed is not installed.
    """
    need_scikit_learn()
    if curve:
        need_pictures()
    target = at_side(load_checkpoint(checkpoint), questions.side)
    if not target.architecture.presence:
        raise ConfigError(f"{checkpoint} has no presence branch to calibrate; train one that has")
    panel = [at_side(load_checkpoint(path), questions.side) for path in judges]
    _check_alike([target, *panel])
    dataset = open_data(data, list_file).dataset
    answers = Answers(meters=_meters(dataset))
    for judge in panel:
        _ask(judge, target, dataset, questions, answers)
    scale, shift = fit_logits(answers.with_it, answers.without)
    told = Told(*(probability(scale, shift, one) for one in (answers.with_it, answers.without)))
    miou = {threshold: meter.scores().miou for threshold, meter in answers.meters.items()}
    decision = Decision(
        object_threshold=choose_threshold(miou),
        presence_threshold=round(float(np.quantile(told.with_it, 1 - questions.found)), 3),
    )
    _write(target, scale, shift, decision, out)
    print(_summary(miou, decision, told))
    if curve:
        draw_reliability(told, decision.presence_threshold, curve)


def fit_logits(with_it: Sequence[float], without: Sequence[float]) -> tuple[float, float]:
    """(scale, shift) by which logits become those of a calibrated probability.

    Both kinds of query count as one half, however many there are of each.
    """
    from sklearn.linear_model import LogisticRegression

    logits = np.array([*with_it, *without])[:, None]
    truth = np.repeat([1, 0], [len(with_it), len(without)])
    fitted = LogisticRegression(C=100, class_weight="balanced").fit(logits, truth)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def probability(scale: float, shift: float, logits: Sequence[float]) -> NDArray[np.float64]:
    """The logistic function of the scaled and shifted logits."""
    return np.asarray(1 / (1 + np.exp(-(scale * np.array(logits) + shift))))


def logit(presence: float) -> float:
    """The logistic function's inverse, bounded."""
    share = min(max(presence, MOST_CERTAIN), 1 - MOST_CERTAIN)
    return float(np.log(share / (1 - share)))


def _check_alike(networks: Sequence[Checkpoint]) -> None:
    """ConfigError where some are calibrated and some are not: their logits differ in scale."""
    calibrated = [network.decision.presence_threshold > 0 for network in networks]
    if any(calibrated) and not all(calibrated):
        raw, done = (networks[calibrated.index(each)].path for each in (False, True))
        raise ConfigError(
            f"{done} is calibrated and {raw} is not; take all of them as sgone train made them, or "
            "all calibrated"
        )


def _ask(
    judge: Checkpoint,
    target: Checkpoint,
    dataset: SegmentationDataset,
    questions: Questions,
    answers: Answers,
) -> None:
    """Episodes of the classes that the target has seen and the judge has not."""
    unseen = [
        dataset.classes.index(name)
        for name in target.card.classes
        if name in dataset.classes and name not in judge.card.classes
    ]
    if not unseen:
        raise ConfigError(
            f"{judge.path} has seen every class of {target.path}; name checkpoints that were "
            "trained without some of them (sgone train --fold)"
        )
    executor = open_executor(judge, questions.placement)
    gallery = Gallery(executor, dataset.showing(unseen), Hsnet(judge.transform))
    find = network_finder(executor, "average")
    for shots in questions.shots:
        sampler = EpisodeSampler(gallery.dataset, unseen, shots, questions.seed, "class")
        present = [sampler.episode(index) for index in range(questions.episodes)]
        absent = draw_absent(gallery.dataset, present, questions.seed)
        for episode in tqdm(present, f"{judge.card.name}, {shots}-shot, with the object"):
            sighting = sight(find, gallery, episode)
            answers.with_it.append(logit(sighting.presence))
            _count(sighting, gallery, episode, answers.meters)
        for episode in tqdm(absent, f"{judge.card.name}, {shots}-shot, without it"):
            answers.without.append(logit(sight(find, gallery, episode).presence))


def _meters(dataset: SegmentationDataset) -> dict[float, IoUMeter]:
    return {threshold: IoUMeter(range(len(dataset.classes))) for threshold in OBJECT_THRESHOLDS}


def _count(
    sighting: Sighting, gallery: Gallery, episode: EpisodeViews, meters: dict[float, IoUMeter]
) -> None:
    """The refined mask of one episode at every threshold."""
    truth = gallery.query(episode.query).truth
    height, width = truth.shape
    photograph = gallery.photograph(episode.query, (height, width))
    refined = torch.from_numpy(refine(photograph, restore(sighting.logits, (height, width))))
    for threshold, meter in meters.items():
        class_ids = torch.tensor([episode.query.class_id])
        meter.update((refined > threshold)[None], truth[None], class_ids)


def choose_threshold(miou: dict[float, float]) -> float:
    """The threshold nearest to 0.5 whose mIoU is at most SLACK below the best."""
    best = max(miou.values())
    good = [threshold for threshold, value in miou.items() if value >= best - SLACK]
    return min(good, key=lambda threshold: abs(threshold - 0.5))


def _write(target: Checkpoint, scale: float, shift: float, decision: Decision, out: Path) -> None:
    """The target with its presence scaled and shifted, and with its thresholds."""
    network = target.network
    presence = network.head.presence
    assert isinstance(presence, PresenceBranch)
    with torch.no_grad():
        presence.weigh.weight.mul_(scale)
        presence.weigh.bias.mul_(scale).add_(shift)
    save_checkpoint(out, network, target.transform, target.card, decision=decision)


def _summary(miou: dict[float, float], decision: Decision, told: Told) -> str:
    """What was chosen and by how much it is better, a line each."""
    missed = float(np.mean(told.without >= decision.presence_threshold))
    return "\n".join(
        [
            f"presence: area under the ROC curve {100 * area_under_curve(*told):.1f} %, of "
            f"{len(told.with_it)} queries with the object and {len(told.without)} without",
            f"presence_threshold {decision.presence_threshold}: "
            f"{100 * missed:.1f} % of the queries without it are above",
            f"object_threshold {decision.object_threshold}: mIoU "
            + ", ".join(f"{value:.1f} at {threshold}" for threshold, value in miou.items()),
        ]
    )
