"""Several classes in one query (SG-One section 4.4): each is looked for, and the surest wins."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model.data.listing import SegmentationDataset
from model.data.sampling import EpisodeSampler, View
from model.evaluation.gallery import Gallery
from model.evaluation.scoring import Predictor, predict_probability
from model.metrics import MulticlassMeter
from model.transforms import CLASS_THRESHOLD


class MulticlassEpisode(NamedTuple):
    """A query, one view of it for each candidate class, and K supports of each, in one order."""

    queries: tuple[View, ...]
    supports: tuple[tuple[View, ...], ...]


def draw_multiclass(
    dataset: SegmentationDataset, class_ids: Sequence[int], shots: int, count: int, seed: int
) -> list[MulticlassEpisode]:
    """``count`` episodes over all images that hold one of the classes, walked in order.

    Every class is a candidate, in the query or not. DatasetError where one has too few images.
    """
    members = EpisodeSampler(dataset, class_ids, shots, seed, "sample").members
    queries = sorted({sample for samples in members.values() for sample in samples})
    return [
        _episode(members, queries[index % len(queries)], shots, (seed, index))
        for index in range(count)
    ]


def score_multiclass(
    predict: Predictor,
    gallery: Gallery,
    class_ids: Sequence[int],
    episodes: Sequence[MulticlassEpisode],
    description: str,
) -> MulticlassMeter:
    """Segment every query into the candidate classes and count."""
    meter = MulticlassMeter(class_ids)
    for episode in tqdm(episodes, desc=description, leave=False):
        probabilities = [
            predict_probability(predict, gallery, query, supports)
            for query, supports in zip(episode.queries, episode.supports, strict=True)
        ]
        truths = [gallery.query(query).truth for query in episode.queries]
        meter.update(class_map(torch.stack(probabilities)), true_map(torch.stack(truths)))
    return meter


def class_map(probabilities: Tensor) -> Tensor:
    """(N, H, W) probabilities -> (H, W): 0 where no class is sure, else the surest, from 1."""
    surest, classes = probabilities.max(dim=0)
    return torch.where(surest > CLASS_THRESHOLD, classes + 1, 0)


def true_map(truths: Tensor) -> Tensor:
    """(N, H, W) truths in {0, 1, VOID} -> (H, W): 0 the background, n the n-th class, or VOID."""
    order = torch.arange(1, len(truths) + 1, dtype=truths.dtype)[:, None, None]
    return torch.where(truths == 1, order, truths).amax(dim=0)


def _episode(
    members: dict[int, list[int]], query: int, shots: int, seed: tuple[int, int]
) -> MulticlassEpisode:
    generator = np.random.default_rng(seed)
    supports = []
    for class_id, samples in members.items():
        others = [sample for sample in samples if sample != query]
        drawn = generator.choice(others, size=shots, replace=False)
        supports.append(tuple(View(int(sample), class_id, 0) for sample in drawn))
    return MulticlassEpisode(
        tuple(View(query, class_id, 0) for class_id in members), tuple(supports)
    )
