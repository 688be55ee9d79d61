"""Bytes in, PNG bytes out: the one way through the network that every peer calls."""

import dataclasses
import os
import threading
from collections.abc import Iterator, Mapping, Sequence

from service.images.answer import answer, find_object
from service.images.codec import Part, decode_photograph, decode_support
from service.inference.cache import content_key
from service.inference.engine import Engine, Prediction, Shot, Task
from service.options import Options
from service.settings import Settings, read_settings

Form = Mapping[str, Sequence[bytes]]
"""The files of one multipart form, by field."""


class FixedEngine(Engine):
    """The network's result is there already: what is left of a request is the framework's.

    Photographs are decoded and masks rendered as ever, so that our own app, which cannot leave it
    out, and its peers do the same.
    """

    _result: Prediction | None = None

    def run(self, task: Task) -> Prediction:
        """What the first task of the warm-up was answered with, for everyone."""
        if self._result is None:
            self._result = super().run(task)
        query = task.query
        return dataclasses.replace(
            self._result, size=query.size, guide=query.guide, encode_ms=0.0, segment_ms=0.0
        )


class Handler:
    """One engine, warm; safe in any thread, one forward pass at a time."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.engine = engine
        self._max_pixels = settings.max_image_pixels
        self._options = Options()
        self._turn = threading.Lock()
        for task in engine.warm_up_tasks():
            self._run(task)

    def __call__(self, form: Form) -> bytes:
        """Raises what decoding, the network or rendering raises."""
        query = Part("query_image", form["query_image"][0])
        photograph = decode_photograph(query, self._max_pixels)
        prepared = self.engine.prepare_query(photograph, self._options.refine)
        prediction = self._run(self.engine.prepare(self._supports(form), prepared, "average"))
        probability, checkpoint = self.engine.restore(prediction), self.engine.checkpoint
        decision = self._options.decide(checkpoint.decision)
        finding = find_object(probability, prediction.presence[0], decision, self._options)
        return answer(finding, self._options, checkpoint, lambda: photograph).body

    def _supports(self, form: Form) -> Iterator[Shot]:
        """One shot after the other, each decoded when it is asked for."""
        for image, mask in zip(form["support_image"], form["support_mask"], strict=True):
            yield self._support(Part("support_image", image), Part("support_mask", mask))

    def _support(self, image: Part, mask: Part) -> Shot:
        """THE PLACE where a support is looked up by its bytes, before it is decoded.

        What ``service.segment.shots`` does for our own service.
        """
        key = content_key(image, mask)
        kept = self.engine.prototypes.get(key)
        if kept is not None:
            return kept
        return self.engine.fresh(decode_support(image, mask, self._max_pixels), key)

    def _run(self, task: Task) -> Prediction:
        with self._turn:
            return self.engine.run(task)


def load_handler() -> Handler:
    """The handler that the environment asks for: SGONE_ settings, and BENCH_FIXED."""
    settings = read_settings()
    return Handler(settings, engine_class().load(settings))


def engine_class() -> type[Engine]:
    """FixedEngine where only the framework is timed."""
    return FixedEngine if os.environ.get("BENCH_FIXED") == "1" else Engine
