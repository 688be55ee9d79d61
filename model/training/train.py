"""Offline training: episodes in, checkpoints out; stopped and chosen on held-out classes."""

import dataclasses
import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from model.checkpoint import Card, save_checkpoint
from model.data.augmentation import TrainingTransform
from model.data.sampling import (
    EpisodeBatch,
    EpisodeSampler,
    EpisodeViews,
    EpisodicDataset,
    ViewLoader,
    collate,
)
from model.errors import ConfigError
from model.executors.torch import choose_device, choose_precision
from model.metrics import Scores
from model.network.backbone import load_imagenet_weights
from model.network.heads import GuidanceBranch
from model.network.sgone import SGOne
from model.pictures import GridRow, draw_grid
from model.progress import Progress, load_progress, save_progress
from model.training.curves import draw_curves
from model.training.features import FeatureBatch, FeatureStore
from model.training.objective import EpisodeLoss, build_optimiser, learning_rate
from model.training.recipe import Recipe, read_recipe, split
from model.training.validation import predict_masks, score_episodes

VALIDATION_SEED = 1
"""Validation episodes are the same for every run, whatever its training seed."""
CENTRING_EPISODES = 64
"""Training episodes whose supports tell the mean feature."""


@dataclass(frozen=True)
class Place:
    """The device of this process, and its share of the episodes under ``torchrun``."""

    device: torch.device
    rank: int = 0
    world: int = 1


def main(
    config: Path,
    data: Path | None = None,
    backbone_weights: Path | None = None,
    run_dir: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    composites: Path | None = None,
    fold: int | None = None,
    held_out: Sequence[str] = (),
    features: Path | None = None,
) -> None:
    """``sgone train``: the options override the recipe's paths, and which classes it may see.

    Features of a frozen backbone are kept in the folder ``features``, for other runs as well.
    """
    recipe = override(
        read_recipe(config),
        {"root": data, "composites": composites, "fold": fold, "held_out": tuple(held_out) or None},
        {"backbone_weights": backbone_weights},
    )
    place = _join(choose_device(device))
    try:
        Run(recipe, run_dir or Path("runs") / recipe.name, place, features).train(resume)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def override(recipe: Recipe, data: dict[str, Any], rest: dict[str, Any]) -> Recipe:
    """The recipe with what is not None in its place; a fold is told by the run's name."""

    def given(options: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if value is not None}

    if data["fold"] is not None:
        rest = {**rest, "name": f"{recipe.name}-fold{data['fold']}"}
    changed = dataclasses.replace(recipe.data, **given(data))
    return dataclasses.replace(recipe, data=changed, **given(rest))


def _join(device: torch.device) -> Place:
    """Join the processes that ``torchrun`` started, if it did."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Place(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return Place(device, dist.get_rank(), world)


class Run:
    """One training run: its data, network and optimiser, and its folder on disk."""

    def __init__(
        self, recipe: Recipe, folder: Path, place: Place, features: Path | None = None
    ) -> None:
        self.recipe, self.folder, self.place, self.features = recipe, folder, place, features
        self.precision = choose_precision(recipe.precision, place.device)
        torch.manual_seed(recipe.seed)
        self.split = split(recipe.data, recipe.schedule.shots)
        data, schedule, shares = self.split.training, recipe.schedule, self.split.shares
        self.loader = ViewLoader(data, schedule.side, TrainingTransform(schedule.side), recipe.seed)
        self.sampler = EpisodeSampler(
            data, tuple(shares), schedule.shots, recipe.seed, "class", schedule.views, shares
        )
        network = build_network(recipe).to(place.device)
        self.network = network.to(memory_format=torch.channels_last)
        self.optimiser = build_optimiser(recipe.optimiser, self.network)
        average = get_ema_multi_avg_fn(  # type: ignore[no-untyped-call]
            recipe.optimiser.averaging
        )
        self.average = AveragedModel(self.network, multi_avg_fn=average)
        self.progress = Progress()

    def train(self, resume: bool) -> None:
        """Step until the schedule or the patience ends; every evaluation leaves files to resume."""
        state, identity = self.folder / "state.safetensors", self.recipe.identity()
        modules = {"network": self.network, "average": self.average}
        if resume and state.is_file():
            self.progress = load_progress(state, modules, self.optimiser, identity)
        schedule, progress = self.recipe.schedule, self.progress
        loss: nn.Module = EpisodeLoss(
            self.network,
            self.recipe.transform,
            self.place.device,
            self.recipe.optimiser.object_weight,
        )
        training = self._store(self.loader) if self.recipe.freeze_backbone else None
        if self.recipe.centred_guidance and training and not progress.step:
            self._centre_guidance(training)
        if self.place.world > 1:
            loss = DistributedDataParallel(loss)
        # A backbone that learns gives other features each time: its store is made anew.
        held_out = self._validation_store() if self.recipe.freeze_backbone else None
        bar = tqdm(
            total=schedule.steps,
            initial=progress.step,
            desc=self.recipe.name,
            disable=self.place.rank > 0,
        )
        for batch in self._batches(training):
            progress.losses.append(self._step(loss, batch))
            progress.step += 1
            bar.set_postfix(loss=f"{progress.losses[-1]:.3f}", refresh=False)
            bar.update()
            if progress.step % schedule.evaluate_every and progress.step < schedule.steps:
                continue
            self._evaluate(held_out or self._validation_store())
            if self.place.rank == 0:
                draw_curves(progress, self.folder / "curves.png")
                save_progress(state, modules, self.optimiser, progress, identity)
            if progress.evaluations_since_best() >= schedule.patience:
                break
        bar.close()

    def _centre_guidance(self, store: FeatureStore) -> None:
        episodes = [self.sampler.episode(index) for index in range(CENTRING_EPISODES)]
        deepest = store.batch(episodes).supports[-1]
        cast(GuidanceBranch, self.network.head).centre(deepest.float().mean((0, 2, 3)))

    def _batches(self, store: FeatureStore | None) -> Iterator[EpisodeBatch | FeatureBatch]:
        """The batches from the current step on; each process takes its own share of every step."""
        schedule, place = self.recipe.schedule, self.place
        size = schedule.batch_size
        firsts = [
            (step * place.world + place.rank) * size
            for step in range(self.progress.step, schedule.steps)
        ]
        if store is not None:
            for first in firsts:
                yield store.batch([self.sampler.episode(first + i) for i in range(size)])
        else:
            yield from DataLoader(
                EpisodicDataset(self.loader, self.sampler),
                batch_sampler=[list(range(first, first + size)) for first in firsts],
                num_workers=schedule.workers,
                collate_fn=collate,
            )

    def _step(self, loss: nn.Module, batch: EpisodeBatch | FeatureBatch) -> float:
        self.network.train()
        rate = learning_rate(self.recipe.optimiser, self.progress.step, self.recipe.schedule.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        with self._autocast():
            value = loss(batch)
        self.optimiser.zero_grad()
        value.backward()
        if limit := self.recipe.optimiser.gradient_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return float(value.detach())

    def _evaluate(self, store: FeatureStore) -> None:
        """Score the held-out classes, on every process alike, and keep the best checkpoint.

        Without held-out classes the latest checkpoint is kept.
        """
        progress, scores = self.progress, None
        if self.split.validation_classes:
            scores = self._score(store)
            progress.validation.append((progress.step, scores.miou))
        if scores is None or scores.miou > progress.best_miou:
            progress.best_step = progress.step
            progress.best_miou = scores.miou if scores else progress.best_miou
            if self.place.rank == 0:
                self._write_checkpoint(scores)
                self._draw_examples(store)

    @property
    def kept(self) -> SGOne:
        """The averaged network, which is judged and kept."""
        return cast(SGOne, self.average.module.eval())

    def _score(self, store: FeatureStore) -> Scores:
        episodes = self._validation_episodes(self.recipe.schedule.validation_episodes)
        with self._autocast():
            return score_episodes(
                self.kept, store, episodes, "average", f"held out, step {self.progress.step}"
            )

    def _validation_episodes(self, count: int) -> list[EpisodeViews]:
        schedule = self.recipe.schedule
        classes = self.split.validation_classes or self.split.own_classes
        sampler = EpisodeSampler(
            self.split.validation, classes, schedule.shots, VALIDATION_SEED, "class"
        )
        return [sampler.episode(index) for index in range(count)]

    def _validation_store(self) -> FeatureStore:
        return self._store(ViewLoader(self.split.validation, self.recipe.schedule.side))

    def _store(self, loader: ViewLoader) -> FeatureStore:
        return FeatureStore(
            self.kept.backbone,
            loader,
            self.recipe.transform,
            self.place.device,
            self.precision,
            self.features,
        )

    def _autocast(self) -> torch.autocast:
        enabled = self.precision == torch.bfloat16
        return torch.autocast(self.place.device.type, torch.bfloat16, enabled=enabled)

    def _write_checkpoint(self, scores: Scores | None) -> None:
        recipe, schedule = self.recipe, self.recipe.schedule
        measure = (
            f"held-out mIoU ({', '.join(recipe.data.held_out)}; "
            f"{schedule.validation_episodes} episodes, seed {VALIDATION_SEED})"
        )
        card = Card(
            name=recipe.name,
            classes=tuple(self.split.training.classes[i] for i in self.split.own_classes),
            data=f"{len(self.split.training.samples)} images, {self.progress.step} steps of "
            f"{schedule.batch_size * self.place.world} episodes at {schedule.side} px",
            seed=recipe.seed,
            metrics={measure: round(scores.miou, 2)} if scores else {},
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
            licence="Apache-2.0",
            parent=recipe.backbone_origin,
        )
        save_checkpoint(self.folder / "best.safetensors", self.kept, recipe.transform, card)

    def _draw_examples(self, store: FeatureStore) -> None:
        episodes = self._validation_episodes(count=8)
        with self._autocast():
            masks = predict_masks(self.kept, store.batch(episodes), "average")
        dataset = self.split.validation
        rows = [
            GridRow(episode, mask, dataset.classes[episode.query.class_id])
            for episode, mask in zip(episodes, masks, strict=True)
        ]
        draw_grid(dataset, rows, self.folder / "episodes.png")


def build_network(recipe: Recipe) -> SGOne:
    """Random head, pre-trained backbone; frozen where the recipe says so."""
    network = SGOne(recipe.network)
    file = None if recipe.backbone_weights == "imagenet" else Path(recipe.backbone_weights)
    load_imagenet_weights(network.backbone, recipe.network.backbone, file)
    network.backbone.requires_grad_(not recipe.freeze_backbone)
    if recipe.centred_guidance:
        if (deep := network.backbone.channels[-1]) != recipe.network.guidance_channels:
            raise ConfigError(
                f"centred_guidance hands on the {deep} deepest channels; "
                f"set guidance_channels = {deep}"
            )
        for convolution in cast(GuidanceBranch, network.head).guidance_convolutions:
            convolution.requires_grad_(False)
    return network
