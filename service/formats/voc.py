"""PASCAL VOC's tree: indexed masks of classes and of objects, and the list of their names.

``labelmap.txt``, which says what the indices mean, is CVAT's; VOC's own readers know its classes.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from model.episode import VOID
from service.formats.names import stem
from service.formats.record import Export, Labelled, Record, by_photograph
from service.images.classes import class_colour, index_png
from service.images.parts import number_parts

MAX_OBJECTS = VOID - 1


def class_png(labelled: Labelled, _: Export) -> bytes:
    """0 is background, n the n-th class."""
    return index_png(labelled.classes, VOID)


def object_png(labelled: Labelled, export: Export) -> bytes:
    """0 is background, n the n-th connected part, or the n-th class as a whole.

    Of each class parts beyond its largest are void, those beyond MAX_OBJECTS in all.
    """
    if not export.instances:
        return class_png(labelled, export)
    indices = np.zeros(labelled.classes.shape, np.uint8)
    count = 0
    for _, mask in labelled.masks(export):
        numbers = number_parts(mask, MAX_OBJECTS - count)
        np.copyto(indices, numbers + count, where=numbers > 0, casting="unsafe")
        indices[mask & (numbers == 0)] = VOID
        count += int(numbers.max(initial=0))
    return index_png(indices, VOID)


def voc_names(records: Iterable[Record], _: Export) -> Iterator[str]:
    """A line for each photograph: its name without the suffix."""
    for group in by_photograph(records):
        yield f"{stem(group[0].file_name)}\n"


def voc_label_map(_: Iterable[Record], export: Export) -> Iterator[str]:
    """The colours of background and classes."""
    yield "# label:color_rgb:parts:actions\n"
    for index, label in enumerate(("background", *export.labels)):
        colour = ",".join(map(str, class_colour(index)))
        yield f"{label.replace(':', ' ')}:{colour}::\n"
