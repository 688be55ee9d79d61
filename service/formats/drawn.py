"""Masks as pictures: of one class grey, of several in the classes' colours with a legend."""

import json

from service.formats.record import Export, Labelled
from service.images.classes import classes_overlay_png, hexadecimal, index_png
from service.images.render import mask_png, overlay_png


def drawn_mask(labelled: Labelled, export: Export) -> bytes:
    """8-bit grey, or indexed: 0 is background, n the n-th class."""
    if len(export.labels) == 1:
        return mask_png(labelled.mask)
    return index_png(labelled.classes, len(export.labels), _legend(export))


def drawn_overlay(labelled: Labelled, export: Export) -> bytes:
    """RGB, each class tinted and outlined."""
    if len(export.labels) == 1:
        return overlay_png(labelled.photograph(), labelled.mask)
    count, legend = len(export.labels), _legend(export)
    return classes_overlay_png(labelled.photograph(), labelled.classes, count, legend)


def _legend(export: Export) -> str:
    """ASCII, as a text chunk of PNG takes it."""
    entries = [
        {"index": index, "label": label, "colour": hexadecimal(index)}
        for index, label in enumerate(export.labels, start=1)
    ]
    return json.dumps(entries)
