"""A box is a frame: the object is cut out of it by what lies beyond."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from service.images.drawing import read_drawing

HEIGHT, WIDTH = SIZE = (120, 160)
ROWS, COLUMNS = np.indices(SIZE)
DISC = (ROWS - 60) ** 2 + (COLUMNS - 70) ** 2 < 35**2
FRAME = {"bbox": [28, 20, 84, 80]}


def noisy(levels: NDArray[Any], seed: int = 0) -> NDArray[np.uint8]:
    """Levels of grey -> RGB with noise."""
    noise = np.random.default_rng(seed).normal(0, 8, (*levels.shape, 3))
    return np.clip(levels[..., None] + noise, 0, 255).astype(np.uint8)


DARK_DISC = noisy(np.where(DISC, 50, 170))


def drawn(mark: Any, photograph: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return read_drawing(json.dumps(mark).encode(), "support_mark", photograph).mask


def box() -> NDArray[np.bool_]:
    return (ROWS >= 20) & (ROWS < 100) & (COLUMNS >= 28) & (COLUMNS < 112)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_a_box_leaves_out_what_looks_like_its_surroundings() -> None:
    assert iou(box(), DISC) < 0.6
    assert iou(drawn(FRAME, DARK_DISC), DISC) > 0.95


def test_an_object_in_a_large_photograph_is_cut_out_in_its_own_size() -> None:
    large = DARK_DISC.repeat(12, axis=0).repeat(12, axis=1)
    mask = drawn({"bbox": [12 * number for number in FRAME["bbox"]]}, large)
    assert mask.shape == large.shape[:2]
    assert iou(mask, DISC.repeat(12, axis=0).repeat(12, axis=1)) > 0.95


def test_the_same_box_gives_the_same_mask() -> None:
    assert_array_equal(drawn(FRAME, DARK_DISC), drawn(FRAME, DARK_DISC))


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_box_in_which_nothing_stands_out_is_the_mask(level: int) -> None:
    assert_array_equal(drawn(FRAME, np.full((*SIZE, 3), level, np.uint8)), box())


def test_a_box_around_the_whole_photograph_is_the_mask() -> None:
    assert drawn({"bbox": [0, 0, WIDTH, HEIGHT]}, DARK_DISC).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 3)])
def test_a_photograph_of_a_few_pixels_can_be_marked(size: tuple[int, int]) -> None:
    assert drawn({"bbox": [0, 0, 1, 1]}, noisy(np.full(size, 90)))[0, 0]


def test_a_stroke_in_a_box_stays_object_although_it_looks_like_the_surroundings() -> None:
    stroke = {"points": [[35, 30], [35, 90]], "width": 6}
    mask = drawn({**FRAME, "strokes": [stroke]}, DARK_DISC)
    assert mask[30:90, 34:37].all()
    assert (mask & DISC).sum() > 0.9 * DISC.sum()


def test_background_in_a_box_is_left_out_although_it_looks_like_the_object() -> None:
    line = {"points": [[28, 60], [112, 60]], "width": 10}
    mask = drawn({**FRAME, "background_strokes": [line]}, DARK_DISC)
    assert not mask[56:64].any()
    assert mask[40, 70]


def test_polygons_are_taken_as_they_are_drawn() -> None:
    corners = [28, 20, 112, 20, 112, 100, 28, 100]
    assert drawn({"polygons": [corners]}, DARK_DISC)[21:99, 29:111].all()


def test_a_point_grows_to_what_is_like_it() -> None:
    mask = drawn({"points": [[70, 60]]}, DARK_DISC)
    assert iou(mask, DISC) > 0.9


def test_a_point_does_not_grow_over_background_marks() -> None:
    line = {"points": [[40, 45], [100, 45]], "width": 8}
    mask = drawn({"points": [[70, 60]], "background_strokes": [line]}, DARK_DISC)
    assert not mask[42:48, 40:100].any()
    assert mask[60, 70]


def test_two_points_mark_two_objects() -> None:
    pair = np.where(((COLUMNS - 40) ** 2 + (ROWS - 60) ** 2 < 400), 50, 170)
    pair[((COLUMNS - 120) ** 2 + (ROWS - 60) ** 2 < 400)] = 50
    mask = drawn({"points": [[40, 60], [120, 60]]}, noisy(pair))
    assert iou(mask, pair == 50) > 0.9


def test_a_point_at_the_photographs_edge_stays_marked() -> None:
    assert drawn({"points": [[0.5, 0.5]]}, DARK_DISC)[0, 0]


def test_strokes_are_taken_as_they_are_drawn() -> None:
    stroke = {"points": [[70, 40], [70, 80]], "width": 8}
    assert drawn({"strokes": [stroke]}, DARK_DISC).sum() < 0.2 * DISC.sum()
