"""Scores on held-out classes while training: batches of squares behind a frozen backbone."""

from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from model.data.sampling import EpisodeViews
from model.episode import Fusion
from model.metrics import IoUMeter, Scores
from model.network.sgone import SGOne
from model.training.features import FeatureBatch, FeatureStore

BATCH_SIZE = 8


@torch.inference_mode()
def score_episodes(
    network: SGOne,
    store: FeatureStore,
    episodes: Sequence[EpisodeViews],
    fusion: Fusion,
    description: str,
) -> Scores:
    """Segment every episode's query and score it."""
    meter = IoUMeter(sorted({episode.query.class_id for episode in episodes}))
    batches = [episodes[i : i + BATCH_SIZE] for i in range(0, len(episodes), BATCH_SIZE)]
    for views in tqdm(batches, desc=description, leave=False):
        batch = store.batch(views)
        meter.update(predict_masks(network, batch, fusion), batch.query_labels, batch.class_ids)
    return meter.scores()


@torch.inference_mode()
def predict_masks(network: SGOne, batch: FeatureBatch, fusion: Fusion) -> Tensor:
    """(B, H, W) bool masks of a batch of episodes."""
    height, width = batch.query_labels.shape[-2:]
    encoding = network.encode_features(batch.supports, batch.support_masks)
    logits = network.segment_features(batch.query, (height, width), encoding, fusion)
    return logits[:, 1] > logits[:, 0]
