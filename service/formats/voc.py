"""PASCAL VOC's tree: indexed masks of classes and of objects, and the list of their names.

``labelmap.txt``, which says what the indices mean, is CVAT's; VOC's own readers know its classes.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from model.episode import VOID
from service.formats.names import stem
from service.formats.record import Export, Labelled, Record
from service.images.classes import class_colour, index_png
from service.images.parts import number_parts

CLASS_INDEX = 1
MAX_OBJECTS = VOID - 1


def class_png(labelled: Labelled, _: Export) -> bytes:
    """0 is background, 1 the object."""
    return index_png(labelled.mask.astype(np.uint8) * np.uint8(CLASS_INDEX), VOID)


def object_png(labelled: Labelled, export: Export) -> bytes:
    """0 is background, n the n-th connected part, or 1 the object as a whole.

    Parts beyond the largest MAX_OBJECTS are void.
    """
    if not export.instances:
        return class_png(labelled, export)
    indices = number_parts(labelled.mask, MAX_OBJECTS).astype(np.uint8)
    indices[labelled.mask & (indices == 0)] = VOID
    return index_png(indices, VOID)


def voc_names(records: Iterable[Record], _: Export) -> Iterator[str]:
    """A line for each photograph: its name without the suffix."""
    for record in records:
        yield f"{stem(record.file_name)}\n"


def voc_label_map(_: Iterable[Record], export: Export) -> Iterator[str]:
    """The colours of the two classes."""
    yield "# label:color_rgb:parts:actions\n"
    for index, label in enumerate(("background", export.label)):
        colour = ",".join(map(str, class_colour(index)))
        yield f"{label.replace(':', ' ')}:{colour}::\n"
