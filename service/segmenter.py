"""Segmenter: masks in this process, without a server; what it finds is what the service finds.

from service.segmenter import Segmenter

segmenter = Segmenter()
found = segmenter.segment("query.jpg", [("support.jpg", "support.mask.png")])
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from model.checkpoint import Checkpoint
from model.episode import Fusion, Photograph
from model.executors.protocol import EncodedShots
from model.images.masks import MaskFormat
from service.images.answer import Finding, find_object
from service.images.codec import Part
from service.images.drawing import within_bounds
from service.images.given import MaskOrMark, Picture, mark_of, photograph_of, support_from
from service.inference.engine import Engine, Shot
from service.options import CompletionOptions, KShotOptions
from service.settings import Settings, read_settings


class ShapingOptions(TypedDict, total=False):
    """How a probability becomes a mask, as in docs/reference/options.md."""

    mask_format: MaskFormat
    threshold: float | Literal["auto"]
    presence_threshold: float | Literal["auto"]
    refine: bool
    min_area: int
    fill_holes: bool
    largest_component: bool


class SegmentOptions(ShapingOptions, total=False):
    """Options where supports show the object."""

    fusion: Fusion


@dataclass(frozen=True)
class EncodedSupports:
    """What the network keeps of K supports, for any number of queries."""

    shots: tuple[EncodedShots, ...]


class Segmenter:
    """A network on this machine's CPU or GPU; it keeps no request, and threads may share it.

    Settings that are not given are the service's: SGONE_ variables, else its defaults. Raises
    SettingsError, CheckpointError, ConfigError or DeviceError.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        *,
        executor: str | None = None,
        device: str | None = None,
        precision: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._settings = settings or read_settings(
            checkpoint=checkpoint, executor=executor, device=device, precision=precision
        )
        self._engine = Engine.load(self._settings)
        self._turn = threading.Lock()

    @property
    def checkpoint(self) -> Checkpoint:
        """Which network it is."""
        return self._engine.checkpoint

    @property
    def input_side(self) -> int:
        """Its square is about the number of pixels that the network sees."""
        return self._engine.predictor.transform.side

    def encode(
        self, supports: Iterable[tuple[Picture, MaskOrMark]], *, mask_format: MaskFormat = "auto"
    ) -> EncodedSupports:
        """Show the network the object, once for many queries. Raises ServiceErrors of bad files."""
        shots = []
        for number, (image, shown) in enumerate(supports):
            name = f"supports[{number}]"
            support = support_from(image, shown, name, self._settings.max_image_pixels, mask_format)
            fresh = self._engine.fresh(support)
            with self._turn:
                shots.append(self._engine.encode(fresh.support))
        if not shots:
            raise ValueError("there is no support; give a photograph and its mask")
        return EncodedSupports(tuple(shots))

    def segment(
        self,
        query: Picture,
        supports: Iterable[tuple[Picture, MaskOrMark]] | EncodedSupports,
        **options: Unpack[SegmentOptions],
    ) -> Finding:
        """The object that supports show, in the query. Raises ServiceErrors of bad files."""
        read = KShotOptions(**options)
        if not isinstance(supports, EncodedSupports):
            supports = self.encode(supports, mask_format=read.mask_format)
        return self.find(self.photograph(query), supports, read)

    def complete(
        self, image: Picture, shown: MaskOrMark, **options: Unpack[ShapingOptions]
    ) -> Finding:
        """The mask of what is roughly marked in the same photograph."""
        return self.fill(self.photograph(image), shown, CompletionOptions(**options))

    def photograph(self, picture: Picture) -> Photograph:
        """(H, W, 3) uint8, upright."""
        return photograph_of(picture, "the photograph", self._settings.max_image_pixels)

    def find(
        self, photograph: Photograph, supports: EncodedSupports, options: KShotOptions
    ) -> Finding:
        """``segment`` of what is read already."""
        return self._run(photograph, supports.shots, options, options.fusion)

    def fill(
        self, photograph: Photograph, shown: MaskOrMark, options: CompletionOptions
    ) -> Finding:
        """``complete`` of what is read already."""
        name = "the photograph"
        pixels, mask_format = self._settings.max_image_pixels, options.mask_format
        support = support_from(photograph, shown, name, pixels, mask_format)
        shots = (self._engine.fresh(support),)
        return self._run(photograph, shots, options, "average", mark_of(shown, name))

    def _run(
        self,
        photograph: Photograph,
        shots: tuple[Shot, ...],
        options: KShotOptions | CompletionOptions,
        fusion: Fusion,
        mark: Part | None = None,
    ) -> Finding:
        query = self._engine.prepare_query(photograph, options.refine)
        task = self._engine.prepare(shots, query, fusion)
        with self._turn:
            prediction = self._engine.run(task)
        probability = self._engine.restore(prediction)
        if mark is not None:
            probability = within_bounds(probability, mark.content, mark.field)
        decision = options.decide(self._engine.checkpoint.decision)
        return find_object(probability, prediction.presence[0], decision, options)
