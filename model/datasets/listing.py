"""What every data set offers: classes by name, the images that hold each, and loading of one."""

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.episode import Photograph
from model.errors import DatasetError, ImageFileError
from model.images.opening import open_upright
from model.images.pixels import photograph_pixels
from model.text import read_text

Item = TypeVar("Item")
Result = TypeVar("Result")

LONGEST_LINE = 1000
Subset = Literal["train", "val"]
"""Which of a data set's own lists is read where none is named."""


@dataclass(frozen=True)
class Sample:
    """One photograph, the file that annotates it, and the ids of the classes in it.

    Episodes ask for ``class_ids`` only. ``others`` are seen in it as well, but not asked for: a
    class that its list leaves out, or that is there only as a crowd.
    """

    image: Path
    annotation: Path
    class_ids: frozenset[int]
    others: frozenset[int] = frozenset()

    def shows(self, class_id: int) -> bool:
        """Whether the class is seen in it, asked for or not."""
        return class_id in self.class_ids or class_id in self.others


class LabelReader(Protocol):
    """Turns a sample's annotation into the label of one class."""

    def __call__(self, sample: Sample, class_id: int) -> NDArray[np.uint8]:
        """-> (H, W) in {0, 1, VOID}."""


@dataclass(frozen=True)
class SegmentationDataset:
    """Samples in a fixed order. Class ids index ``classes``; ids without samples are allowed.

    ``folds`` are the test classes of each fold, where the data set is a benchmark that has folds.
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    read_label: LabelReader
    folds: tuple[tuple[int, ...], ...] = ()

    def fold(self, fold: int) -> tuple[int, ...]:
        """The class ids that a fold tests on; all others train. DatasetError if there is none."""
        if not self.folds:
            raise DatasetError("this data set has no folds; leave the fold out, or name classes")
        if not 0 <= fold < len(self.folds):
            raise DatasetError(f"there is no fold {fold}; choose 0 to {len(self.folds) - 1}")
        return self.folds[fold]

    def members(self, class_id: int) -> list[int]:
        """Indices of the samples that episodes of the class are drawn from, in order."""
        return [index for index, sample in enumerate(self.samples) if class_id in sample.class_ids]

    def without(self, class_ids: Collection[int]) -> Self:
        """The data set without every sample in which one of the classes is seen."""
        kept = tuple(
            sample
            for sample in self.samples
            if (sample.class_ids | sample.others).isdisjoint(class_ids)
        )
        return replace(self, samples=kept)

    def showing(self, class_ids: Collection[int]) -> Self:
        """The data set of the samples in which one of the classes is the object."""
        kept = tuple(one for one in self.samples if not one.class_ids.isdisjoint(class_ids))
        return replace(self, samples=kept)

    def ids(self, names: Sequence[str]) -> tuple[int, ...]:
        """Class ids of names; DatasetError names the unknown one."""
        for name in names:
            if name not in self.classes:
                raise DatasetError(f"no class {name!r}; there are {', '.join(self.classes)}")
        return tuple(self.classes.index(name) for name in names)

    def load(self, index: int, class_id: int) -> tuple[Photograph, NDArray[np.uint8]]:
        """-> (H, W, 3) uint8 RGB and the class's (H, W) label in {0, 1, VOID}.

        All of it is 0 where the sample does not show the class.
        """
        sample = self.samples[index]
        image = photograph_pixels(open_image(sample.image))
        if not sample.shows(class_id):
            return image, np.zeros(image.shape[:2], np.uint8)
        label = self.read_label(sample, class_id)
        if image.shape[:2] != label.shape:
            raise DatasetError(
                f"{sample.image} is {image.shape[1]}x{image.shape[0]}, its mask in "
                f"{sample.annotation} is {label.shape[1]}x{label.shape[0]}; "
                "they must be of one size"
            )
        return image, label


def join(first: SegmentationDataset, second: SegmentationDataset) -> SegmentationDataset:
    """Both as one data set: the second's class ids follow the first's, whose folds stay."""
    offset = len(first.classes)

    def shift(class_ids: frozenset[int], by: int) -> frozenset[int]:
        return frozenset(class_id + by for class_id in class_ids)

    def moved(sample: Sample, by: int) -> Sample:
        return replace(
            sample, class_ids=shift(sample.class_ids, by), others=shift(sample.others, by)
        )

    def read_label(sample: Sample, class_id: int) -> NDArray[np.uint8]:
        if class_id < offset:
            return first.read_label(sample, class_id)
        return second.read_label(moved(sample, -offset), class_id - offset)

    samples = (*first.samples, *(moved(sample, offset) for sample in second.samples))
    return SegmentationDataset(first.classes + second.classes, samples, read_label, first.folds)


def open_image(path: Path) -> Image.Image:
    """An upright image (EXIF); DatasetError names a file that is missing or broken."""
    try:
        return open_upright(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror})") from error
    except ImageFileError as error:
        raise DatasetError(f"{path} {error}") from error


def read_all(read: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Read files side by side; the first failure, and Ctrl-C, wait for none of the rest."""
    pool = ThreadPoolExecutor()
    try:
        return list(pool.map(read, items))
    finally:
        pool.shutdown(cancel_futures=True)


def read_lines(list_file: Path) -> list[str]:
    """The lines of a list, stripped, without the empty ones; DatasetError names the file."""
    try:
        text = read_text(list_file)
    except FileNotFoundError:
        raise DatasetError(f"{list_file} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{list_file} is no text file ({error})") from error
    if text.lstrip().startswith(("{", "[")):
        raise DatasetError(
            f"{list_file} is JSON, no list of lines; an instances file ends in .json"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and (longest := max(map(len, lines))) > LONGEST_LINE:
        raise DatasetError(f"{list_file} has a line of {longest} characters; it is no list")
    return lines
