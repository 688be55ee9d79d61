"""Probability becomes a mask, its PNG, and an overlay on the photograph."""

from io import BytesIO

import numpy as np
from numpy.testing import assert_array_equal
from PIL import Image

from pictures import object_mask, photograph, read_mask
from service.render import mask_png, overlay_png
from service.render import object_mask as above_threshold


def test_the_object_is_where_its_probability_is_above_a_half() -> None:
    probability = np.array([[0.0, 0.5, 0.501, 1.0]], np.float32)
    assert_array_equal(above_threshold(probability), [[False, False, True, True]])


def test_the_mask_is_8_bit_grey_255_on_the_object_and_0_elsewhere() -> None:
    assert_array_equal(read_mask(mask_png(object_mask())), object_mask() * 255)


def test_the_overlay_tints_the_object_and_leaves_the_rest() -> None:
    overlay = np.array(Image.open(BytesIO(overlay_png(photograph(), object_mask()))))
    assert_array_equal(overlay[~object_mask()], photograph()[~object_mask()])
    assert (overlay[object_mask()] != photograph()[object_mask()]).any(axis=1).all()


def test_the_overlay_outlines_the_object_in_white() -> None:
    overlay = np.array(Image.open(BytesIO(overlay_png(photograph(), object_mask()))))
    rows, columns = np.nonzero(object_mask())
    assert_array_equal(overlay[rows.min(), columns.min()], [255, 255, 255])
    assert (overlay[rows.min() + 4, columns.min() + 4] != 255).any()


def test_the_overlay_of_an_empty_mask_is_the_photograph() -> None:
    overlay = np.array(Image.open(BytesIO(overlay_png(photograph(), object_mask() & False))))
    assert_array_equal(overlay, photograph())
