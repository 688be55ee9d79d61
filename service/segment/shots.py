"""The shots of a request, ready for the network: sent in its form, or stored before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from model.executors.protocol import EncodedShots
from service.http.spool import SpooledPart
from service.images.codec import Part, decode_support
from service.inference.cache import content_key
from service.inference.engine import FreshSupport, Shot
from service.segment.pairs import check_classes
from service.segment.runtime import Runtime, settle
from service.segment.stored import StoredSupports, keep_encodings, load_supports

SentPart = Part | SpooledPart


@dataclass(frozen=True)
class Shots:
    """In order; ``stored`` is the set that they are of, if any."""

    ready: tuple[Shot, ...]
    stored: StoredSupports | None = None

    @property
    def unkept(self) -> bool:
        """Whether ``keep_shots`` has an encoding of them to store."""
        return self.stored is not None and any(
            isinstance(shot, FreshSupport) for shot in self.ready
        )


async def load_shots(
    runtime: Runtime, set_id: str | None, pairs: Iterable[tuple[SentPart, SentPart]] = ()
) -> Shots:
    """The shots of a stored set, or else of ``pairs``, which are decoded side by side.

    Raises the codec's errors, those of the first bad pair, SupportSetNotFoundError or
    StorageBusyError.
    """
    if set_id is not None:
        stored = await runtime.in_worker(partial(load_supports, runtime, set_id))
        return Shots(stored.shots, stored)
    works = [runtime.in_worker(partial(_shot, runtime, *pair)) for pair in pairs]
    return Shots(tuple(await settle(works)))


async def load_classes(
    runtime: Runtime,
    sent: Mapping[str, Iterable[tuple[SentPart, SentPart]]],
    set_ids: Iterable[str],
) -> dict[str, list[Shots]]:
    """Each class's shots by its label: those sent, then those of stored sets.

    A set's class is its label, else its name. Raises what ``load_shots`` does, and
    TooManyClassesError or TooManyShotsError.
    """
    shown = await settle(load_shots(runtime, None, pairs) for pairs in sent.values())
    classes = {label: [shots] for label, shots in zip(sent, shown, strict=True)}
    for set_id in set_ids:
        shots = await load_shots(runtime, set_id)
        assert shots.stored is not None
        description = shots.stored.description
        classes.setdefault(description.label or description.name, []).append(shots)
        counts = {
            label: sum(len(shots.ready) for shots in groups) for label, groups in classes.items()
        }
        check_classes(counts, runtime.settings)
    return classes


def keep_shots(
    runtime: Runtime, groups: Sequence[Shots], encodings: Sequence[EncodedShots]
) -> None:
    """Store the encodings of a task of these ``groups``, in order, as far as they are of sets."""
    rest = iter(encodings)
    for shots in groups:
        own = tuple(islice(rest, len(shots.ready)))
        if shots.stored is not None:
            keep_encodings(runtime, shots.stored, own)


def _shot(runtime: Runtime, sent_image: SentPart, sent_mask: SentPart) -> Shot:
    """What the network keeps of the same bytes, or else the support at the network's size."""
    image, mask = _in_memory(runtime, sent_image), _in_memory(runtime, sent_mask)
    engine, key = runtime.engine, content_key(image, mask)
    kept = engine.prototypes.get(key)
    if kept is not None:
        return kept
    return engine.fresh(decode_support(image, mask, runtime.settings.max_image_pixels), key)


def _in_memory(runtime: Runtime, part: SentPart) -> Part:
    return part if isinstance(part, Part) else part.read(runtime.settings.max_upload_bytes)
