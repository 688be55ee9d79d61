"""Masks of stored pairs, which mean for good what they meant when they were stored."""

from contextlib import suppress

from model.images.masks import MASK_FORMATS
from service.errors import InvalidOptionError, UnclearMaskError
from service.images.codec import Part, decode_mask
from service.images.render import mask_png

# Of the object's pixels: decoders of different releases round a lossy file's edges in other ways.
_ROUNDING = 0.01


def as_stored(mask: Part, area: int, max_pixels: int) -> Part:
    """The file; or where it is read otherwise today, a plain one of what was read when stored.

    Older releases read some files in another way, and took some that are ambiguous now. What they
    made of them had ``area`` pixels. Raises UnclearMaskError where no reading has them.
    """
    for mask_format in MASK_FORMATS:
        with suppress(UnclearMaskError, InvalidOptionError):
            read = decode_mask(mask, max_pixels, mask_format).mask
            if abs(int(read.sum()) - area) <= _ROUNDING * area:
                return mask if mask_format == "auto" else mask._replace(content=mask_png(read))
    raise UnclearMaskError(
        f"{mask.field} had {area} object pixels when it was stored, and this release reads it in "
        "another way; send the pair's mask again (PUT /supports/{set_id}/pairs/{pair_id})",
        field=mask.field,
    )
