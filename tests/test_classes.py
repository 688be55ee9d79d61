"""Several classes in one picture: whose each pixel is, and the palette."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from service.images.classes import assign_pixels, class_colour, clean_classes
from service.options import Shaping


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def assigned(probabilities: list[np.ndarray], threshold: float) -> np.ndarray:
    return assign_pixels(enumerate(probabilities, 1), probabilities[0].shape, threshold)


def test_a_pixel_belongs_to_the_surest_class_above_the_threshold() -> None:
    probabilities = [row(0.9, 0.6, 0.4, 0.2), row(0.8, 0.7, 0.6, 0.4), row(0.1, 0.9, 0.5, 0.5)]
    assert_array_equal(assigned(probabilities, 0.5), [[1, 3, 2, 0]])
    assert_array_equal(assigned(probabilities, 0.85), [[1, 3, 0, 0]])


def test_of_equally_sure_classes_the_first_wins() -> None:
    assert_array_equal(assigned([row(0.6), row(0.6)], 0.5), [[1]])


def test_a_class_that_is_left_out_keeps_its_index_from_the_others() -> None:
    indices = assign_pixels([(3, row(0.6, 0.2)), (7, row(0.1, 0.9))], (1, 2), 0.5)
    assert_array_equal(indices, [[3, 7]])


def test_where_every_class_is_left_out_all_is_background() -> None:
    assert_array_equal(assign_pixels([], (2, 3), 0.5), np.zeros((2, 3)))


def test_probabilities_are_left_as_they_are() -> None:
    probability = row(0.6, 0.1)
    assigned([probability, row(0.9, 0.9)], 0.5)
    assert_array_equal(probability, row(0.6, 0.1))


def test_each_class_loses_its_own_small_parts() -> None:
    indices = np.array([[1, 1, 0, 2, 0, 1]], np.uint8)
    clean_classes(indices, Shaping(min_area=2))
    assert_array_equal(indices, [[1, 1, 0, 0, 0, 0]])


def test_each_class_keeps_its_own_largest_part() -> None:
    indices = np.array([[1, 1, 0, 2, 2, 2, 0, 1, 0, 2]], np.uint8)
    clean_classes(indices, Shaping(largest_component=True))
    assert_array_equal(indices, [[1, 1, 0, 2, 2, 2, 0, 0, 0, 0]])


def ring(inside: int) -> np.ndarray:
    indices = np.ones((5, 5), np.uint8)
    indices[2, 2] = inside
    return indices


def test_a_hole_is_filled_where_it_is_background() -> None:
    indices = ring(0)
    clean_classes(indices, Shaping(fill_holes=True))
    assert_array_equal(indices, np.ones((5, 5)))


def test_another_class_in_a_hole_stays() -> None:
    indices = ring(2)
    clean_classes(indices, Shaping(fill_holes=True))
    assert_array_equal(indices, ring(2))


def test_a_hole_that_a_dropped_part_leaves_is_filled() -> None:
    indices = ring(2)
    clean_classes(indices, Shaping(min_area=2, fill_holes=True))
    assert_array_equal(indices, np.ones((5, 5)))


@pytest.mark.parametrize(
    ("index", "colour"),
    [(0, (0, 0, 0)), (1, (128, 0, 0)), (2, (0, 128, 0)), (15, (192, 128, 128)), (20, (0, 64, 128))],
)
def test_colours_are_those_of_pascal_voc(index: int, colour: tuple[int, int, int]) -> None:
    assert class_colour(index) == colour


def test_every_class_has_a_colour_of_its_own() -> None:
    assert len({class_colour(index) for index in range(255)}) == 255
