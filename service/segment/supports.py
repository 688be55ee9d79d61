"""The supports of a request, ready for the network: sent in its form, or stored before."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model.executors.protocol import EncodedShots
from model.images.masks import MaskFormat
from service.errors import ServiceError
from service.http.spool import SentPart
from service.images.codec import Part
from service.inference.cache import content_key
from service.inference.engine import Engine, FreshSupport, Shot
from service.library.records import EncodingKey, PairState, StoredShot
from service.schemas import SupportSet
from service.segment.pairs import Shown
from service.segment.runtime import Runtime, settle

_log = logging.getLogger(__name__)
READING = "X-Mask-Reading"
# What proxies take in one header; of very many masks the first.
MAX_READING_LENGTH = 4000


@dataclass(frozen=True)
class ReadySupport:
    """One support as the engine takes it; ``pair`` where it is a stored one.

    ``reading`` is how a sent mask was read, as replies say it.
    """

    shot: Shot
    pair: PairState | None = None
    reading: str | None = None

    @property
    def unkept(self) -> bool:
        """Whether it is a stored pair without an encoding by this network."""
        return self.pair is not None and isinstance(self.shot, FreshSupport)


Classes = Mapping[str, Sequence[ReadySupport]]
"""The supports of each class by its label."""


async def load_supports(
    runtime: Runtime, shown: Shown, mask_format: MaskFormat = "auto"
) -> Classes:
    """Decode what was sent, then load stored sets one by one.

    Raises the codec's errors, those of the first bad pair, SupportSetNotFoundError,
    StorageBusyError, and what ``shown.check`` does.
    """
    decoded = await settle(_decode(runtime, pairs, mask_format) for pairs in shown.sent.values())
    classes = dict(zip(shown.sent, decoded, strict=True))
    for set_id in shown.set_ids:
        described, supports = await _load_set(runtime, set_id)
        classes.setdefault(shown.class_of(described), []).extend(supports)
        shown.check({label: len(each) for label, each in classes.items()})
    return classes


def reading_header(readings: Iterable[str | None]) -> dict[str, str]:
    """How sent masks were read, in order: "light; share=0.4113, labels; share=0.0712"."""
    told = ", ".join(reading for reading in readings if reading is not None)
    return {READING: told[:MAX_READING_LENGTH]} if told else {}


def readings_of(classes: Classes) -> dict[str, str]:
    """``reading_header`` of the supports of a request."""
    return reading_header(one.reading for supports in classes.values() for one in supports)


async def keep_encodings(
    runtime: Runtime, supports: Sequence[ReadySupport], encodings: Sequence[EncodedShots]
) -> None:
    """Store the encodings of those supports that are ``unkept``.

    A mask never fails for it: what cannot be stored is logged, and made again next time.
    """
    fresh = {
        support.pair: encoding
        for support, encoding in zip(supports, encodings, strict=True)
        if support.pair is not None and support.unkept
    }
    try:
        await runtime.storage.run(_keep, runtime, fresh)
    except ServiceError as error:
        _log.warning("encodings of %d stored pairs are not kept: %s", len(fresh), error)


def encoding_key(engine: Engine) -> EncodingKey:
    """Encodings of one key are the same numbers, devices' rounding aside."""
    side = engine.predictor.transform.side
    return EncodingKey(engine.checkpoint.sha256, engine.executor.precision, side)


def pack(shots: EncodedShots) -> bytes:
    """An encoding as safetensors, its arrays named by their place."""
    return save({str(place): np.ascontiguousarray(array) for place, array in enumerate(shots)})


def unpack(content: bytes) -> EncodedShots:
    """What ``pack`` was given."""
    arrays = load(content)
    return tuple(arrays[str(place)] for place in range(len(arrays)))


async def _decode(
    runtime: Runtime, pairs: Iterable[tuple[SentPart, SentPart]], mask_format: MaskFormat
) -> list[ReadySupport]:
    works = [partial(_sent, runtime, *pair, mask_format) for pair in pairs]
    return await _in_threads(runtime, works)


async def _load_set(runtime: Runtime, set_id: str) -> tuple[SupportSet, list[ReadySupport]]:
    key = encoding_key(runtime.engine)
    described, pairs = await runtime.storage.run(runtime.library.shots, set_id, key)
    supports = await _in_threads(
        runtime, [partial(_stored, runtime, set_id, pair) for pair in pairs]
    )
    return described, supports


async def _in_threads(
    runtime: Runtime, works: Iterable[Callable[[], ReadySupport]]
) -> list[ReadySupport]:
    """Side by side; the error is that of the first bad one in order."""
    return await settle(runtime.in_thread(work) for work in works)


def _sent(
    runtime: Runtime, sent_image: SentPart, sent_mask: SentPart, mask_format: MaskFormat
) -> ReadySupport:
    """What the network keeps of the same bytes, or else the support at the network's size."""
    max_bytes = runtime.settings.max_upload_bytes
    image, mask = sent_image.read(max_bytes), sent_mask.read(max_bytes)
    key = content_key(image, mask, mask_format)
    kept = runtime.engine.prototypes.get(key)
    if kept is not None:
        return ReadySupport(kept, reading=runtime.readings.get(key))
    support, reading = runtime.decode_shot(image, mask, mask_format)
    runtime.readings.keep(key, str(reading))
    return ReadySupport(runtime.engine.fresh(support, key), reading=str(reading))


def _keep(runtime: Runtime, fresh: Mapping[PairState, EncodedShots]) -> None:
    packed = {state: pack(encoding) for state, encoding in fresh.items()}
    runtime.library.keep_encodings(encoding_key(runtime.engine), packed)


def _stored(runtime: Runtime, set_id: str, pair: StoredShot) -> ReadySupport:
    """The encoding that is stored, or else the pair at the network's size.

    An encoding that cannot be read is made, and kept, anew.
    """
    state, image, mask = pair.state, pair.image, pair.mask
    area = pair.area
    if pair.encoding is not None:
        try:
            return ReadySupport(unpack(pair.encoding), state)
        except (SafetensorError, KeyError) as error:
            _log.warning("the encoding of pair %s is made anew: %s", state.pair_id, error)
            state, area, image, mask = runtime.library.pair(set_id, state.pair_id)
    image_part = Part(f"image of pair {state.pair_id}", image or b"")
    mask_part = Part(f"mask of pair {state.pair_id}", mask or b"")
    support, _ = runtime.decode_shot(image_part, runtime.stored_mask(mask_part, area))
    fresh = runtime.engine.fresh(support)
    return ReadySupport(fresh, state)
