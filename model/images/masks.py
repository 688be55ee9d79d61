"""What of a mask file is object: decided by the file's own structure, or refused as ambiguous.

The rules are written for users in docs/reference/images.md; the two change together.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.episode import VOID, ObjectMask
from model.errors import AmbiguousMaskError, MaskFormatError
from model.images.colours import CITYSCAPES, VOC, VOC_VOID, Colours, sort_colours
from model.images.levels import Levels, grey_levels, is_deep, straight_alpha

MaskFormat = Literal["auto", "light", "on_white", "labels", "alpha", "visible"]
MASK_FORMATS: tuple[MaskFormat, ...] = get_args(MaskFormat)
OBJECT: dict[str, str] = {
    "light": "what is brighter than half",
    "on_white": "what is not white",
    "labels": "every value but 0, 255 being void",
    "alpha": "what is more than half opaque",
    "visible": "what is not wholly transparent",
}
"""What each reading takes for the object, as the end of a sentence."""
_LOSSY = frozenset({"JPEG", "MPO", "AVIF", "JPEG2000", "HEIF", "WEBP"})
_OPAQUE_HALF = 127
# Colours of what is opaque, above which it is a picture that was cut out and no mask.
_MASK_COLOURS = 8
# Or the share of it that is nearly pure black or white, below which it is one.
_MASK_EXTREME = 0.8


class MaskReading(NamedTuple):
    """(H, W) object pixels, and the rule that found them; "mark" is of none, but was drawn."""

    mask: ObjectMask
    name: MaskFormat | Literal["mark"]

    def __str__(self) -> str:
        """As replies and errors say it: "labels; share=0.4113"."""
        return f"{self.name}; share={self.mask.mean():.4f}"


def read_mask(image: Image.Image, mask_format: MaskFormat = "auto") -> MaskReading:
    """Any Pillow mode -> its object pixels.

    Raises AmbiguousMaskError where the file allows two readings that differ, and MaskFormatError
    where it cannot be read as asked.
    """
    if mask_format != "auto":
        return MaskReading(_READERS[mask_format](image), mask_format)
    lossy = image.format in _LOSSY
    reading = _settle(_readings(image, lossy))
    if reading.mask.all() and not lossy and any(_varies(band) for band in image.split()):
        raise AmbiguousMaskError(
            "has no ground that can be told from an object",
            ("light", "labels"),
        )
    return reading


def read_classes(image: Image.Image) -> NDArray[np.uint8]:
    """An indexed or an 8-bit grey file -> its (H, W) class numbers, where void (255) is 0.

    Raises MaskFormatError for any other file.
    """
    if image.format in _LOSSY or image.mode not in ("P", "L"):
        raise MaskFormatError("holds no class numbers; send an indexed PNG, or an 8-bit grey one")
    numbers = np.array(image)
    numbers[numbers == VOID] = 0
    return numbers


def _readings(image: Image.Image, lossy: bool) -> list[MaskReading]:
    """Those that the kind of file allows, the usual first."""
    if image.mode in ("P", "PA"):
        return _of_palette(image)
    if image.has_transparency_data and not is_deep(image):
        straight = straight_alpha(image).convert("RGBA")
        if _varies(straight.getchannel("A")):
            return _of_alpha(straight)
        image = straight.convert("RGB")
    return _of_opaque(image, lossy)


def _settle(readings: list[MaskReading]) -> MaskReading:
    """The first, unless another that is plausible, neither empty nor everything, differs."""
    plausible = [one for one in readings if one.mask.any() and not one.mask.all()]
    for other in plausible[1:]:
        if not np.array_equal(plausible[0].mask, other.mask):
            raise AmbiguousMaskError(
                "can be read in two ways: "
                + ", or ".join(
                    f"{one.name} ({OBJECT[one.name]}: {one.mask.mean():.1%} of the picture)"
                    for one in (plausible[0], other)
                ),
                (plausible[0].name, other.name),
            )
    return (plausible or readings)[0]


def _of_palette(image: Image.Image) -> list[MaskReading]:
    """Grey palettes are pictures unless index and level are one; coloured ones hold labels."""
    indices = np.asarray(image.getchannel(0) if image.mode == "PA" else image)
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    palette = np.zeros((256, 3), np.uint8)
    entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    palette[: len(entries)] = entries
    colours = palette[used]
    alpha = _of_palette_alpha(image)
    if (colours == colours[:, :1]).all():
        is_ramp = bool((colours[:, 0] == used).all())
        levels = indices if is_ramp else palette[:, 0][indices]
        return [*_of_levels(Levels(levels, VOID), lossy=False), *alpha]
    labels = MaskReading(_labels_of_palette(image), "labels")
    if _holds_labels(used, colours):
        return [labels, *alpha]
    return [labels, *_of_opaque(image.convert("RGB"), lossy=False), *alpha]


def _holds_labels(used: NDArray[np.intp], colours: NDArray[np.uint8]) -> bool:
    """Whether index 0 is a background, or the colours are those of a data set that is known."""
    if used[0] == 0 and tuple(colours[0].tolist()) in ((0, 0, 0), (255, 255, 255)):
        return True
    entries = set(zip(used.tolist(), map(tuple, colours.tolist()), strict=True))
    return any(entries <= set(enumerate(known)) for known in (VOC, CITYSCAPES))


def _of_palette_alpha(image: Image.Image) -> list[MaskReading]:
    if not image.has_transparency_data:
        return []
    alpha = image.convert("RGBA").getchannel("A")
    return [MaskReading(np.asarray(alpha) > _OPAQUE_HALF, "alpha")] if _varies(alpha) else []


def _of_alpha(image: Image.Image) -> list[MaskReading]:
    """Straight RGBA whose alpha varies: alpha decides, unless what is opaque is a mask itself."""
    alpha = Levels(np.asarray(image.getchannel("A")), 255)
    readings = [MaskReading(alpha.light(), "alpha")]
    if alpha.holds_steps() or not readings[0].mask.any():
        readings.append(MaskReading(alpha.values > 0, "visible"))
    opaque = np.array(image.convert("RGB"))[alpha.values > _OPAQUE_HALF][None]
    if opaque.size and _looks_like_a_mask(opaque):
        for reading in _of_opaque(Image.fromarray(opaque), lossy=False):
            mask = np.zeros(alpha.values.shape, np.bool_)
            mask[alpha.values > _OPAQUE_HALF] = reading.mask[0]
            readings.append(MaskReading(mask, reading.name))
    return readings


def _looks_like_a_mask(pixels: NDArray[np.uint8]) -> bool:
    """Few colours, or next to nothing but black and white, with black or white as a ground."""
    sorts = sort_colours(pixels)
    if not sorts.black and not sorts.white:
        return False
    if sorts.black and sorts.white and sorts.extreme > _MASK_EXTREME:
        return True
    colours = Image.fromarray(pixels).getcolors(_MASK_COLOURS)
    return colours is not None and len(colours) > 1


def _of_opaque(image: Image.Image, lossy: bool) -> list[MaskReading]:
    """Grey or colour without alpha."""
    levels = grey_levels(image)
    if levels is not None:
        return _of_levels(levels, lossy)
    rgb = image.convert("RGB")
    few = None if lossy else rgb.getcolors(256)
    pixels = np.asarray(rgb)
    if few is not None:
        if (pixels == pixels[:, :, :1]).all():
            return _of_levels(Levels(pixels[:, :, 0], 255), lossy)
        colours: set[object] = {colour for _, colour in few}
        if (0, 0, 0) in colours and colours <= set(VOC):
            return [MaskReading(_labels_of_colours(pixels), "labels")]
    return _of_colours(pixels, sort_colours(pixels, exact=few is not None), lossy)


def _of_colours(pixels: NDArray[np.uint8], sorts: Colours, lossy: bool) -> list[MaskReading]:
    """Colour on a ground that is black or white; with both, either may be the ground."""
    levels = Levels(pixels.max(axis=2), 255)
    if not sorts.coloured:
        return _of_levels(levels, lossy)
    on_white = MaskReading(_not_white(pixels), "on_white")
    if sorts.white and not sorts.black:
        return [on_white]
    if sorts.black and not sorts.white:
        if not lossy and levels.holds_steps():
            return [MaskReading(_labels_of_colours(pixels), "labels")]
        return _of_levels(levels, lossy)
    light = MaskReading(levels.light(), "light")
    return [light, on_white]


def _of_levels(levels: Levels, lossy: bool) -> list[MaskReading]:
    """Grey: light on dark, or class numbers, or both where steps between the ends are solid."""
    light = MaskReading(levels.light(), "light")
    if lossy or len(levels.present) == 1:
        return [light]
    labels = MaskReading(levels.labels(), "labels")
    if levels.is_one_level_on_zero:
        return [light if light.mask.any() else labels]
    if not light.mask.any() and levels.present[0] == 0:
        return [labels] if levels.are_few or levels.holds_steps() else [light]
    return [light, labels] if levels.holds_steps() else [light]


def _varies(band: Image.Image) -> bool:
    least, most = band.getextrema()
    return bool(least != most)


# As asked.


def _light(image: Image.Image) -> ObjectMask:
    levels = _opaque_levels(image)
    if levels is not None:
        return levels.light()
    rgba = np.asarray(straight_alpha(image).convert("RGBA"))
    brightest = np.where(rgba[:, :, 3] > _OPAQUE_HALF, rgba[:, :, :3].max(axis=2), 0)
    return Levels(brightest.astype(np.uint8), 255).light()


def _on_white(image: Image.Image) -> ObjectMask:
    levels = _opaque_levels(image)
    if levels is not None:
        return ~levels.light()
    rgba = np.asarray(straight_alpha(image).convert("RGBA"))
    return np.asarray(_not_white(rgba[:, :, :3]) & (rgba[:, :, 3] > _OPAQUE_HALF))


def _opaque_levels(image: Image.Image) -> Levels | None:
    return None if image.has_transparency_data and not is_deep(image) else grey_levels(image)


def _not_white(pixels: NDArray[np.uint8]) -> ObjectMask:
    """Dark in any channel, or a pastel."""
    least = pixels.min(axis=2)
    return np.asarray((least <= 127) | (pixels.max(axis=2) - least >= 32))


def _labels(image: Image.Image) -> ObjectMask:
    if image.mode in ("P", "PA"):
        return _labels_of_palette(image)
    levels = grey_levels(image)
    if levels is not None:
        return levels.labels()
    return _labels_of_colours(np.asarray(straight_alpha(image).convert("RGB")))


def _labels_of_palette(image: Image.Image) -> ObjectMask:
    indices = np.asarray(image.getchannel(0) if image.mode == "PA" else image)
    return Levels(indices, VOID).labels()


def _labels_of_colours(pixels: NDArray[np.uint8]) -> ObjectMask:
    marked = pixels.any(axis=2)
    labelled = marked & (pixels != np.array(VOC_VOID, np.uint8)).any(axis=2)
    return np.asarray(labelled if labelled.any() else marked)


def _alpha(image: Image.Image) -> ObjectMask:
    return np.asarray(_alpha_channel(image) > _OPAQUE_HALF)


def _visible(image: Image.Image) -> ObjectMask:
    return np.asarray(_alpha_channel(image) > 0)


def _alpha_channel(image: Image.Image) -> NDArray[np.uint8]:
    if not image.has_transparency_data or is_deep(image):
        raise MaskFormatError("has no alpha channel; choose light, on_white or labels")
    return np.asarray(straight_alpha(image).convert("RGBA").getchannel("A"))


_READERS: dict[MaskFormat, Callable[[Image.Image], ObjectMask]] = {
    "light": _light,
    "on_white": _on_white,
    "labels": _labels,
    "alpha": _alpha,
    "visible": _visible,
}
