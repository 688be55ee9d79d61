"""A training run as a TOML file: data, architecture, optimiser and schedule, nothing implicit."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    model_validator,
)
from pydantic.dataclasses import dataclass

from model.configuration import read_toml
from model.datasets.layouts import Layout, open_dataset
from model.datasets.listing import SegmentationDataset, join
from model.errors import ConfigError, DatasetError
from model.images.masks import MaskFormat
from model.network.sgone import SGOneConfig
from model.transforms import TransformConfig

_FORBID = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_FORBID)
class Data:
    """Where photographs lie, and which classes a run may see.

    ``list`` names the images or classes to train on; ``layout`` is recognised where it is not set.
    ``mask_format`` says what is object in the masks of a folder.
    ``held_out`` classes (by name) are not trained on: their episodes choose the checkpoint.
    Images that hold a test class (of ``fold``) or a held-out class are left out of training.
    ``composites`` is a second data set, such as ``sgone composites`` makes, whose classes take part
    in training only; ``composite_share`` of the episodes are drawn from it. ``regions`` is one of
    parts, materials and textures (``sgone regions``), of which ``region_share`` are drawn. In
    ``absent_share`` of all episodes the query does not show the class.
    """

    root: Path
    list: Path | None = None
    layout: Layout | None = None
    mask_format: MaskFormat = "auto"
    fold: Annotated[int, Field(ge=0, le=3)] | None = None
    held_out: tuple[str, ...] = ()
    composites: Path | None = None
    composite_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    regions: Path | None = None
    region_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    absent_share: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _leave_some(self) -> Self:
        shares = (self.composite_share if self.composites else 0) + (
            self.region_share if self.regions else 0
        )
        if shares >= 1:
            raise ValueError(
                "composite_share and region_share leave no episode to root; lower one of them"
            )
        return self


@dataclass(frozen=True, config=_FORBID)
class Optimiser:
    """AdamW or SGD; the rate falls as (1 - step/steps)^power.

    A backbone that learns does so at ``backbone_share`` of the rate (the paper: a tenth).
    ``averaging`` is the decay of the exponential mean of the weights, which is what is judged and
    kept; 0 keeps the weights themselves. ``object_weight`` is the weight of object pixels in the
    cross-entropy, against 1 of the background's (the paper: 1). IoU wants an unsure pixel marked
    where cross-entropy leaves it out. ``overlap_weight`` is that of 1 - the soft IoU, which counts
    small objects as much as large ones, ``presence_weight`` that of the presence's cross-entropy.
    Gradients are scaled down to ``gradient_norm`` where longer.
    """

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    backbone_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    weight_decay: float = 1e-4
    momentum: float = 0.9
    power: float = 0.9
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    object_weight: PositiveFloat = 1.0
    overlap_weight: Annotated[float, Field(ge=0)] = 0.0
    presence_weight: Annotated[float, Field(ge=0)] = 0.0
    gradient_norm: PositiveFloat | None = None


@dataclass(frozen=True, config=_FORBID)
class Schedule:
    """How long and on what a run steps.

    Episodes have ``shots`` supports, and in ``several_share`` of the steps ``several_shots``, of
    the classes that have so many images.
    ``views`` is the number of augmentations of each photograph; a frozen backbone reads each once.
    ``patience`` is the number of evaluations without a better mIoU after which a run stops.
    """

    steps: PositiveInt
    batch_size: PositiveInt = 8
    shots: PositiveInt = 1
    several_shots: PositiveInt = 5
    several_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    side: PositiveInt = 257
    views: PositiveInt = 2
    evaluate_every: PositiveInt = 100
    validation_episodes: PositiveInt = 300
    patience: PositiveInt = 1000
    workers: Annotated[int, Field(ge=0)] = 2


@dataclass(frozen=True, config=_FORBID)
class Recipe:
    """Everything that decides a run's weights but the hardware.

    ``precision`` is that of products; ``auto`` is bfloat16 where the hardware multiplies it.

    With ``centred_guidance`` the guidance convolution hands the deepest features on, less their
    mean over some training views, and does not learn. Behind a ReLU all features point one way, and
    every cosine is high. Once the mean is gone, the cosine of two tells whether they are alike,
    from the first step on, and for unseen classes as well.
    """

    name: str
    seed: int
    data: Data
    schedule: Schedule
    network: SGOneConfig = SGOneConfig()
    transform: TransformConfig = TransformConfig()
    optimiser: Optimiser = Optimiser()
    freeze_backbone: bool = True
    backbone_weights: Literal["imagenet"] | Path = "imagenet"
    centred_guidance: bool = False
    precision: Literal["auto", "bfloat16", "float32"] = "auto"

    @model_validator(mode="after")
    def _can_be_centred(self) -> Self:
        network = self.network
        if self.centred_guidance and not (network.head == "guidance" and self.freeze_backbone):
            raise ValueError(
                'centred_guidance needs head = "guidance" behind features that stay as they are; '
                "set freeze_backbone = true, or leave centred_guidance away"
            )
        return self

    def identity(self) -> str:
        """What must be equal for a run to be resumed: all of it but the paths."""
        table = TypeAdapter(Recipe).dump_python(self, mode="json")
        for added in ("composites", "regions"):
            table["data"][added] = getattr(self.data, added) is not None
        del table["data"]["root"], table["data"]["list"], table["backbone_weights"]
        # Runs of before these keys were there have them unset as well.
        if self.data.mask_format == "auto":
            del table["data"]["mask_format"]
        if not self.schedule.several_share:
            del table["schedule"]["several_shots"], table["schedule"]["several_share"]
        return json.dumps(table, sort_keys=True)

    @property
    def backbone_origin(self) -> str:
        """Where the backbone's weights come from, for the card."""
        file = self.backbone_file
        return file.name if file else f"torchvision {self.network.backbone}"

    @property
    def backbone_file(self) -> Path | None:
        """None for the download."""
        source = self.backbone_weights
        return None if source == "imagenet" else Path(source)


@dataclasses.dataclass(frozen=True)
class Split:
    """The data set that a run trains on and the one that chooses its checkpoint.

    ``shares`` are the training classes with the share of the episodes that each gets.
    """

    training: SegmentationDataset
    shares: Mapping[int, float]
    validation: SegmentationDataset
    validation_classes: tuple[int, ...]

    @property
    def own_classes(self) -> tuple[int, ...]:
        """The training classes that are no composites."""
        return tuple(i for i in self.shares if i < len(self.validation.classes))

    @property
    def added_shares(self) -> dict[int, float]:
        """Composites and regions with the share of their episodes that each gets; they sum to 1."""
        own = set(self.own_classes)
        return _of_one({i: share for i, share in self.shares.items() if i not in own})


def read_recipe(path: Path) -> Recipe:
    """Parse and check a TOML file; ConfigError names every unknown key and impossible value.

    Relative paths in it are relative to the working directory.
    """
    return read_toml(path, Recipe)


def override(recipe: Recipe, data: dict[str, Any], rest: dict[str, Any]) -> Recipe:
    """The recipe with the values that are not None put in; a fold joins the run's name."""

    def given(options: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if value is not None}

    if data["fold"] is not None:
        rest = {**rest, "name": f"{recipe.name}-fold{data['fold']}"}
    changed = dataclasses.replace(recipe.data, **given(data))
    return dataclasses.replace(recipe, data=changed, **given(rest))


def split(data: Data, shots: int) -> Split:
    """Test classes away from both halves, held-out classes away from training.

    Classes with too few images for an episode are left out of training.
    """
    dataset = open_dataset(data.root, data.list, data.layout, "train", data.mask_format)
    test = dataset.fold(data.fold) if data.fold is not None else ()
    held_out = dataset.ids(data.held_out)
    if overlap := set(test) & set(held_out):
        names = ", ".join(dataset.classes[class_id] for class_id in sorted(overlap))
        raise ConfigError(f"held_out names test classes of fold {data.fold}: {names}")
    training = dataset.without({*test, *held_out})
    own = _drawable(training, shots)
    added = ((data.composites, data.composite_share), (data.regions, data.region_share))
    shares: dict[int, float] = {}
    for root, share in added:
        if root is not None:
            before = len(training.classes)
            training = join(training, open_dataset(root))
            own_to_it = tuple(i for i in _drawable(training, shots) if i >= before)
            shares |= _evenly(_some(own_to_it, root, shots), share)
    if shares:
        _some(own, data.root, shots)
    shares |= _evenly(own, 1 - sum(shares.values()))
    return Split(training, shares, dataset.without(test), held_out)


def more_shots(split: Split, shots: int) -> dict[int, float]:
    """The shares of the training classes that have images for so many shots; they sum to 1.

    DatasetError where no class has.
    """
    kept = {i: split.shares[i] for i in _drawable(split.training, shots) if i in split.shares}
    if not kept:
        raise DatasetError(
            f"no class has the {shots + 1} images of an episode of {shots} shots; "
            "lower several_shots"
        )
    return _of_one(kept)


def _of_one(shares: Mapping[int, float]) -> dict[int, float]:
    """The shares, so that they sum to 1."""
    total = sum(shares.values())
    return {class_id: share / total for class_id, share in shares.items()}


def _some(class_ids: tuple[int, ...], root: Path, shots: int) -> tuple[int, ...]:
    """The classes; DatasetError where there is none."""
    if not class_ids:
        raise DatasetError(
            f"{root} has no class to train on; {shots}-shot episodes need {shots + 1} images"
        )
    return class_ids


def _evenly(class_ids: Sequence[int], share: float) -> dict[int, float]:
    return {class_id: share / len(class_ids) for class_id in class_ids}


def _drawable(dataset: SegmentationDataset, shots: int) -> tuple[int, ...]:
    """Classes with enough images for an episode."""
    return tuple(i for i in range(len(dataset.classes)) if len(dataset.members(i)) > shots)
