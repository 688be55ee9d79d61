"""A probability becomes a mask as the options ask, and a mask becomes COCO's numbers."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pycocotools import mask as coco

from service.images.coco import bounding_box, encode_run_lengths, trace_polygons
from service.images.shape import clean_mask, shape_mask
from service.options import Shaping

# Its decoder is not yet written for NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def drawing(*rows: str) -> NDArray[np.bool_]:
    """(H, W), true where a row has an #."""
    return np.array([[letter == "#" for letter in row] for row in rows])


TWO_PARTS = drawing(
    "####..",
    "#..#..",
    "####.#",
    "......",
)
CORNERS = drawing("#.", ".#")


def blob(seed: int) -> NDArray[np.bool_]:
    """(240, 320) smooth parts as a network finds them, some cut by the edge, none with holes."""
    noise = np.random.default_rng(seed).random((240, 320)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 16)
    return shape_mask(smooth, float(np.median(smooth)), Shaping(fill_holes=True))


# Shaping


def test_the_object_is_where_its_probability_is_above_the_threshold() -> None:
    probability = np.array([[0.0, 0.5, 0.501, 1.0]], np.float32)
    assert_array_equal(shape_mask(probability, 0.5, Shaping()), [[False, False, True, True]])
    assert_array_equal(shape_mask(probability, 0.4, Shaping()), [[False, True, True, True]])


def test_parts_of_fewer_pixels_are_dropped() -> None:
    assert_array_equal(clean_mask(TWO_PARTS, Shaping(min_area=1)), TWO_PARTS)
    without_dot = TWO_PARTS.copy()
    without_dot[2, 5] = False
    assert_array_equal(clean_mask(TWO_PARTS, Shaping(min_area=2)), without_dot)
    assert_array_equal(clean_mask(TWO_PARTS, Shaping(min_area=10)), without_dot)
    assert not clean_mask(TWO_PARTS, Shaping(min_area=11)).any()
    assert not clean_mask(TWO_PARTS, Shaping(min_area=10**30)).any()


def test_only_the_largest_part_is_kept() -> None:
    assert clean_mask(TWO_PARTS, Shaping(largest_component=True)).sum() == 10


def test_the_largest_part_of_nothing_is_nothing() -> None:
    assert not clean_mask(TWO_PARTS & False, Shaping(largest_component=True)).any()


def test_pixels_that_touch_at_corners_are_one_part() -> None:
    assert_array_equal(clean_mask(CORNERS, Shaping(min_area=2)), CORNERS)


def test_holes_are_filled_and_bays_are_not() -> None:
    bay = TWO_PARTS.copy()
    bay[0, 1] = False
    assert clean_mask(TWO_PARTS, Shaping(fill_holes=True)).sum() == TWO_PARTS.sum() + 2
    assert_array_equal(clean_mask(bay, Shaping(fill_holes=True)), bay)


def test_holes_are_filled_last_so_that_they_do_not_save_a_small_part() -> None:
    assert not clean_mask(TWO_PARTS, Shaping(fill_holes=True, min_area=11)).any()


# COCO


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_decode_to_the_mask(seed: int) -> None:
    encoded = encode_run_lengths(blob(seed))
    assert_array_equal(coco.decode(encoded.model_dump()), blob(seed))


def test_the_box_is_left_top_width_and_height() -> None:
    assert bounding_box(drawing("....", ".##.", ".#..")) == (1, 1, 2, 2)
    assert bounding_box(drawing("....")) is None


@pytest.mark.parametrize("seed", range(5))
def test_polygons_drawn_by_either_library_cover_the_mask(seed: int) -> None:
    mask, polygons = blob(seed), trace_polygons(blob(seed))
    by_coco = coco.decode(coco.merge(coco.frPyObjects(polygons, *mask.shape))) > 0
    by_opencv = np.zeros(mask.shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(by_opencv, [np.array(polygon, np.int32).reshape(-1, 2)], 1)
    for drawn in (by_coco, by_opencv > 0):
        assert (drawn & mask).sum() / (drawn | mask).sum() > 0.95
    assert sum(len(polygon) for polygon in polygons) < 1500


def test_a_part_of_one_pixel_is_a_square() -> None:
    (polygon,) = trace_polygons(drawing("....", "..#."))
    assert sorted(zip(polygon[::2], polygon[1::2], strict=True)) == [(2, 1), (2, 2), (3, 1), (3, 2)]


def test_each_part_has_its_polygon() -> None:
    assert len(trace_polygons(TWO_PARTS)) == 2
    assert trace_polygons(TWO_PARTS & False) == []
