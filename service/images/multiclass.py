"""From several classes' probabilities to one reply: mask, overlay or JSON, with a legend."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from model.checkpoint import Checkpoint
from model.episode import Photograph
from service.images.answer import Answer, Finding, describe_object
from service.images.classes import (
    assign_pixels,
    class_colour,
    classes_overlay_png,
    clean_classes,
    index_png,
)
from service.options import JSON, PNG, MulticlassOptions
from service.schemas import FoundClass, LegendEntry, MulticlassSegmentation

# A longer X-Legend is left out: a proxy may refuse a reply with longer headers.
MAX_HEADER_BYTES = 4000
_legend = TypeAdapter(list[LegendEntry])


def answer_classes(
    labels: Sequence[str],
    probability: Callable[[int], NDArray[np.float32]],
    presence: Sequence[float],
    options: MulticlassOptions,
    checkpoint: Checkpoint,
    read_query: Callable[[], Photograph],
) -> Answer:
    """Render ``options.output``. ``probability(n)`` gives (H, W) of the n-th class, from 0.

    It is called twice for each class, so that memory holds one at a time: all of them, at the
    photograph's size, would fill it.
    """
    indices = assign_pixels(map(probability, range(len(labels))), options)
    clean_classes(indices, options)
    legend, described = [], []
    for number, label in enumerate(labels):
        finding = Finding(probability(number), indices == number + 1, presence[number])
        legend.append(_legend_entry(number + 1, label, finding))
        if options.output == "json":
            described.append(_describe_class(number + 1, label, finding))
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
                threshold=options.threshold,
                classes=described,
                model=checkpoint.card.name,
                checkpoint_sha256=checkpoint.sha256,
            )
            return Answer(reply.model_dump_json().encode(), JSON, headers)


def _legend_entry(index: int, label: str, finding: Finding) -> LegendEntry:
    return LegendEntry(
        index=index,
        label=label,
        colour=_hexadecimal(index),
        score=finding.score,
        area=finding.area,
        found=finding.area > 0,
    )


def _describe_class(index: int, label: str, finding: Finding) -> FoundClass:
    found = dict(describe_object(finding))
    return FoundClass(**found, index=index, label=label, colour=_hexadecimal(index))


def _hexadecimal(index: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*class_colour(index))
