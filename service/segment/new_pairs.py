"""Uploads that are to be stored: decoded and checked, all of a request before any is stored."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from model.images.masks import MaskFormat, MaskReading
from service.errors import MissingPartError
from service.giving_up import go_on
from service.http.deadline import within
from service.http.forms import Form
from service.images.codec import Part
from service.images.render import mask_png
from service.images.thumbnail import thumbnail_png
from service.library.records import NewPair, PairState, StoredPair
from service.options import MaskOptions, read_options
from service.segment.inputs import ARCHIVE, SUPPORT_IMAGE, SUPPORT_MASK
from service.segment.pairs import support_masks, support_pairs
from service.segment.runtime import Runtime
from service.segment.set_reader import SetFile, read_set_file
from service.segment.supports import reading_header

Value = TypeVar("Value")


class Decoded(NamedTuple):
    """A pair to store, and how its mask was read."""

    pair: NewPair
    reading: str


async def decode_pairs(runtime: Runtime, form: Form[Part]) -> list[Decoded]:
    """The form's pairs. Holds a place in the queue, so that what is decoded at once is bounded."""
    pairs = support_pairs(form, runtime.settings.max_shots)
    decode = partial(_decode_all, runtime, pairs, _mask_format(form))
    with runtime.queue.admit():
        return await in_time(runtime, decode)


def unpack_set(runtime: Runtime, form: Form[Part]) -> tuple[SetFile, list[Decoded]]:
    """For ``in_time``: an exported set, and its pairs."""
    (archive,) = form.files[ARCHIVE.name]
    sent = read_set_file(archive, runtime.settings)
    return sent, _decode_all(runtime, sent.pairs, _mask_format(form))


async def complete_pair(
    runtime: Runtime, set_id: str, pair_id: str, form: Form[Part]
) -> tuple[Decoded, PairState | None]:
    """What was sent of a pair with the stored rest; where there is one, with its state.

    Raises MissingPartError where nothing was sent.
    """
    images, masks = form.files[SUPPORT_IMAGE.name], support_masks(form)
    if not images and not masks:
        raise MissingPartError("send support_image, support_mask, or both", field=SUPPORT_MASK.name)
    if images and masks:
        decode, state = partial(_decode, runtime, images[0], masks[0], _mask_format(form)), None
    else:
        stored = await runtime.storage.run(runtime.library.pair, set_id, pair_id)
        decode, state = partial(_decode_half, runtime, form, stored), stored.state
    with runtime.queue.admit():
        return await in_time(runtime, decode), state


async def in_time(runtime: Runtime, work: Callable[[], Value]) -> Value:
    """Decode on a thread, or raise DeadlineExceededError.

    Storing has no limit of time: who hears that it is over should know that nothing is stored.
    """
    async with within(runtime.settings.request_timeout_ms / 1e3):
        return await runtime.in_thread(work)


def told_readings(decoded: Iterable[Decoded]) -> dict[str, str]:
    """The header that says how masks were read."""
    return reading_header(each.reading for each in decoded)


def _mask_format(form: Form[Part]) -> MaskFormat:
    return read_options(MaskOptions, form.options).mask_format


def _decode_all(
    runtime: Runtime, pairs: Sequence[tuple[Part, Part]], mask_format: MaskFormat
) -> list[Decoded]:
    """One after the other, so that one full-size image is in memory at a time."""
    return [_decode(runtime, image, mask, mask_format) for image, mask in pairs]


def _decode(runtime: Runtime, image: Part, mask: Part, mask_format: MaskFormat) -> Decoded:
    """A mask that is not plainly light on dark is stored as it was read, to be read so again."""
    go_on()
    support, reading = runtime.decode_shot(image, mask, mask_format)
    height, width = support.mask.shape
    area = int(support.mask.sum())
    with runtime.turn((height, width)):
        stored_mask = mask.content if _is_plain(mask_format, reading) else mask_png(support.mask)
        thumbnail = thumbnail_png(support)
    pair = NewPair(image.content, stored_mask, thumbnail, width, height, area)
    return Decoded(pair, str(reading))


def _decode_half(runtime: Runtime, form: Form[Part], stored: StoredPair) -> Decoded:
    """What was sent, with the other half as it is stored."""
    images, masks = form.files[SUPPORT_IMAGE.name], support_masks(form)
    image = images[0] if images else Part(SUPPORT_IMAGE.name, stored.image)
    if masks:
        return _decode(runtime, image, masks[0], _mask_format(form))
    kept = runtime.stored_mask(Part(SUPPORT_MASK.name, stored.mask), stored.area)
    return _decode(runtime, image, kept, "auto")


def _is_plain(mask_format: MaskFormat, reading: MaskReading) -> bool:
    return mask_format == "auto" and reading.name == "light"
