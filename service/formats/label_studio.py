"""Label Studio's JSON: tasks to import, with each mask as a brush stroke or as polygons.

The brush's run lengths are those of ``encode_rle`` in label-studio-sdk, whose package brings a
score of others, pandas and nltk among them.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from model.episode import ObjectMask
from service.formats.record import Export, Record, by_photograph
from service.giving_up import go_on
from service.images.parts import Runs, number_parts, outline_parts, runs_of_parts

RegionKind = Literal["brush", "polygons"]
FROM_NAME, TO_NAME = "label", "image"
"""Names of the control and of the object tag, as a labelling configuration declares them."""
LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves files of its own machine, by their path."""
# Of rle-pack, the format of the brush: a run has one of four widths of its length.
_WIDTHS = (3, 4, 8, 16)
_HEAD = "{pixels:032b}" + f"{7:05b}" + "".join(f"{width - 1:04b}" for width in _WIDTHS)
_LONGEST = 1 << _WIDTHS[-1]
_CHANNELS = 4
_OBJECT, _BACKGROUND = f"{255:08b}", f"{0:08b}"


def label_studio_file(kind: RegionKind, records: Iterable[Record], export: Export) -> Iterator[str]:
    """A list of tasks; ``predictions``, or ``annotations`` where masks are by hand."""
    comma = "["
    for group in by_photograph(records):
        yield comma + json.dumps(_task(kind, group, export))
        comma = ",\n"
    yield "]" if comma != "[" else "[]"


def brush_results(
    mask: ObjectMask,
    label: str,
    *,
    instances: bool = False,
    from_name: str = FROM_NAME,
    to_name: str = TO_NAME,
) -> list[dict[str, Any]]:
    """(H, W) bool -> a brush region, or one for each connected part; none for an empty mask."""
    numbers = number_parts(mask) if instances else mask.astype(np.uint16)
    values = (
        {"format": "rle", "rle": encode_brush(runs, mask.size), "brushlabels": [label]}
        for runs in runs_of_parts(numbers.ravel())
    )
    return _results("brushlabels", values, mask, from_name, to_name)


def polygon_results(
    mask: ObjectMask, label: str, *, from_name: str = FROM_NAME, to_name: str = TO_NAME
) -> list[dict[str, Any]]:
    """(H, W) bool -> a polygon for each connected part, in percent of the sides, without holes."""
    scale = 100 / np.array(mask.shape[::-1])
    values = (
        {
            "points": (np.reshape(outline, (-1, 2)) * scale).round(4).tolist(),
            "closed": True,
            "polygonlabels": [label],
        }
        for outline in outline_parts(mask)
    )
    return _results("polygonlabels", values, mask, from_name, to_name)


def encode_brush(runs: Runs, pixels: int) -> list[int]:
    """The object's runs along the rows of so many pixels -> bytes of rle-pack.

    Each pixel stands four times, once for each channel of a picture.
    """
    bits, at = [_HEAD.format(pixels=pixels * _CHANNELS)], 0
    for start, length in zip(runs[0].tolist(), runs[1].tolist(), strict=True):
        go_on()
        bits += (_run(start - at, _BACKGROUND), _run(length, _OBJECT))
        at = start + length
    bits.append(_run(pixels - at, _BACKGROUND))
    told = "".join(bits)
    told += "0" * (8 - len(told) % 8)  # a whole byte where there is nothing to fill, as theirs
    return list(int(told, 2).to_bytes(len(told) // 8, "big"))


@lru_cache(10_000)  # the same short runs come again and again
def _run(pixels: int, value: str) -> str:
    longest, rest = divmod(pixels * _CHANNELS, _LONGEST)
    return _coded(_LONGEST, value) * longest + (_coded(rest, value) if rest else "")


def _coded(length: int, value: str) -> str:
    choice = bisect_left(_WIDTHS, (length - 1).bit_length())
    return f"1{choice:02b}{length - 1:0{_WIDTHS[choice]}b}{value}"


def _task(kind: RegionKind, group: Sequence[Record], export: Export) -> dict[str, Any]:
    regions = [region for record in group for region in _regions(kind, record, export)]
    numbered = [region | {"id": _part(number)} for number, region in enumerate(regions, start=1)]
    told: dict[str, Any] = {"result": numbered}
    if not export.by_hand:
        scores = [record.score for record in group if record.score is not None]
        told |= {"model_version": "SG-One Service"}
        told |= {"score": max(scores)} if scores else {}
    image = LOCAL_FILES + quote(group[0].file_name)
    made = "annotations" if export.by_hand else "predictions"
    return {"data": {TO_NAME: image}, made: [told]}


def _regions(kind: RegionKind, record: Record, export: Export) -> list[dict[str, Any]]:
    mask, label = record.mask(), export.labels[record.number - 1]
    if kind == "brush":
        return brush_results(mask, label, instances=export.instances)
    return polygon_results(mask, label)


def _results(
    kind: str,
    values: Iterable[dict[str, Any]],
    mask: ObjectMask,
    from_name: str,
    to_name: str,
) -> list[dict[str, Any]]:
    height, width = mask.shape
    shared = {
        "type": kind,
        "from_name": from_name,
        "to_name": to_name,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
    return [
        {"id": _part(number), **shared, "value": value}
        for number, value in enumerate(values, start=1)
    ]


def _part(number: int) -> str:
    return f"part-{number}"
