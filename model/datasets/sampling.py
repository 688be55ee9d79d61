"""Episodes: drawn by seed and index alone, so that any of them can be made again."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from model.datasets.augmentation import TrainingTransform, object_weights, square
from model.datasets.listing import SegmentationDataset
from model.errors import DatasetError

Balance = Literal["class", "sample"]
"""Whether classes are drawn evenly, or as often as their images come."""


class View(NamedTuple):
    """One look at a sample: ``view`` seeds its augmentation, so that equal views are equal."""

    sample: int
    class_id: int
    view: int


class EpisodeViews(NamedTuple):
    """A query and K supports of one class, all of different samples."""

    query: View
    supports: tuple[View, ...]


class EpisodeSampler:
    """Draws episode ``index`` from ``seed`` alone, the same on every machine.

    ``balance="class"`` draws the class evenly, or by ``shares`` (training). ``balance="sample"``
    walks all pairs of sample and class in order, again and again, as HSNet's evaluation does.
    ``views`` is the number of augmentations of a sample to draw from. In ``absent_share`` of the
    episodes the query is of any sample that does not show the class.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        class_ids: Sequence[int],
        shots: int,
        seed: int,
        balance: Balance,
        views: int = 1,
        shares: Mapping[int, float] | None = None,
        absent_share: float = 0.0,
    ) -> None:
        if not class_ids:
            raise DatasetError(
                f"no class is left: {shots}-shot episodes need one with at least {shots + 1} "
                "images that show no class which is to be left out"
            )
        self.dataset, self.absent_share = dataset, absent_share
        self.members = {class_id: dataset.members(class_id) for class_id in class_ids}
        for class_id, members in self.members.items():
            if len(members) < shots + 1:
                raise DatasetError(
                    f"class {dataset.classes[class_id]!r} has {len(members)} usable images; "
                    f"{shots}-shot episodes need at least {shots + 1}"
                )
        self.queries = sorted(
            (query, class_id) for class_id, members in self.members.items() for query in members
        )
        self.shots, self.seed, self.balance, self.views = shots, seed, balance, views
        self.shares = [shares[i] for i in sorted(self.members)] if shares else None

    def episode(self, index: int) -> EpisodeViews:
        """The query and its supports."""
        generator = np.random.default_rng((self.seed, index))
        if self.balance == "class":
            class_id = int(generator.choice(sorted(self.members), p=self.shares))
            query = int(generator.choice(self.members[class_id]))
        else:
            query, class_id = self.queries[index % len(self.queries)]
        others = [member for member in self.members[class_id] if member != query]
        supports = generator.choice(others, size=self.shots, replace=False)
        query_view, *support_views = (
            View(int(sample), class_id, int(view))
            for sample, view in zip(
                (query, *supports),
                generator.integers(self.views, size=self.shots + 1),
                strict=True,
            )
        )
        if self.absent_share and generator.random() < self.absent_share:
            query_view = query_view._replace(sample=self._without(class_id, generator))
        return EpisodeViews(query_view, tuple(support_views))

    def _without(self, class_id: int, generator: np.random.Generator) -> int:
        """A sample in which the class is not seen: of all that there are, however few they are."""
        samples = self.dataset.samples
        for index in generator.permutation(len(samples)):
            if not samples[index].shows(class_id):
                return int(index)
        raise DatasetError(f"every photograph shows {self.dataset.classes[class_id]!r}")


class Episodes(Protocol):
    """Episodes by their number."""

    def episode(self, index: int) -> EpisodeViews:
        """The query and its supports; the same whenever it is asked for."""


class StepSampler:
    """Episodes of ``several`` in ``share`` of the training steps, of ``few`` in the others.

    A step's ``step_size`` episodes have one number of shots, so that they stack.
    """

    def __init__(
        self, few: EpisodeSampler, several: EpisodeSampler, share: float, step_size: int
    ) -> None:
        self.few, self.several, self.share, self.step_size = few, several, share, step_size

    def episode(self, index: int) -> EpisodeViews:
        """The query and its supports."""
        step = index // self.step_size
        drawn = np.random.default_rng((self.few.seed, step, 1)).random()
        return (self.several if drawn < self.share else self.few).episode(index)


class ViewLoader:
    """Loads views as square tensors; without a transform, HSNet's fixed square."""

    def __init__(
        self,
        dataset: SegmentationDataset,
        side: int,
        transform: TrainingTransform | None = None,
        seed: int = 0,
    ) -> None:
        self.dataset, self.side, self.transform, self.seed = dataset, side, transform, seed

    def load(self, view: View) -> tuple[Tensor, Tensor]:
        """-> (3, side, side) uint8 image and (side, side) uint8 label in {0, 1, VOID}."""
        image, label = self.dataset.load(view.sample, view.class_id)
        if self.transform is None:
            return square(image, label, self.side)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(zlib.crc32(self._augmentation(view).encode()))
            return self.transform(image, label)

    def name(self, view: View) -> str:
        """A name for what ``load`` returns: the same in every run, fold and list."""
        image = self.dataset.samples[view.sample].image.resolve()
        drawn = "square" if self.transform is None else "drawn"
        return f"{image} {drawn} {self._augmentation(view)}"

    def _augmentation(self, view: View) -> str:
        """Names the photograph, not its place in a list, and so is the same in every fold."""
        name = self.dataset.samples[view.sample].image.stem
        class_name = self.dataset.classes[view.class_id]
        return f"{self.seed} {class_name} {name} {view.view}"


class EpisodeBatch(NamedTuple):
    """B episodes of K shots at one size; images uint8, masks float32, labels in {0, 1, VOID}."""

    support_images: Tensor  # (B, K, 3, H, W)
    support_masks: Tensor  # (B, K, H, W)
    query_images: Tensor  # (B, 3, H, W)
    query_labels: Tensor  # (B, H, W)
    class_ids: Tensor  # (B,)


class EpisodicDataset(Dataset[EpisodeBatch]):
    """Episodes as tensors, each a batch of one."""

    def __init__(self, loader: ViewLoader, sampler: Episodes) -> None:
        self.loader, self.sampler = loader, sampler

    def __getitem__(self, index: int) -> EpisodeBatch:
        episode = self.sampler.episode(index)
        query, label = self.loader.load(episode.query)
        supports = [self.loader.load(support) for support in episode.supports]
        return EpisodeBatch(
            torch.stack([image for image, _ in supports])[None],
            torch.stack([object_weights(mask) for _, mask in supports])[None],
            query[None],
            label[None],
            torch.tensor([episode.query.class_id]),
        )


def collate(episodes: Sequence[EpisodeBatch]) -> EpisodeBatch:
    """Join batches along B."""
    return EpisodeBatch(*(torch.cat(parts) for parts in zip(*episodes, strict=True)))
