"""A stored set as the supports of a task: pairs are encoded once for each network."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load, save

from model.executors.protocol import EncodedShots
from service.errors import ServiceError
from service.images.codec import Part, decode_support
from service.inference.engine import Engine, FreshSupport, Shot
from service.library.sets import EncodingKey, StoredShot
from service.schemas import SupportSet
from service.segment.runtime import Runtime

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredSupports:
    """A stored set, and a shot of each of its pairs, in order, for ``Engine.prepare``."""

    description: SupportSet
    pair_ids: tuple[str, ...]
    shots: tuple[Shot, ...]


def load_supports(runtime: Runtime, set_id: str) -> StoredSupports:
    """The set's encodings by this checkpoint; pairs that have none yet are decoded and prepared.

    Raises SupportSetNotFoundError or StorageBusyError.
    """
    description, stored = runtime.library.shots(set_id, encoding_key(runtime.engine))
    return StoredSupports(
        description,
        tuple(shot.pair_id for shot in stored),
        tuple(_shot(runtime, shot) for shot in stored),
    )


def keep_encodings(
    runtime: Runtime, supports: StoredSupports, encodings: Sequence[EncodedShots]
) -> None:
    """Store those of a Prediction's ``encodings`` that the library did not have.

    A mask never fails for it: what cannot be stored is logged, and made again next time.
    """
    fresh = {
        pair_id: pack(encoding)
        for pair_id, shot, encoding in zip(
            supports.pair_ids, supports.shots, encodings, strict=True
        )
        if isinstance(shot, FreshSupport)
    }
    if not fresh:
        return
    try:
        runtime.library.keep_encodings(encoding_key(runtime.engine), fresh)
    except ServiceError as error:
        _log.warning("encodings of set %s are not kept: %s", supports.description.id, error)


def encoding_key(engine: Engine) -> EncodingKey:
    """Encodings of one key are the same numbers, devices' rounding aside."""
    side = engine.segmenter.transform.side
    return EncodingKey(engine.checkpoint.sha256, engine.executor.precision, side)


def pack(shots: EncodedShots) -> bytes:
    """An encoding as safetensors, its arrays named by their place."""
    return save({str(place): np.ascontiguousarray(array) for place, array in enumerate(shots)})


def unpack(content: bytes) -> EncodedShots:
    """What ``pack`` was given."""
    arrays = load(content)
    return tuple(arrays[str(place)] for place in range(len(arrays)))


def _shot(runtime: Runtime, stored: StoredShot) -> Shot:
    if stored.encoding is not None:
        return unpack(stored.encoding)
    image = Part(f"image of pair {stored.pair_id}", stored.image or b"")
    mask = Part(f"mask of pair {stored.pair_id}", stored.mask or b"")
    support = decode_support(image, mask, runtime.settings.max_image_pixels)
    return runtime.engine.fresh(support)
