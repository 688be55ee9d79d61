"""Masks and probabilities become PNGs; overlay and cut-out are looked at on the photograph."""

import time
from io import BytesIO

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from pictures import object_mask, photograph, read_mask
from service.images.render import cutout_png, mask_png, overlay_png, probability_png

HEIGHT, WIDTH = 400, 500
PHOTOGRAPH = photograph(HEIGHT, WIDTH)
MASK = object_mask(HEIGHT, WIDTH)


def read(content: bytes, mode: str) -> NDArray[np.uint8]:
    image = Image.open(BytesIO(content))
    assert (image.format, image.mode) == ("PNG", mode)
    return np.array(image)


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask and all within so many pixels of it."""
    kernel = np.ones((2 * pixels + 1,) * 2, np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


INSIDE = ~grown(~MASK, 5)
OUTSIDE = ~grown(MASK, 5)


def test_the_mask_is_8_bit_grey_255_on_the_object_and_0_elsewhere() -> None:
    assert_array_equal(read_mask(mask_png(object_mask())), object_mask() * 255)


@pytest.mark.parametrize("shape", [(1, 1_000_000), (1, 1_000_001), (1_000_001, 1)])
def test_a_mask_of_any_length_is_written(shape: tuple[int, int]) -> None:
    mask = np.arange(max(shape)).reshape(shape) % 1000 < 500
    assert_array_equal(read_mask(mask_png(mask)), mask * 255)


@pytest.mark.parametrize(
    ("depth", "mode", "levels"), [(8, "L", [0, 64, 255]), (16, "I;16", [0, 16384, 65535])]
)
def test_the_white_of_a_probability_is_1(depth: int, mode: str, levels: list[int]) -> None:
    probability = np.array([[0, 0.25, 1]], np.float32)
    assert_array_equal(read(probability_png(probability, depth), mode), [levels])


def test_the_overlay_tints_the_object_and_leaves_the_rest() -> None:
    before = PHOTOGRAPH.copy()
    overlay = read(overlay_png(PHOTOGRAPH, MASK), "RGB")
    assert_array_equal(overlay[~MASK], PHOTOGRAPH[~MASK])
    assert (overlay[INSIDE] != PHOTOGRAPH[INSIDE]).any(axis=1).all()
    assert_array_equal(PHOTOGRAPH, before)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_the_outline_shows_on_every_grey(grey: int) -> None:
    plain = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
    overlay = read(overlay_png(plain, MASK), "RGB").astype(int)
    edge = overlay[~INSIDE & ~OUTSIDE]
    assert np.abs(edge.mean(axis=1) - grey).max() > 100


@pytest.mark.parametrize("scale", [1, 4])
def test_the_outline_grows_with_the_photograph(scale: int) -> None:
    size = (HEIGHT * scale, WIDTH * scale)
    overlay = read(overlay_png(np.zeros((*size, 3), np.uint8), object_mask(*size)), "RGB")
    across = (overlay[size[0] // 4] == 255).all(axis=1)
    assert across.sum() == pytest.approx(2 * 2 * scale, abs=2)


def test_the_overlay_of_an_empty_mask_is_the_photograph() -> None:
    assert_array_equal(read(overlay_png(PHOTOGRAPH, MASK & False), "RGB"), PHOTOGRAPH)


def test_an_object_of_half_a_million_parts_is_outlined_as_soon_as_any_other() -> None:
    noise = np.random.default_rng(0).random((2000, 2000)) > 0.5
    started = time.process_time()
    overlay_png(np.zeros((2000, 2000, 3), np.uint8), noise)
    assert time.process_time() - started < 3  # a line drawn around each part takes 15 s


def test_the_outline_is_white_at_the_edge_and_black_within() -> None:
    overlay = read(overlay_png(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), MASK), "RGB")
    left = int(MASK[HEIGHT // 4].argmax())
    assert_array_equal(overlay[HEIGHT // 4, left - 1 : left + 3, 1], [128, 255, 255, 0])


def test_the_cutout_is_the_photograph_with_the_object_opaque_and_the_rest_transparent() -> None:
    cutout = read(cutout_png(PHOTOGRAPH, MASK), "RGBA")
    assert_array_equal(cutout[..., :3], PHOTOGRAPH)
    assert_array_equal(cutout[..., 3][INSIDE], 255)
    assert_array_equal(cutout[..., 3][OUTSIDE], 0)


def test_the_edge_of_the_cutout_is_soft_and_along_the_masks() -> None:
    alpha = read(cutout_png(PHOTOGRAPH, MASK), "RGBA")[..., 3]
    assert len(np.unique(alpha)) > 4
    assert_array_equal(alpha[HEIGHT // 4] > 127, MASK[HEIGHT // 4])


def test_an_object_that_leaves_the_photograph_is_opaque_to_its_border() -> None:
    alpha = read(cutout_png(PHOTOGRAPH, MASK | True), "RGBA")[..., 3]
    assert_array_equal(alpha, 255)


@pytest.mark.parametrize("render", [overlay_png, cutout_png])
def test_a_photograph_of_one_pixel_is_rendered(render) -> None:
    assert Image.open(BytesIO(render(photograph(1, 1), np.ones((1, 1), bool)))).size == (1, 1)
