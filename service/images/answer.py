"""From a probability to a reply: shapes the mask and renders it, both as the options say."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.decision import Decision
from model.episode import ObjectMask, Photograph
from service.giving_up import go_on
from service.images.coco import Box, bounding_box, encode_run_lengths, trace_polygons
from service.images.parts import connected_parts, outline_parts
from service.images.render import cutout_png, mask_png, overlay_png, probability_png
from service.images.shape import shape_mask
from service.options import JSON, PNG, Options, Shaping
from service.schemas import FoundObject, Instance, Segmentation

SCORE_DIGITS = 6
HEADER_SCORE_DIGITS = 3


@dataclass(frozen=True)
class Finding:
    """(H, W) probability in [0, 1], the (H, W) bool mask that was made of it, and the presence.

    ``presence`` is the network's probability that the photograph shows the object at all.
    """

    probability: NDArray[np.float32]
    mask: ObjectMask
    presence: float

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def score(self) -> float:
        """Mean probability over the mask's pixels; 0 where there are none."""
        if self.area == 0:
            return 0.0
        total = self.probability.sum(where=self.mask, dtype=np.float64)
        return round(float(total) / self.area, SCORE_DIGITS)

    @cached_property
    def bbox(self) -> Box | None:
        """Left, top, width and height in pixels; None where nothing is found."""
        return bounding_box(self.mask)

    def coco(self, *, instances: bool = False) -> dict[str, Any]:
        """The object in COCO's terms, as the service's JSON has it."""
        return describe_object(self, instances=instances).model_dump()

    def headers(self) -> dict[str, str]:
        """Headers that describe the object, whatever the body is."""
        return {
            "X-Object-Found": "true" if self.area else "false",
            "X-Object-Presence": f"{self.presence:.{HEADER_SCORE_DIGITS}f}",
            "X-Object-Score": f"{self.score:.{HEADER_SCORE_DIGITS}f}",
            "X-Object-Area": str(self.area),
        }


@dataclass(frozen=True)
class Answer:
    """A reply that knows nothing of the web framework."""

    body: bytes
    media_type: str
    headers: dict[str, str]


def find_object(
    probability: NDArray[np.float32], presence: float, decision: Decision, shaping: Shaping
) -> Finding:
    """Shape the mask; it is empty where the object is not found to be there."""
    go_on()
    if decision.finds(presence):
        mask = shape_mask(probability, decision.object_threshold, shaping)
    else:
        mask = np.zeros(probability.shape, np.bool_)
    return Finding(probability, mask, round(presence, SCORE_DIGITS))


def answer(
    finding: Finding,
    options: Options,
    checkpoint: Checkpoint,
    read_query: Callable[[], Photograph],
) -> Answer:
    """Render ``options.output``. Only overlay and cutout, which show the query, read it again."""
    go_on()
    headers = finding.headers()
    match options.output:
        case "mask":
            body = mask_png(finding.mask)
        case "probability":
            body = probability_png(finding.probability, options.depth)
        case "overlay":
            body = overlay_png(read_query(), finding.mask)
        case "cutout":
            body = cutout_png(read_query(), finding.mask)
        case "json":
            segmentation = describe_segmentation(finding, options, checkpoint)
            return Answer(segmentation.model_dump_json().encode(), JSON, headers)
    return Answer(body, PNG, headers)


def describe_segmentation(
    finding: Finding, options: Options, checkpoint: Checkpoint
) -> Segmentation:
    """The JSON reply of an endpoint that looks for one object."""
    height, width = finding.mask.shape
    decision = options.decide(checkpoint.decision)
    return Segmentation(
        **dict(describe_object(finding, instances=options.instances)),
        label=options.label,
        size=(height, width),
        threshold=decision.object_threshold,
        presence_threshold=decision.presence_threshold,
        model=checkpoint.card.name,
        checkpoint_sha256=checkpoint.sha256,
    )


def describe_object(finding: Finding, *, instances: bool = False) -> FoundObject:
    """One object in COCO's terms, with its connected parts where they are wanted."""
    return FoundObject(
        found=finding.area > 0,
        presence=finding.presence,
        score=finding.score,
        area=finding.area,
        bbox=finding.bbox,
        segmentation=encode_run_lengths(finding.mask),
        polygons=trace_polygons(finding.mask),
        instances=_describe_parts(finding.mask) if instances else None,
    )


def _describe_parts(mask: ObjectMask) -> list[Instance]:
    parts = zip(connected_parts(mask), outline_parts(mask), strict=True)
    return [Instance(**part._asdict(), polygon=outline) for part, outline in parts]
