"""Training: episodes in, checkpoints out; stopped and chosen on held-out classes."""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from model.checkpoint import Card, save_checkpoint
from model.datasets.augmentation import TrainingTransform
from model.datasets.sampling import (
    EpisodeBatch,
    Episodes,
    EpisodeSampler,
    EpisodicDataset,
    StepSampler,
    ViewLoader,
    collate,
)
from model.divergence import check_step, check_weights
from model.executors.torch import choose_device
from model.images.masks import MaskFormat
from model.metrics import Scores
from model.network.backbone import normalise
from model.network.sgone import SGOne
from model.progress import STATE, Progress, check_run_folder, load_progress, save_progress
from model.training.curves import draw_curves
from model.training.distributed import Rank, joined
from model.training.features import FeatureBatch, FeatureStore
from model.training.objective import EpisodeLoss, build_optimiser, learning_rate
from model.training.recipe import Recipe, more_shots, override, read_recipe, split
from model.training.reduction import fit_reduction
from model.training.start import build_network, centre_guidance
from model.training.validation import Validation

BEST = "best.safetensors"
CENTRING_EPISODES = 64
"""Training episodes whose supports tell the mean feature."""
CALMER = "lower learning_rate, or set gradient_norm lower,"
"""What helps a run that diverges, as a part of a sentence."""
REDUCING_EPISODES = 160
"""Training episodes whose supports tell the principal components of wide taps."""


def main(
    config: Path,
    data: Path | None = None,
    backbone_weights: Path | None = None,
    run_dir: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    composites: Path | None = None,
    regions: Path | None = None,
    fold: int | None = None,
    held_out: Sequence[str] = (),
    features: Path | None = None,
    mask_format: MaskFormat | None = None,
) -> None:
    """``sgone train``: the options override the recipe's paths, and which classes it may see.

    Features of a frozen backbone are kept in the folder ``features``, for other runs as well.
    """
    recipe = override(
        read_recipe(config),
        {
            "root": data,
            "composites": composites,
            "regions": regions,
            "fold": fold,
            "held_out": tuple(held_out) or None,
            "mask_format": mask_format,
        },
        {"backbone_weights": backbone_weights},
    )
    folder = run_dir or Path("runs") / recipe.name
    check_run_folder(folder, BEST, resume)
    with joined(choose_device(device), recipe.precision) as rank:
        TrainingRun(recipe, folder, rank, features).train(resume)


class TrainingRun:
    """One recipe on its way to a checkpoint: data, network and optimiser, and a folder on disk."""

    def __init__(
        self, recipe: Recipe, folder: Path, rank: Rank, features: Path | None = None
    ) -> None:
        self.recipe, self.folder, self.rank, self.features = recipe, folder, rank, features
        torch.manual_seed(recipe.seed)
        self.split = split(recipe.data, recipe.schedule.shots)
        data, side = self.split.training, recipe.schedule.side
        self.loader = ViewLoader(data, side, TrainingTransform(side), recipe.seed)
        self.sampler = self._build_sampler()
        self.validation = Validation(recipe, self.split)
        network = build_network(recipe).to(rank.device)
        fit_reduction(network.backbone, self._examples(), recipe.seed)
        self.network = network.to(memory_format=torch.channels_last)
        self.optimiser = build_optimiser(recipe.optimiser, self.network)
        average = get_ema_multi_avg_fn(  # type: ignore[no-untyped-call]
            recipe.optimiser.averaging
        )
        self.average = AveragedModel(self.network, multi_avg_fn=average)
        self.progress = Progress()

    def _build_sampler(self) -> Episodes:
        schedule = self.recipe.schedule
        few = self._sampler(self.split.shares, schedule.shots)
        if not schedule.several_share:
            return few
        shares = more_shots(self.split, schedule.several_shots)
        several = self._sampler(shares, schedule.several_shots)
        step_size = schedule.batch_size * self.rank.world
        return StepSampler(few, several, schedule.several_share, step_size)

    def _sampler(self, shares: Mapping[int, float], shots: int) -> EpisodeSampler:
        recipe = self.recipe
        return EpisodeSampler(
            self.split.training,
            tuple(shares),
            shots,
            recipe.seed,
            "class",
            recipe.schedule.views,
            shares,
            recipe.data.absent_share,
        )

    def _examples(self) -> Iterator[Tensor]:
        """Supports of the first episodes, one by one, as the backbone reads them.

        Where composites or regions are added, they alone: features are then the same in every fold,
        and a folder keeps them once for all.
        """
        sampler = self._sampler(self.split.added_shares or self.split.shares, 1)
        for index in range(REDUCING_EPISODES):
            image, _ = self.loader.load(sampler.episode(index).supports[0])
            yield normalise(image[None].to(self.rank.device), self.recipe.transform)

    def train(self, resume: bool) -> None:
        """Step until the schedule or the patience ends; every evaluation leaves files to resume."""
        state, identity = self.folder / STATE, self.recipe.identity()
        modules = {"network": self.network, "average": self.average}
        if resume and state.exists():
            self.progress = load_progress(state, modules, self.optimiser, identity)
        schedule, progress, rank = self.recipe.schedule, self.progress, self.rank
        training = self._store(self.loader) if self.recipe.freeze_backbone else None
        loss = self._build_loss(training)
        # A backbone that learns gives other features each time: its store is made anew.
        held_out = self._store(self.validation.loader) if self.recipe.freeze_backbone else None
        with tqdm(
            total=schedule.steps,
            initial=progress.step,
            desc=self.recipe.name,
            disable=not rank.leads,
        ) as bar:
            for batch in self._batches(training):
                progress.losses.append(self._step(loss, batch))
                progress.step += 1
                bar.set_postfix(loss=f"{progress.losses[-1]:.3f}", refresh=False)
                bar.update()
                if progress.step % schedule.evaluate_every and progress.step < schedule.steps:
                    continue
                self._evaluate(held_out or self._store(self.validation.loader))
                if rank.leads:
                    draw_curves(progress, self.folder / "curves.png")
                    save_progress(state, modules, self.optimiser, progress, identity)
                if progress.evaluations_since_best() >= schedule.patience:
                    break

    @property
    def kept(self) -> SGOne:
        """The averaged network, which is judged and kept."""
        return cast(SGOne, self.average.module.eval())

    def _build_loss(self, store: FeatureStore | None) -> nn.Module:
        """The loss, behind the guidance convolution that the recipe wants centred at the start."""
        recipe, device = self.recipe, self.rank.device
        loss = EpisodeLoss(self.network, recipe.transform, device, recipe.optimiser)
        if recipe.centred_guidance and store and not self.progress.step:
            episodes = [self.sampler.episode(index) for index in range(CENTRING_EPISODES)]
            centre_guidance(self.network, store, episodes)
        return DistributedDataParallel(loss) if self.rank.world > 1 else loss

    def _batches(self, store: FeatureStore | None) -> Iterator[EpisodeBatch | FeatureBatch]:
        """The batches from the current step on; each process takes its own share of every step."""
        schedule, rank = self.recipe.schedule, self.rank
        size = schedule.batch_size
        firsts = [
            (step * rank.world + rank.number) * size
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
        with self.rank.autocast():
            value = loss(batch)
        self.optimiser.zero_grad()
        value.backward()
        limit = self.recipe.optimiser.gradient_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        loss_value = check_step(self.progress.step + 1, value, norm, CALMER)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return loss_value

    def _evaluate(self, store: FeatureStore) -> None:
        """Score the held-out classes, on every process alike, and keep the best checkpoint.

        Without held-out classes the latest checkpoint is kept.
        """
        progress = self.progress
        for network in (self.network, self.kept):
            check_weights(progress.step, network, torch.float16, CALMER)
        with self.rank.autocast():
            scores = self.validation.score(self.kept, store, f"held out, step {progress.step}")
        if scores is not None:
            progress.validation.append((progress.step, scores.miou))
        if scores is None or scores.miou > progress.best_miou:
            progress.best_step = progress.step
            progress.best_miou = scores.miou if scores else progress.best_miou
            if self.rank.leads:
                self._write_checkpoint(scores)
                with self.rank.autocast():
                    self.validation.draw(self.kept, store, self.folder / "episodes.png")

    def _store(self, loader: ViewLoader) -> FeatureStore:
        return FeatureStore(
            self.kept.backbone,
            loader,
            self.recipe.transform,
            self.rank.device,
            self.rank.precision,
            self.features,
        )

    def _write_checkpoint(self, scores: Scores | None) -> None:
        recipe, schedule, training = self.recipe, self.recipe.schedule, self.split.training
        card = Card(
            name=recipe.name,
            classes=tuple(training.classes[i] for i in self.split.own_classes),
            data=f"{len(training.samples)} images, {self.progress.step} steps of "
            f"{schedule.batch_size * self.rank.world} episodes at {schedule.side} px",
            seed=recipe.seed,
            metrics={self.validation.measure: round(scores.miou, 2)} if scores else {},
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
            licence="Apache-2.0",
            parent=recipe.backbone_origin,
        )
        save_checkpoint(self.folder / BEST, self.kept, recipe.transform, card)
