"""What every data set offers: classes by name, the images that hold each, and loading of one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from model.episode import Photograph
from model.errors import DatasetError
from model.pixels import photograph_pixels


@dataclass(frozen=True)
class Sample:
    """One photograph, its annotation file, and the ids of the classes in it."""

    image: Path
    annotation: Path
    class_ids: frozenset[int]


class LabelReader(Protocol):
    """Turns an annotation into the label of one class."""

    def __call__(self, annotation: Path, class_id: int) -> NDArray[np.uint8]:
        """-> (H, W) in {0, 1, VOID}."""


@dataclass(frozen=True)
class SegmentationDataset:
    """Samples in a fixed order. Class ids index ``classes``; ids without samples are allowed."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    read_label: LabelReader

    def members(self, class_id: int) -> list[int]:
        """Indices of the samples that hold the class, in order."""
        return [index for index, sample in enumerate(self.samples) if class_id in sample.class_ids]

    def without(self, class_ids: Collection[int]) -> Self:
        """The data set without every sample that holds one of the classes."""
        kept = tuple(sample for sample in self.samples if sample.class_ids.isdisjoint(class_ids))
        return replace(self, samples=kept)

    def ids(self, names: Sequence[str]) -> tuple[int, ...]:
        """Class ids of names; DatasetError names the unknown one."""
        for name in names:
            if name not in self.classes:
                raise DatasetError(f"no class {name!r}; there are {', '.join(self.classes)}")
        return tuple(self.classes.index(name) for name in names)

    def load(self, index: int, class_id: int) -> tuple[Photograph, NDArray[np.uint8]]:
        """-> (H, W, 3) uint8 RGB and the class's (H, W) label in {0, 1, VOID}."""
        sample = self.samples[index]
        image = photograph_pixels(open_image(sample.image))
        label = self.read_label(sample.annotation, class_id)
        if image.shape[:2] != label.shape:
            raise DatasetError(
                f"{sample.annotation} is {label.shape[1]}x{label.shape[0]}, its image "
                f"{sample.image} is {image.shape[1]}x{image.shape[0]}; they must be of one size"
            )
        return image, label


def open_image(path: Path) -> Image.Image:
    """A decoded image; DatasetError names a file that is missing or broken."""
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DatasetError(f"{path} cannot be decoded ({error})") from error
    return image
