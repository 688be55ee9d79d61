"""Episodes to scores: a predictor segments every query, and a meter counts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from model.data.sampling import EpisodeViews, View
from model.episode import Fusion
from model.evaluation.gallery import EncodedQuery, EncodedSupport, Gallery
from model.executors.protocol import Executor, stack_shots
from model.metrics import IoUMeter
from model.transforms import OBJECT_THRESHOLD, Logits, restore

Predictor = Callable[[EncodedQuery, Sequence[EncodedSupport]], Logits]
"""A query and its K supports -> (2, h, w) logits, channel 1 the object's."""


def network_predictor(executor: Executor, fusion: Fusion) -> Predictor:
    """SG-One itself."""

    def predict(query: EncodedQuery, supports: Sequence[EncodedSupport]) -> Logits:
        shots = stack_shots(support.encoding for support in supports)
        return executor.compare(query.features, query.size, shots, fusion)

    return predict


def score_episodes(
    predict: Predictor, gallery: Gallery, episodes: Sequence[EpisodeViews], description: str
) -> IoUMeter:
    """Segment every episode's query; the meter's ``episode_iou`` is in the episodes' order."""
    meter = IoUMeter(sorted({episode.query.class_id for episode in episodes}))
    for episode in tqdm(episodes, desc=description, leave=False):
        mask = predict_mask(predict, gallery, episode)
        truth = gallery.query(episode.query).truth
        meter.update(mask[None], truth[None], torch.tensor([episode.query.class_id]))
    return meter


def predict_mask(predict: Predictor, gallery: Gallery, episode: EpisodeViews) -> Tensor:
    """(H, W) bool, the object in the query at the size that is scored."""
    return predict_probability(predict, gallery, episode.query, episode.supports) > OBJECT_THRESHOLD


def predict_probability(
    predict: Predictor, gallery: Gallery, query: View, supports: Sequence[View]
) -> Tensor:
    """(H, W) probability of the object, at the size that is scored."""
    encoded = gallery.query(query)
    height, width = encoded.truth.shape
    logits = predict(encoded, [gallery.support(support) for support in supports])
    return torch.from_numpy(restore(logits, (height, width)))
