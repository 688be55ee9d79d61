"""Episodes to scores: a predictor segments every query, and a meter counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model.datasets.sampling import EpisodeViews, View
from model.decision import Decision
from model.episode import Fusion
from model.evaluation.gallery import EncodedQuery, EncodedSupport, Gallery
from model.evaluation.presence import Finder
from model.evaluation.protocols import MulticlassEpisode
from model.executors.condensing import find_condensed
from model.executors.protocol import Executor, Sighting, stack_shots
from model.metrics import IoUMeter, MulticlassMeter
from model.refinement import refine
from model.transforms import OBJECT_THRESHOLD, Logits, restore

Method = Callable[[EncodedQuery, Sequence[EncodedSupport]], Logits]
"""A query and its K supports -> (2, h, w) logits, channel 1 the object's."""


class ScoredEpisodes(NamedTuple):
    """One seed's episodes and their meter, in one order."""

    episodes: list[EpisodeViews]
    meter: IoUMeter


@dataclass(frozen=True)
class Masking:
    """How probabilities become masks: as the network's logits have them, or with crisp borders."""

    threshold: float = OBJECT_THRESHOLD
    refined: bool = False


PLAIN = Masking()


def network_finder(executor: Executor, fusion: Fusion) -> Finder:
    """SG-One itself, with the object's presence."""

    def find(query: EncodedQuery, supports: Sequence[EncodedSupport]) -> Sighting:
        shots = stack_shots(support.encoding for support in supports)
        return find_condensed(executor, query.features, query.size, shots, fusion)

    return find


def network_method(executor: Executor, fusion: Fusion) -> Method:
    """SG-One itself."""
    find = network_finder(executor, fusion)
    return lambda query, supports: find(query, supports).logits


def score_one_class(
    predict: Method,
    gallery: Gallery,
    episodes: Sequence[EpisodeViews],
    description: str,
    masking: Masking = PLAIN,
) -> IoUMeter:
    """Segment every episode's query; the meter's ``episode_iou`` is in the episodes' order."""
    meter = IoUMeter(sorted({episode.query.class_id for episode in episodes}))
    for episode in tqdm(episodes, desc=description, leave=False):
        mask = predict_mask(predict, gallery, episode, masking)
        truth = gallery.query(episode.query).truth
        meter.update(mask[None], truth[None], torch.tensor([episode.query.class_id]))
    return meter


def score_multiclass(
    find: Finder,
    gallery: Gallery,
    class_ids: Sequence[int],
    episodes: Sequence[MulticlassEpisode],
    description: str,
    decision: Decision,
    refined: bool = False,
) -> MulticlassMeter:
    """Look for each candidate class in every query; the surest wins (SG-One section 4.4)."""
    meter = MulticlassMeter(class_ids)
    for episode in tqdm(episodes, desc=description, leave=False):
        probabilities, truths = [], []
        for view, supports in zip(episode.queries, episode.supports, strict=True):
            query = gallery.query(view)
            found = find(query, [gallery.support(support) for support in supports])
            probability = restore_probability(found.logits, gallery, view, refined)
            probabilities.append(torch.from_numpy(decision.weigh(probability, found.presence)))
            truths.append(query.truth)
        predicted = class_map(torch.stack(probabilities), decision.class_threshold)
        meter.update(predicted, true_map(torch.stack(truths)))
    return meter


def predict_mask(
    predict: Method, gallery: Gallery, episode: EpisodeViews, masking: Masking = PLAIN
) -> Tensor:
    """(H, W) bool, the object in the query at the size that is scored."""
    supports = [gallery.support(support) for support in episode.supports]
    logits = predict(gallery.query(episode.query), supports)
    probability = restore_probability(logits, gallery, episode.query, masking.refined)
    return torch.from_numpy(probability > masking.threshold)


def restore_probability(
    logits: Logits, gallery: Gallery, view: View, refined: bool = False
) -> NDArray[np.float32]:
    """(2, h, w) -> (H, W) probability of the object, at the size that is scored."""
    height, width = gallery.query(view).truth.shape
    probability = restore(logits, (height, width))
    if refined:
        return refine(gallery.photograph(view, (height, width)), probability)
    return probability


def class_map(probabilities: Tensor, threshold: float) -> Tensor:
    """(N, H, W) probabilities -> (H, W): 0 where none passes, else the likeliest, from 1."""
    surest, classes = probabilities.max(dim=0)
    return torch.where(surest > threshold, classes + 1, 0)


def true_map(truths: Tensor) -> Tensor:
    """(N, H, W) truths in {0, 1, VOID} -> (H, W): 0 the background, n the n-th class, or VOID."""
    order = torch.arange(1, len(truths) + 1, dtype=truths.dtype)[:, None, None]
    return torch.where(truths == 1, order, truths).amax(dim=0)
