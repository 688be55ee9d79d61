"""What an evaluation opens: one checkpoint on one fold of one data set, under one protocol."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from model.checkpoint import Checkpoint
from model.datasets.layouts import open_dataset
from model.datasets.listing import SegmentationDataset
from model.episode import Fusion
from model.errors import DatasetError
from model.evaluation.baselines import BaselineName
from model.evaluation.gallery import Gallery
from model.evaluation.protocols import PROTOCOLS, ProtocolName
from model.executors.choose import Placement, open_executor
from model.images.masks import MaskFormat


@dataclass(frozen=True)
class Experiment:
    """What is measured, and where it is computed.

    With ``multiclass`` every class of the fold is looked for in every query.
    """

    seeds: tuple[int, ...]
    protocol: ProtocolName = "hsnet"
    shots: int = 1
    fusion: Fusion = "average"
    episodes: int = 1000
    baseline: BaselineName | None = None
    multiclass: bool = False
    presence: bool = False
    refined: bool = False
    placement: Placement = field(default_factory=Placement)


class NamedDataset(NamedTuple):
    """A data set, and what a report calls it."""

    dataset: SegmentationDataset
    name: str
    list_name: str


class Bench(NamedTuple):
    """Features that the gallery has computed serve all seeds, shots and methods."""

    checkpoint: Checkpoint
    data: NamedDataset
    fold: int | None
    class_ids: tuple[int, ...]
    gallery: Gallery


def open_data(
    root: Path, list_file: Path | None, mask_format: MaskFormat | None = None
) -> NamedDataset:
    """DatasetError names the file or folder at fault."""
    list_name = list_file.name if list_file else "its own validation list"
    dataset = open_dataset(root, list_file, mask_format=mask_format or "auto")
    read_as = f", masks read as {mask_format}" if mask_format else ""
    return NamedDataset(dataset, root.resolve().name + read_as, list_name)


def open_bench(
    checkpoint: Checkpoint, data: NamedDataset, fold: int | None, experiment: Experiment
) -> Bench:
    """Without a fold, every class with enough images for an episode is tested."""
    dataset = data.dataset
    class_ids = _drawable(dataset, experiment.shots) if fold is None else dataset.fold(fold)
    protocol = PROTOCOLS[experiment.protocol](checkpoint.transform)
    executor = open_executor(checkpoint, experiment.placement)
    gallery = Gallery(executor, protocol.usable(dataset, class_ids), protocol)
    return Bench(checkpoint, data, fold, class_ids, gallery)


def _drawable(dataset: SegmentationDataset, shots: int) -> tuple[int, ...]:
    """DatasetError where no class has a query and ``shots`` supports."""
    class_ids = range(len(dataset.classes))
    drawable = tuple(i for i in class_ids if len(dataset.members(i)) > shots)
    if not drawable:
        raise DatasetError(f"no class has the {shots + 1} images that an episode needs")
    return drawable
