"""Ultralytics' text files of segments: a line for each object, its outline in shares of the sides.

A line holds one outline and no hole. Parts of one object are joined as Ultralytics' own converter
joins them: by a line there and back between their nearest corners.
"""

import json
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from model.episode import ObjectMask
from service.formats.record import Export, Labelled, Record
from service.giving_up import go_on
from service.images.parts import outline_parts

Corners = NDArray[np.float64]
"""(N, 2) x and y of an outline."""


def yolo_labels(labelled: Labelled, export: Export) -> bytes:
    """The text file of one photograph; it is empty where no object is there."""
    lines = (
        _line(number - 1, outline, mask)
        for number, mask in labelled.masks(export)
        for outline in _outlines(mask, export)
    )
    return "".join(lines).encode()


def yolo_data(_: Iterable[Record], export: Export) -> Iterator[str]:
    """data.yaml, which is JSON too: photographs lie in images/ beside labels/."""
    data = {"path": ".", "train": "images", "val": "images", "names": list(export.labels)}
    yield json.dumps(data, indent=2) + "\n"


def _outlines(mask: ObjectMask, export: Export) -> list[Corners]:
    outlines = [np.reshape(outline, (-1, 2)) for outline in outline_parts(mask)]
    return outlines if export.instances or not outlines else [_joined(outlines)]


def _joined(outlines: list[Corners]) -> Corners:
    """From the topmost on; each is entered from what is joined, and left, at its near corner.

    The bridges have no width, so that they enclose nothing.
    """
    whole = outlines[0]
    for outline in outlines[1:]:
        go_on()
        here, there = _nearest(whole, outline)
        around = np.concatenate([outline[there:], outline[: there + 1]])
        whole = np.concatenate([whole[: here + 1], around, whole[here:]])
    return whole


def _nearest(one: Corners, other: Corners) -> tuple[int, int]:
    """Places of the two corners that are closest; the other's first corner decides for long ones.

    That bounds what thousands of parts take.
    """
    here = int(np.square(one - other[0]).sum(axis=1).argmin())
    there = int(np.square(other - one[here]).sum(axis=1).argmin())
    return here, there


def _line(index: int, outline: Corners, mask: ObjectMask) -> str:
    """Ultralytics counts classes from 0."""
    height, width = mask.shape
    shares = (outline / (width, height)).ravel()
    return f"{index} {' '.join(f'{share:.6g}' for share in shares)}\n"
