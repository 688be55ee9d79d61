"""From several classes' probabilities to one reply: mask, overlay or JSON, with a legend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from model.checkpoint import Checkpoint
from model.decision import Decision
from model.episode import Photograph
from service.giving_up import go_on
from service.images.answer import SCORE_DIGITS, Answer, Finding, describe_object
from service.images.classes import (
    Indices,
    assign_pixels,
    classes_overlay_png,
    clean_classes,
    hexadecimal,
    index_png,
)
from service.options import JSON, PNG, MulticlassOptions
from service.schemas import FoundClass, LegendEntry, MulticlassSegmentation

# A longer X-Legend is left out: a proxy may refuse a reply with longer headers.
MAX_HEADER_BYTES = 4000
_legend = TypeAdapter(list[LegendEntry])


@dataclass(frozen=True)
class Candidates:
    """What the network says of each class, in the order of ``labels``.

    ``probability(n)`` gives (H, W), which is ``size``, of the n-th class, from 0 on. It is called
    twice for each class that is there, so that memory holds one at a time: all of them, at the
    photograph's size, would fill it.
    """

    labels: Sequence[str]
    presence: Sequence[float]
    size: tuple[int, int]
    probability: Callable[[int], NDArray[np.float32]]

    def indices(self, options: MulticlassOptions, decision: Decision) -> Indices:
        """Each pixel's class; classes that are not found to be there have none."""
        probabilities = (
            (number, decision.weigh(self.probability(number - 1), presence))
            for number, presence in enumerate(self.presence, 1)
            if decision.finds(presence)
        )
        indices = assign_pixels(probabilities, self.size, decision.object_threshold)
        clean_classes(indices, options)
        return indices

    def finding(self, number: int, indices: Indices) -> Finding:
        """One class in the picture of all."""
        mask = indices == number + 1
        probability = self.probability(number) if mask.any() else np.zeros(self.size, np.float32)
        return Finding(probability, mask, round(self.presence[number], SCORE_DIGITS))


def answer_classes(
    candidates: Candidates,
    options: MulticlassOptions,
    checkpoint: Checkpoint,
    read_query: Callable[[], Photograph],
) -> Answer:
    """Render ``options.output``."""
    labels, decision = candidates.labels, options.decide(checkpoint.decision)
    indices = candidates.indices(options, decision)
    legend, described = [], []
    for number, label in enumerate(labels):
        go_on()
        finding = candidates.finding(number, indices)
        legend.append(_legend_entry(number + 1, label, finding))
        if options.output == "json":
            described.append(_describe_class(number + 1, label, finding, options.instances))
    text = _legend.dump_json(legend, ensure_ascii=True).decode("ascii")
    headers = {"X-Legend": text} if len(text) <= MAX_HEADER_BYTES else {}
    match options.output:
        case "mask":
            return Answer(index_png(indices, len(labels), text), PNG, headers)
        case "overlay":
            body = classes_overlay_png(read_query(), indices, len(labels), text)
            return Answer(body, PNG, headers)
        case "json":
            height, width = indices.shape
            reply = MulticlassSegmentation(
                size=(height, width),
                threshold=decision.object_threshold,
                presence_threshold=decision.presence_threshold,
                classes=described,
                model=checkpoint.card.name,
                checkpoint_sha256=checkpoint.sha256,
            )
            return Answer(reply.model_dump_json().encode(), JSON, headers)


def _legend_entry(index: int, label: str, finding: Finding) -> LegendEntry:
    return LegendEntry(
        index=index,
        label=label,
        colour=hexadecimal(index),
        presence=finding.presence,
        score=finding.score,
        area=finding.area,
        found=finding.area > 0,
    )


def _describe_class(index: int, label: str, finding: Finding, instances: bool) -> FoundClass:
    found = dict(describe_object(finding, instances=instances))
    return FoundClass(**found, index=index, label=label, colour=hexadecimal(index))
