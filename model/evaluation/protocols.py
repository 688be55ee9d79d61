"""The evaluation protocols: which episodes are drawn, what the network is fed, what is counted."""

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.datasets.augmentation import object_weights, square
from model.datasets.listing import SegmentationDataset
from model.datasets.sampling import EpisodeSampler, EpisodeViews, View
from model.episode import Photograph
from model.errors import DatasetError
from model.transforms import TransformConfig, network_size, resize_image, resize_mask


class Prepared(NamedTuple):
    """A photograph and its label of one class, as a protocol shows them."""

    pixels: Tensor  # (3, h, w) uint8, what the network is fed
    support_mask: Tensor  # (h, w) float32 in [0, 1], what it is told where this is a support
    truth: Tensor  # (H, W) uint8 in {0, 1, VOID}, what is counted where this is a query


class EpisodeDraw(NamedTuple):
    """So many episodes of these classes, with so many shots each, drawn by the seed."""

    class_ids: Sequence[int]
    shots: int
    episodes: int
    seed: int


@dataclass(frozen=True)
class Hsnet:
    """HSNet's (Min et al. 2021): all at one square size, labels nearest-resized.

    The square's side is that of the checkpoint's transform.
    Queries are walked in order and supports drawn by the seed. Void pixels are not counted.
    """

    transform: TransformConfig
    default_seed: ClassVar[int] = 0
    rules: ClassVar[str] = "scored at the square size of the network's input, void ignored"

    def usable(self, dataset: SegmentationDataset, class_ids: Sequence[int]) -> SegmentationDataset:
        """Every sample, however small its object."""
        return dataset

    def draw(self, dataset: SegmentationDataset, wanted: EpisodeDraw) -> list[EpisodeViews]:
        """Queries one after the other, and after the last the first again."""
        sampler = EpisodeSampler(dataset, wanted.class_ids, wanted.shots, wanted.seed, "sample")
        return [sampler.episode(index) for index in range(wanted.episodes)]

    def prepare(self, photograph: Photograph, label: NDArray[np.uint8]) -> Prepared:
        """(H, W, 3) uint8 and (H, W) in {0, 1, VOID}, both squeezed to the square."""
        pixels, truth = square(photograph, label, self.transform.side)
        return Prepared(pixels, object_weights(truth), truth)


@dataclass(frozen=True)
class Matcher(Hsnet):
    """Matcher's (Liu et al. 2024), for the 92 classes of a fold of LVIS: each class in turn.

    Its query and supports are drawn by the seed. Classes with too few photographs are passed over.
    """

    rules: ClassVar[str] = f"each class in turn, {Hsnet.rules}"

    def draw(self, dataset: SegmentationDataset, wanted: EpisodeDraw) -> list[EpisodeViews]:
        """DatasetError where no class has enough photographs."""
        shots, seed = wanted.shots, wanted.seed
        able = [one for one in wanted.class_ids if len(dataset.members(one)) > shots]
        if not able:
            raise DatasetError(f"no class has the {shots + 1} photographs that an episode needs")
        samplers = [EpisodeSampler(dataset, (one,), shots, seed, "class") for one in able]
        return [samplers[index % len(able)].episode(index) for index in range(wanted.episodes)]


@dataclass(frozen=True)
class Oslsm:
    """OSLSM's (Shaban et al. 2017), which SG-One follows: scored at the photograph's own size.

    The network is fed as it is served, at the photograph's aspect ratio. Void counts as background,
    and objects of at most 2 cells at 1/32 are left out.
    All pairs of query and class are walked in a random order, and in a new one each time all have
    been walked, as its code does.
    """

    transform: TransformConfig
    default_seed: ClassVar[int] = 1385
    rules: ClassVar[str] = (
        "scored at the photograph's own size, void counted as background, "
        "objects of at most 2 cells at 1/32 left out"
    )

    def usable(self, dataset: SegmentationDataset, class_ids: Sequence[int]) -> SegmentationDataset:
        """A sample whose object is tiny is drawn for that class no more, but still shows it."""
        samples = []
        for sample in dataset.samples:
            tiny = frozenset(
                class_id
                for class_id in sample.class_ids.intersection(class_ids)
                if _is_tiny(dataset.read_label(sample, class_id))
            )
            samples.append(
                dataclasses.replace(
                    sample, class_ids=sample.class_ids - tiny, others=sample.others | tiny
                )
            )
        return dataclasses.replace(dataset, samples=tuple(samples))

    def draw(self, dataset: SegmentationDataset, wanted: EpisodeDraw) -> list[EpisodeViews]:
        """All queries in a random order, round after round, counted on from round to round, so
        that each round draws other supports.
        """
        sampler = EpisodeSampler(dataset, wanted.class_ids, wanted.shots, wanted.seed, "sample")
        generator, pairs = np.random.default_rng(wanted.seed), len(sampler.queries)
        rounds = [
            first + generator.permutation(pairs) for first in range(0, wanted.episodes, pairs)
        ]
        return [sampler.episode(int(index)) for index in np.concatenate(rounds)[: wanted.episodes]]

    def prepare(self, photograph: Photograph, label: NDArray[np.uint8]) -> Prepared:
        """(H, W, 3) uint8 and (H, W) in {0, 1, VOID} -> sizes (h, w) and (H, W)."""
        height, width = label.shape
        size = network_size(height, width, self.transform.side, self.transform.stride)
        mask = label == 1
        return Prepared(
            torch.from_numpy(resize_image(photograph, size)),
            torch.from_numpy(resize_mask(mask, size)),
            torch.from_numpy(mask.astype(np.uint8)),
        )


@dataclass(frozen=True)
class PerSeg(Oslsm):
    """PerSeg's (Zhang et al. 2024): an object's first photographs are its supports, all others
    its queries. Nothing is drawn, so that a seed changes nothing.

    Fed and scored as OSLSM's.
    """

    default_seed: ClassVar[int] = 0
    rules: ClassVar[str] = (
        "the first photographs of each object are its supports, all others its queries; "
        "scored at the photograph's own size, void counted as background"
    )

    def usable(self, dataset: SegmentationDataset, class_ids: Sequence[int]) -> SegmentationDataset:
        """Every sample, however small its object."""
        return dataset

    def draw(self, dataset: SegmentationDataset, wanted: EpisodeDraw) -> list[EpisodeViews]:
        """Object by object, in the order of photographs, so many at most."""
        episodes = []
        for class_id in wanted.class_ids:
            views = [View(sample, class_id, 0) for sample in dataset.members(class_id)]
            if len(views) <= wanted.shots:
                raise DatasetError(
                    f"{dataset.classes[class_id]!r} has {len(views)} photographs; {wanted.shots} "
                    "supports and a query are needed"
                )
            supports = tuple(views[: wanted.shots])
            episodes += [EpisodeViews(query, supports) for query in views[wanted.shots :]]
        return episodes[: wanted.episodes]


class Protocol(typing.Protocol):
    """Which episodes are drawn, what the network is fed, and what is counted."""

    default_seed: ClassVar[int]
    rules: ClassVar[str]

    def usable(self, dataset: SegmentationDataset, class_ids: Sequence[int]) -> SegmentationDataset:
        """The data set with the samples that episodes of the classes are drawn from."""

    def draw(self, dataset: SegmentationDataset, wanted: EpisodeDraw) -> list[EpisodeViews]:
        """In the protocol's order; DatasetError where a class has too few images for one."""

    def prepare(self, photograph: Photograph, label: NDArray[np.uint8]) -> Prepared:
        """(H, W, 3) uint8 and (H, W) in {0, 1, VOID} -> what is fed and counted."""


ProtocolName = Literal["hsnet", "oslsm", "matcher", "perseg"]
PROTOCOLS: dict[ProtocolName, type[Hsnet | Oslsm]] = {
    "hsnet": Hsnet,
    "oslsm": Oslsm,
    "matcher": Matcher,
    "perseg": PerSeg,
}


class MulticlassEpisode(NamedTuple):
    """A query, one view of it for each candidate class, and K supports of each, in one order."""

    queries: tuple[View, ...]
    supports: tuple[tuple[View, ...], ...]


def draw_multiclass(
    dataset: SegmentationDataset, class_ids: Sequence[int], shots: int, count: int, seed: int
) -> list[MulticlassEpisode]:
    """``count`` episodes over all images that hold one of the classes, walked in order.

    The same under every protocol. Every class is a candidate, in the query or not. DatasetError
    where one has too few images.
    """
    members = EpisodeSampler(dataset, class_ids, shots, seed, "sample").members
    queries = sorted({sample for samples in members.values() for sample in samples})
    return [
        _multiclass_episode(members, queries[index % len(queries)], shots, (seed, index))
        for index in range(count)
    ]


def _multiclass_episode(
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


def _is_tiny(label: NDArray[np.uint8]) -> bool:
    """Whether the object holds at most 2 pixels of a grid of 32 (OSLSM keeps sum > 2)."""
    return int((label[::32, ::32] == 1).sum()) <= 2
