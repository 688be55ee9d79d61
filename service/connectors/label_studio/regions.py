"""Masks as the regions of Label Studio's results, and such regions as masks.

Coordinates of regions are percents of the upright photograph's width and height.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from pycocotools import mask as run_lengths

from service.client import FoundObject, Mask, decode_rle
from service.connectors.label_studio.brush import decode_brush
from service.connectors.label_studio.labelling import Control, Interface
from service.connectors.problems import RefusedError
from service.formats.label_studio import brush_results, polygon_results

MAX_PIXELS = 100_000_000
MAX_POINTS = 20_000


def describe(found: Mapping[str, FoundObject], interface: Interface) -> dict[str, Any]:
    """A prediction: the regions of every object that is there, and their mean score."""
    result = [
        region
        for label, each in found.items()
        if each.found
        for region in _regions(each, label, interface.control_of[label])
    ]
    scores = [region["score"] for region in result]
    return {"result": result, "score": sum(scores) / len(scores) if scores else 0.0}


def _regions(found: FoundObject, label: str, control: Control) -> Iterator[dict[str, Any]]:
    """One region for a brush; with polygons, one for each part, without its holes."""
    draw = brush_results if control.kind == "brushlabels" else polygon_results
    for region in draw(found.mask, label, from_name=control.name, to_name=control.image):
        yield {**region, "id": uuid.uuid4().hex[:10], "score": found.score}


def read_masks(result: Iterable[Mapping[str, Any]], interface: Interface) -> dict[str, Mask]:
    """Each label's mask, all its regions together; an empty one is left out.

    Raises RefusedError for a region that cannot be read, or of a photograph that was turned.
    """
    masks: dict[str, Mask] = {}
    for region in result:
        try:
            labels, mask = _labels(region, interface), None
            for label in labels:
                mask = _mask(region) if mask is None else mask
                masks[label] = masks[label] | mask if label in masks else mask
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RefusedError(f"a region cannot be read ({error}); draw it again") from error
    return {label: mask for label, mask in masks.items() if mask.any()}


def _labels(region: Mapping[str, Any], interface: Interface) -> list[str]:
    """Those that the region has of a control that masks are drawn with."""
    for control in interface.controls:
        if region.get("from_name") == control.name and region.get("type") == control.kind:
            drawn = region["value"].get(control.kind, ())
            return [label for label in drawn if label in control.labels]
    return []


def _mask(region: Mapping[str, Any]) -> Mask:
    """(H, W) bool; a polygon is drawn as COCO does."""
    if region.get("image_rotation"):
        raise RefusedError("the photograph is turned in Label Studio; turn it back upright")
    height, width = int(region["original_height"]), int(region["original_width"])
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels")
    value = region["value"]
    if region["type"] == "brushlabels":
        return decode_brush(value["rle"], height, width)
    if len(value["points"]) > MAX_POINTS:
        raise ValueError(f"{len(value['points'])} points")
    outline = np.array([[x, y] for x, y in value["points"]], np.float64) / 100
    corners = (outline.clip(0, 1) * (width, height)).ravel().tolist()
    (drawn,) = run_lengths.frPyObjects([corners], height, width)
    return decode_rle({"size": [height, width], "counts": drawn["counts"].decode("ascii")})
