"""The table of examples: what of a mask file is object, or that it must be said which is meant."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageFilter

from model.errors import AmbiguousMaskError, MaskFormatError
from model.images.colours import CITYSCAPES, VOC
from model.images.masks import MASK_FORMATS, MaskFormat, MaskReading, read_mask
from model.images.opening import open_upright
from pictures import encode, photograph

SIDE = 48
RED, BLACK, WHITE = (255, 0, 0), (0, 0, 0), (255, 255, 255)
Picture = Image.Image


def disc(radius: float = 12, at: float = 18) -> Any:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (rows - at) ** 2 + (columns - at) ** 2 < radius**2


OBJECT = disc()
INNER = disc(6)
RING = OBJECT & ~INNER
"""A second area, which is what tells class numbers from smoothed edges."""


def grey(levels: dict[int, Any], ground: int = 0, kind: str = "uint8") -> Picture:
    values = np.full((SIDE, SIDE), ground, kind)
    for level, where in levels.items():
        values[where] = level
    return Image.fromarray(values)


def colours(areas: dict[tuple[int, ...], Any], ground: tuple[int, ...]) -> Picture:
    pixels = np.full((SIDE, SIDE, len(ground)), ground, np.uint8)
    for colour, where in areas.items():
        pixels[where] = colour
    return Image.fromarray(pixels)


def palette(indices: dict[int, Any], table: Any, ground: int = 0) -> Picture:
    image = grey(indices, ground).convert("P")
    flat = [channel for colour in table for channel in colour]
    image.putpalette(flat + [0] * (768 - len(flat)))
    return image


def smooth(image: Picture) -> Picture:
    return image.filter(ImageFilter.GaussianBlur(1))


def reread(image: Picture, kind: str, **options: Any) -> Picture:
    return open_upright(encode(image, kind, **options))


def cut_out(opacity: Any) -> Picture:
    return Image.fromarray(np.dstack([photograph(SIDE, SIDE), opacity.astype(np.uint8)]))


def opaque_but(few: int, image: Picture) -> Picture:
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[0, :few] = 0
    image = image.convert("RGB")
    image.putalpha(Image.fromarray(alpha))
    return image


BLACK_AND_WHITE = grey({255: OBJECT})
MANY = np.arange(0, 180, 5).reshape(6, 6)
RAMP = [(level,) * 3 for level in range(256)]

# As docs/api.md lists them: file, reading, and the object that it gives.
READ: dict[str, tuple[Callable[[], Picture], MaskFormat, Any]] = {
    "1-bit": (lambda: Image.fromarray(OBJECT), "light", OBJECT),
    "0 and 255": (lambda: BLACK_AND_WHITE, "light", OBJECT),
    "0 and 1": (lambda: grey({1: OBJECT}), "light", OBJECT),
    "one class number": (lambda: grey({15: OBJECT}), "labels", OBJECT),
    "class numbers": (lambda: grey({3: RING, 15: INNER}), "labels", OBJECT),
    "class numbers, 16 bits": (
        lambda: grey({3: RING, 1500: INNER}, kind="uint16"),
        "labels",
        OBJECT,
    ),
    "16 bits": (lambda: grey({65535: OBJECT}, kind="uint16"), "light", OBJECT),
    "smoothed": (lambda: smooth(BLACK_AND_WHITE), "light", np.array(smooth(BLACK_AND_WHITE)) > 127),
    "a JPEG": (lambda: reread(BLACK_AND_WHITE, "JPEG", quality=95), "light", OBJECT),
    "a JPEG saved again": (
        lambda: reread(reread(BLACK_AND_WHITE, "JPEG", quality=80), "PNG"),
        "light",
        OBJECT,
    ),
    "grey as RGB": (lambda: BLACK_AND_WHITE.convert("RGB"), "light", OBJECT),
    "class number as RGB": (lambda: grey({15: OBJECT}).convert("RGB"), "labels", OBJECT),
    "VOC's palette": (lambda: palette({15: OBJECT}, VOC), "labels", OBJECT),
    "VOC's palette with void": (lambda: palette({15: INNER, 255: RING}, VOC), "labels", INNER),
    "VOC's colours": (lambda: palette({15: OBJECT}, VOC).convert("RGB"), "labels", OBJECT),
    "VOC's colours with void": (
        lambda: palette({15: INNER, 255: RING}, VOC).convert("RGB"),
        "labels",
        INNER,
    ),
    "Cityscapes' palette": (
        lambda: palette({13: INNER, 11: RING}, CITYSCAPES),
        "labels",
        OBJECT,
    ),
    "class numbers with a grey palette": (lambda: palette({1: OBJECT}, RAMP), "light", OBJECT),
    "white first in the palette": (lambda: palette({1: ~OBJECT}, [WHITE, BLACK]), "light", OBJECT),
    "quantised": (lambda: BLACK_AND_WHITE.convert("RGB").quantize(2), "light", OBJECT),
    "quantised greys": (
        lambda: smooth(BLACK_AND_WHITE).convert("RGB").quantize(16),
        "light",
        np.array(smooth(BLACK_AND_WHITE).convert("RGB").quantize(16).convert("L")) > 127,
    ),
    "colour on a white palette ground": (
        lambda: palette({1: OBJECT}, [WHITE, RED]),
        "labels",
        OBJECT,
    ),
    "colour on black": (lambda: colours({RED: OBJECT}, BLACK), "light", OBJECT),
    "dark colour on black": (lambda: colours({(64, 0, 0): OBJECT}, BLACK), "labels", OBJECT),
    "a dark and a light colour on black": (
        lambda: colours({(64, 0, 0): RING, (0, 192, 0): INNER}, BLACK),
        "labels",
        OBJECT,
    ),
    "colour on white": (lambda: colours({RED: OBJECT}, WHITE), "on_white", OBJECT),
    "dark colour on white": (lambda: colours({(0, 90, 0): OBJECT}, WHITE), "on_white", OBJECT),
    "colour on white, a JPEG": (
        lambda: reread(colours({RED: OBJECT}, WHITE), "JPEG", quality=95, subsampling=0),
        "on_white",
        OBJECT,
    ),
    "cut out": (lambda: cut_out(OBJECT * 255), "alpha", OBJECT),
    "cut out, half transparent": (lambda: cut_out(OBJECT * 100), "visible", OBJECT),
    "opaque black": (lambda: colours({(*BLACK, 255): OBJECT}, (0, 0, 0, 0)), "alpha", OBJECT),
    "opaque black on transparent white": (
        lambda: colours({(*BLACK, 255): OBJECT}, (255, 255, 255, 0)),
        "alpha",
        OBJECT,
    ),
    "half-transparent red": (
        lambda: colours({(255, 0, 0, 100): OBJECT}, (0, 0, 0, 0)),
        "visible",
        OBJECT,
    ),
    "two opaque colours": (
        lambda: colours({(*RED, 255): RING, (0, 0, 255, 255): INNER}, (0, 0, 0, 0)),
        "alpha",
        OBJECT,
    ),
    "an opaque alpha channel": (lambda: BLACK_AND_WHITE.convert("RGBA"), "light", OBJECT),
    "a transparent ground in the palette": (
        lambda: reread(palette({1: OBJECT}, [BLACK, RED]), "PNG", transparency=0),
        "labels",
        OBJECT,
    ),
    "all of one value": (lambda: grey({}, 255), "light", np.ones_like(OBJECT)),
}
AMBIGUOUS: dict[str, tuple[Callable[[], Picture], tuple[str, str]]] = {
    "class numbers with void": (lambda: grey({15: INNER, 255: RING}), ("light", "labels")),
    "class numbers on both sides of half": (
        lambda: grey({50: RING, 200: INNER}),
        ("light", "labels"),
    ),
    "many class numbers": (
        lambda: Image.fromarray(np.kron(MANY, np.ones((8, 8))).astype(np.uint8)),
        ("light", "labels"),
    ),
    "a few transparent pixels": (lambda: opaque_but(5, BLACK_AND_WHITE), ("alpha", "light")),
    "a few transparent pixels of a smoothed mask": (
        lambda: opaque_but(5, smooth(BLACK_AND_WHITE)),
        ("alpha", "light"),
    ),
    "opaque and half transparent": (
        lambda: cut_out(INNER * 255 + RING * 100),
        ("alpha", "visible"),
    ),
    "colours with black and white": (
        lambda: colours({RED: RING, WHITE: INNER}, BLACK),
        ("light", "on_white"),
    ),
    "a photograph": (lambda: Image.fromarray(photograph(SIDE, SIDE)), ("light", "on_white")),
    "colour on colour": (lambda: colours({RED: OBJECT}, (0, 255, 0)), ("light", "labels")),
    "a palette that begins with the object": (
        lambda: palette({1: ~OBJECT}, [RED, BLACK]),
        ("labels", "light"),
    ),
    "a transparent entry that is not the ground": (
        lambda: reread(palette({1: OBJECT}, [BLACK, RED]), "PNG", transparency=1),
        ("labels", "alpha"),
    ),
}
ASKED: dict[str, tuple[Callable[[], Picture], MaskFormat, Any]] = {
    "light": (lambda: grey({15: INNER, 255: RING}), "light", RING),
    "labels": (lambda: grey({15: INNER, 255: RING}), "labels", INNER),
    "labels of colours": (lambda: colours({RED: RING, WHITE: INNER}, BLACK), "labels", OBJECT),
    "black on white": (lambda: grey({0: OBJECT}, 255), "on_white", OBJECT),
    "black on white in a palette": (
        lambda: palette({1: OBJECT}, [WHITE, BLACK]),
        "on_white",
        OBJECT,
    ),
    "alpha": (lambda: cut_out(INNER * 255 + RING * 100), "alpha", INNER),
    "visible": (lambda: cut_out(INNER * 255 + RING * 100), "visible", OBJECT),
    "light, where alpha varies": (
        lambda: opaque_but(0, BLACK_AND_WHITE),
        "light",
        OBJECT,
    ),
}


def saved(image: Picture) -> Picture:
    """As it comes out of a file."""
    return image if image.format is not None else open_upright(as_file(image))


def as_file(image: Picture) -> bytes:
    """In the format that it has been read from, or else as PNG."""
    if image.format == "JPEG":
        return encode(image, "JPEG", quality=100, subsampling=0)
    alpha = {"transparency": image.info["transparency"]} if "transparency" in image.info else {}
    return encode(image, **alpha)


@pytest.mark.parametrize("name", READ)
def test_a_mask_is_read_by_its_structure(name: str) -> None:
    draw, reading, mask = READ[name]
    found = read_mask(saved(draw()))
    assert found.name == reading
    assert_array_equal(found.mask, mask)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_mask_of_two_readings_is_refused_with_both(name: str) -> None:
    draw, formats = AMBIGUOUS[name]
    with pytest.raises(AmbiguousMaskError) as caught:
        read_mask(saved(draw()))
    assert caught.value.formats == formats


@pytest.mark.parametrize("name", ASKED)
def test_a_mask_is_read_as_asked(name: str) -> None:
    draw, mask_format, mask = ASKED[name]
    found = read_mask(saved(draw()), mask_format)
    assert found.name == mask_format
    assert_array_equal(found.mask, mask)


@pytest.mark.parametrize("mask_format", ["alpha", "visible"])
def test_alpha_cannot_be_asked_of_a_mask_without(mask_format: MaskFormat) -> None:
    with pytest.raises(MaskFormatError, match="no alpha channel"):
        read_mask(BLACK_AND_WHITE, mask_format)


@pytest.mark.parametrize("mask_format", MASK_FORMATS)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I"])
def test_every_mode_can_be_read_in_every_way(mode: str, mask_format: MaskFormat) -> None:
    image = grey({1: OBJECT}, kind="uint16") if mode == "I;16" else BLACK_AND_WHITE.convert(mode)
    try:
        reading = read_mask(image, mask_format)
    except (AmbiguousMaskError, MaskFormatError):
        return
    assert reading.mask.shape == OBJECT.shape
    assert reading.mask.dtype == np.bool_


def test_a_reading_says_its_rule_and_share() -> None:
    half = np.zeros((2, 2), np.bool_)
    half[0] = True
    assert str(MaskReading(half, "labels")) == "labels; share=0.5000"
