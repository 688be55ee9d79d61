"""Scores on held-out classes while training: batches of squares behind a frozen backbone."""

from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from model.datasets.sampling import EpisodeSampler, EpisodeViews, ViewLoader
from model.metrics import IoUMeter, Scores
from model.network.sgone import SGOne
from model.pictures import GridRow, draw_grid
from model.training.features import FeatureBatch, FeatureStore
from model.training.recipe import Recipe, Split

BATCH_SIZE = 8
VALIDATION_SEED = 1
"""Validation episodes are the same for every run, whatever its training seed."""
DRAWN_EPISODES = 8


class Validation:
    """Episodes of the held-out classes, by which a run keeps its checkpoint and stops.

    Without held-out classes nothing is scored, and the episodes that are drawn show classes that
    were trained on.
    """

    def __init__(self, recipe: Recipe, split: Split) -> None:
        schedule = recipe.schedule
        self.dataset, self.count = split.validation, schedule.validation_episodes
        self.has_classes = bool(split.validation_classes)
        self.loader = ViewLoader(split.validation, schedule.side)
        self.measure = (
            f"held-out mIoU ({', '.join(recipe.data.held_out)}; "
            f"{self.count} episodes, seed {VALIDATION_SEED})"
        )
        classes = split.validation_classes or split.own_classes
        self.sampler = EpisodeSampler(
            split.validation, classes, schedule.shots, VALIDATION_SEED, "class"
        )

    @torch.inference_mode()
    def score(self, network: SGOne, store: FeatureStore, description: str) -> Scores | None:
        """Segment every episode's query and count; None without held-out classes."""
        if not self.has_classes:
            return None
        episodes = self._episodes(self.count)
        meter = IoUMeter(sorted({episode.query.class_id for episode in episodes}))
        batches = [episodes[i : i + BATCH_SIZE] for i in range(0, len(episodes), BATCH_SIZE)]
        for views in tqdm(batches, desc=description, leave=False):
            batch = store.batch(views)
            meter.update(_masks(network, batch), batch.query_labels, batch.class_ids)
        return meter.scores()

    @torch.inference_mode()
    def draw(self, network: SGOne, store: FeatureStore, path: Path) -> None:
        """The first episodes with their masks, as a PNG."""
        episodes = self._episodes(DRAWN_EPISODES)
        rows = [
            GridRow(episode, mask, self.dataset.classes[episode.query.class_id])
            for episode, mask in zip(episodes, _masks(network, store.batch(episodes)), strict=True)
        ]
        draw_grid(self.dataset, rows, path)

    def _episodes(self, count: int) -> list[EpisodeViews]:
        return [self.sampler.episode(index) for index in range(count)]


def _masks(network: SGOne, batch: FeatureBatch) -> Tensor:
    """(B, H, W) bool masks of a batch of episodes."""
    height, width = batch.query_labels.shape[-2:]
    encoding = network.encode_features(batch.supports, batch.support_masks)
    logits = network.segment_features(batch.query, (height, width), encoding)
    return logits[:, 1] > logits[:, 0]
