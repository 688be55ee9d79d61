"""Supports in a request: pairs in its form, as many masks as images, or the id of a stored set."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from starlette.requests import Request

from service.errors import (
    DuplicatePartError,
    InvalidOptionError,
    SupportCountMismatchError,
    TooManyClassesError,
    TooManyShotsError,
)
from service.http.forms import Form, FormLayout, short_text
from service.images.codec import Part
from service.options import LABEL_LENGTH
from service.settings import Settings

SUPPORT_PARTS = ("support_image", "support_mask")
SUPPORT_LABEL = "support_label"
SUPPORT_SET = "support_set"
# Parts beside images that a form may have before it is refused unread: the query, and each option
# of an endpoint once.
SPARE_PARTS = 16

AnyPart = TypeVar("AnyPart")


def max_parts(max_shots: int) -> int:
    """Parts that the longest sensible form has."""
    return len(SUPPORT_PARTS) * max_shots + SPARE_PARTS


def expected_layout(request: Request, layout: FormLayout) -> FormLayout:
    """``layout``, without the supports where the query string names a stored set."""
    return layout.without(SUPPORT_PARTS) if SUPPORT_SET in request.query_params else layout


def named_set(form: Form) -> str | None:
    """The id of the stored set that the query string names; DuplicatePartError for several."""
    set_ids = form.parameters[SUPPORT_SET]
    if len(set_ids) > 1:
        raise DuplicatePartError("support_set is sent more than once; send one", field=SUPPORT_SET)
    return set_ids[0] if set_ids else None


def support_pairs(
    files: Mapping[str, Sequence[AnyPart]], max_shots: int
) -> list[tuple[AnyPart, AnyPart]]:
    """Image and mask of each shot, not yet decoded.

    Raises SupportCountMismatchError, or TooManyShotsError above ``max_shots``.
    """
    images, masks = (files[name] for name in SUPPORT_PARTS)
    check_count("support_mask", len(masks), len(images))
    if len(images) > max_shots:
        raise TooManyShotsError(
            f"there are {len(images)} supports, the limit is {max_shots}; send fewer",
            field="support_image",
        )
    return list(zip(images, masks, strict=True))


def check_count(name: str, count: int, images: int) -> None:
    """Raise SupportCountMismatchError unless there is one part of this name for each image."""
    if count != images:
        raise SupportCountMismatchError(
            f"there are {images} support_image and {count} {name}; "
            f"send one {name} for each image, in the same order",
            field=name,
        )


def labelled_pairs(form: Form, settings: Settings) -> dict[str, list[tuple[Part, Part]]]:
    """The pairs of each class, by its label, in the order of first mention.

    Raises SupportCountMismatchError, InvalidOptionError, TooManyClassesError or TooManyShotsError.
    """
    labels = form.texts[SUPPORT_LABEL]
    check_count(SUPPORT_LABEL, len(labels), len(form.files["support_image"]))
    pairs = support_pairs(form.files, len(labels))
    classes: dict[str, list[tuple[Part, Part]]] = {}
    for number, (label, pair) in enumerate(zip(labels, pairs, strict=True)):
        classes.setdefault(_label(label, f"{SUPPORT_LABEL}[{number}]"), []).append(pair)
    check_classes({label: len(pairs) for label, pairs in classes.items()}, settings)
    return classes


def check_classes(shots: Mapping[str, int], settings: Settings) -> None:
    """Raise TooManyClassesError or TooManyShotsError for the number of shots of each class."""
    if len(shots) > settings.max_classes:
        raise TooManyClassesError(
            f"there are {len(shots)} classes, the limit is {settings.max_classes}; name fewer"
        )
    for label, count in shots.items():
        if count > settings.max_shots:
            raise TooManyShotsError(
                f"class {label!r} has {count} supports, the limit is {settings.max_shots}; "
                "send fewer"
            )


def _label(text: str, name: str) -> str:
    label = short_text(text, name, LABEL_LENGTH)
    if not label:
        raise InvalidOptionError(f"{name} is blank; send the name of the class", field=name)
    return label
