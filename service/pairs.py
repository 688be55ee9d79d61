"""Supports in a form: as many masks as images, paired in the order sent, and not too many."""

from collections.abc import Iterator, Sequence

from model.episode import Support
from service.codec import Part, decode_support
from service.errors import SupportCountMismatchError, TooManyShotsError
from service.forms import Form

SUPPORT_PARTS = ("support_image", "support_mask")
# Parts above two for each shot that a form may have before it is refused unread: the query, and
# each option of an endpoint once.
SPARE_PARTS = 16


def max_parts(max_shots: int) -> int:
    """Parts that the longest sensible form has."""
    return len(SUPPORT_PARTS) * max_shots + SPARE_PARTS


def support_pairs(form: Form, max_shots: int) -> list[tuple[Part, Part]]:
    """Image and mask of each shot, not yet decoded.

    Raises SupportCountMismatchError, or TooManyShotsError above ``max_shots``.
    """
    images, masks = (form.files[name] for name in SUPPORT_PARTS)
    if len(images) != len(masks):
        raise SupportCountMismatchError(
            f"there are {len(images)} support_image and {len(masks)} support_mask; "
            "send one mask for each image, in the same order",
            field="support_mask",
        )
    if len(images) > max_shots:
        raise TooManyShotsError(
            f"there are {len(images)} supports, the limit is {max_shots}; send fewer",
            field="support_image",
        )
    return list(zip(images, masks, strict=True))


def decode_pairs(pairs: Sequence[tuple[Part, Part]], max_pixels: int) -> Iterator[Support]:
    """One shot after the other, so that one full-size image is in memory at a time."""
    return (decode_support(image, mask, max_pixels) for image, mask in pairs)
