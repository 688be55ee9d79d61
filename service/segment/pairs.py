"""What a request shows the network: pairs in its form, by their class, and stored sets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from service.errors import (
    MaskAndMarkError,
    SupportCountMismatchError,
    TooManyClassesError,
    TooManyShotsError,
)
from service.http.forms import AnyPart, Form
from service.http.spool import SentPart
from service.schemas import SupportSet
from service.segment.inputs import (
    SUPPORT_IMAGE,
    SUPPORT_LABEL,
    SUPPORT_MARK,
    SUPPORT_MASK,
    SUPPORT_SET,
    SUPPORT_SETS,
)
from service.settings import Settings

# The one class, where there is no other to tell it from.
THE_OBJECT = "object"
Counts = Mapping[str, int]
"""How many supports each class has."""


@dataclass(frozen=True)
class Shown:
    """Pairs sent by the label of their class, then stored sets.

    ``class_of`` has a set's label; ``check`` raises where there are too many of anything.
    """

    sent: Mapping[str, Sequence[tuple[SentPart, SentPart]]]
    set_ids: Sequence[str]
    class_of: Callable[[SupportSet], str]
    check: Callable[[Counts], None]


def shown_object(form: Form[AnyPart], settings: Settings) -> Shown:
    """A stored set, or else the form's pairs.

    Raises DuplicatePartError for several sets, and what ``support_pairs`` does.
    """
    set_id = form.parameter(SUPPORT_SET.name)
    if set_id is not None:
        return Shown({}, [set_id], _the_object, _no_limit)
    pairs = support_pairs(form, settings.max_shots)
    return one_object(pairs)


def one_object(pairs: Sequence[tuple[SentPart, SentPart]]) -> Shown:
    """What pairs show that are all of one object."""
    return Shown({THE_OBJECT: pairs}, [], _the_object, _no_limit)


def shown_classes(form: Form[AnyPart], settings: Settings) -> Shown:
    """The form's pairs by their labels, then stored sets, each once, by their label or name.

    Raises SupportCountMismatchError, InvalidOptionError, TooManyClassesError or TooManyShotsError.
    """
    check = partial(_check_classes, settings)
    sent = _labelled_pairs(form)
    check({label: len(pairs) for label, pairs in sent.items()})
    set_ids = dict.fromkeys(form.sent_parameters[SUPPORT_SETS.name])
    return Shown(sent, list(set_ids), lambda stored: stored.label or stored.name, check)


def support_pairs(form: Form[AnyPart], max_shots: int) -> list[tuple[AnyPart, AnyPart]]:
    """Image and mask, or rough mark, of each shot, not yet decoded.

    Raises MaskAndMarkError, SupportCountMismatchError, or TooManyShotsError above ``max_shots``.
    """
    images, masks = form.files[SUPPORT_IMAGE.name], support_masks(form)
    _check_count(SUPPORT_MASK.name, len(masks), len(images), f" or {SUPPORT_MARK.name}")
    if len(images) > max_shots:
        raise TooManyShotsError(
            f"there are {len(images)} supports, the limit is {max_shots}; send fewer",
            field=SUPPORT_IMAGE.name,
        )
    return list(zip(images, masks, strict=True))


def support_masks(form: Form[AnyPart]) -> list[AnyPart]:
    """Masks and rough marks in the order sent; MaskAndMarkError for both of one photograph."""
    masks = form.files_for(SUPPORT_MASK.name)
    if len(masks) > 1 and SUPPORT_MASK.name not in form.layout.many:
        raise MaskAndMarkError(
            f"{SUPPORT_MASK.name} and {SUPPORT_MARK.name} are both sent; send one of them",
            field=SUPPORT_MARK.name,
        )
    return masks


def _labelled_pairs(form: Form[AnyPart]) -> dict[str, list[tuple[AnyPart, AnyPart]]]:
    """The pairs of each class, by its label, in the order of first mention."""
    count = len(form.sent_texts[SUPPORT_LABEL.name])
    _check_count(SUPPORT_LABEL.name, count, len(form.files[SUPPORT_IMAGE.name]))
    pairs = support_pairs(form, max_shots=count)
    classes: dict[str, list[tuple[AnyPart, AnyPart]]] = {}
    for label, pair in zip(form.texts(SUPPORT_LABEL.name), pairs, strict=True):
        classes.setdefault(label, []).append(pair)
    return classes


def _check_classes(settings: Settings, counts: Counts) -> None:
    if len(counts) > settings.max_classes:
        raise TooManyClassesError(
            f"there are {len(counts)} classes, the limit is {settings.max_classes}; name fewer"
        )
    for label, count in counts.items():
        if count > settings.max_shots:
            raise TooManyShotsError(
                f"class {label!r} has {count} supports, the limit is {settings.max_shots}; "
                "send fewer"
            )


def _the_object(_: SupportSet) -> str:
    return THE_OBJECT


def _no_limit(_: Counts) -> None:
    """What one object may have is checked with the form, or was when its set was stored."""


def _check_count(name: str, count: int, images: int, or_else: str = "") -> None:
    if count != images:
        raise SupportCountMismatchError(
            f"there are {images} support_image and {count} {name}{or_else}; "
            f"send one {name}{or_else} for each image, in the same order",
            field=name,
        )
