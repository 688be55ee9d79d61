"""The shots of a request, ready for the network: sent in its form, or stored before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from model.execution import EncodedShots
from service.codec import Part, decode_support
from service.engine import Shot
from service.pairs import check_classes
from service.prototypes import content_key
from service.runtime import Runtime
from service.stored import StoredSupports, keep_encodings, load_supports


@dataclass(frozen=True)
class Shots:
    """In order; ``stored`` is the set that they are of, if any."""

    ready: tuple[Shot, ...]
    stored: StoredSupports | None = None


def load_shots(
    runtime: Runtime, set_id: str | None, pairs: Iterable[tuple[Part, Part]] = ()
) -> Shots:
    """The shots of a stored set, or else of ``pairs``.

    Raises the codec's errors, SupportSetNotFoundError or StorageBusyError.
    """
    if set_id is not None:
        stored = load_supports(runtime, set_id)
        return Shots(stored.shots, stored)
    return Shots(tuple(_shot(runtime, image, mask) for image, mask in pairs))


def load_classes(
    runtime: Runtime,
    sent: Mapping[str, Iterable[tuple[Part, Part]]],
    set_ids: Iterable[str],
) -> dict[str, list[Shots]]:
    """Each class's shots by its label: those sent, then those of stored sets.

    A set's class is its label, else its name. Raises what ``load_shots`` does, and
    TooManyClassesError or TooManyShotsError.
    """
    classes = {label: [load_shots(runtime, None, pairs)] for label, pairs in sent.items()}
    for set_id in set_ids:
        stored = load_supports(runtime, set_id)
        classes.setdefault(stored.description.label or stored.description.name, []).append(
            Shots(stored.shots, stored)
        )
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


def _shot(runtime: Runtime, image: Part, mask: Part) -> Shot:
    """What the network keeps of the same bytes, or else the support at the network's size."""
    engine, key = runtime.engine, content_key(image, mask)
    kept = engine.prototypes.get(key)
    if kept is not None:
        return kept
    return engine.fresh(decode_support(image, mask, runtime.settings.max_image_pixels), key)
