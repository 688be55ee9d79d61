"""Borders that follow the photograph."""

import cv2
import numpy as np
import pytest

from model.refinement import FINEST, _coefficients, guide_of, refine


def disc(height=120, width=160, radius=35):
    """A red disc on blue -> (H, W, 3) photograph and (H, W) its true mask."""
    rows, columns = np.mgrid[:height, :width]
    mask = np.hypot(rows - height / 2, columns - width / 2) < radius
    photograph = np.where(mask[..., None], (200, 40, 40), (40, 60, 160)).astype(np.uint8)
    return photograph, mask


def halo(height=120, width=160, radius=39):
    """(H, W) a soft probability that reaches 4 pixels beyond the disc."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    return ((radius - distance) / 20 + 0.5).clip(0, 1).astype(np.float32)


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def test_a_halo_shrinks_to_the_photographs_edge():
    photograph, mask = disc()
    before, after = halo() > 0.5, refine(photograph, halo()) > 0.5
    assert iou(after, mask) > iou(before, mask) + 0.1


def test_nothing_appears_where_nothing_was():
    photograph, _ = disc()
    assert refine(photograph, np.zeros(photograph.shape[:2], np.float32)).max() < 1e-5


def test_a_photograph_of_one_colour_keeps_the_probabilitys_size_and_place():
    probability = halo()
    flat = np.full((120, 160, 3), 90, np.uint8)
    assert np.abs(refine(flat, probability) - probability).mean() < 0.08


def test_a_probability_stays_between_zero_and_one():
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (90, 70, 3), np.uint8)
    refined = refine(photograph, rng.random((90, 70), np.float32))
    assert refined.dtype == np.float32
    assert refined.min() >= 0 and refined.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (513, 5)])
def test_the_narrowest_photographs_are_refined(size):
    refined = refine(np.zeros((*size, 3), np.uint8), np.full(size, 0.5, np.float32))
    assert refined.shape == size
    assert np.isfinite(refined).all()


def test_a_photograph_of_many_pixels_is_refined_at_its_own_size():
    size = (40, FINEST + 500)
    photograph = np.zeros((*size, 3), np.uint8)
    photograph[:, 900:] = 255
    probability = np.repeat(np.linspace(0, 1, size[1], dtype=np.float32)[None], 40, axis=0)
    assert refine(photograph, probability).shape == size


@pytest.mark.parametrize("size", [(3000, 4000), (1537, 20), (7, 5001)])
def test_the_guide_of_a_large_photograph_refines_it_as_the_photograph_does(size):
    rows, columns = np.mgrid[: size[0], : size[1]]
    photograph = np.stack([rows * 255 // size[0], columns * 255 // size[1], rows * 0 + 9], axis=-1)
    photograph = photograph.astype(np.uint8)
    guide = guide_of(photograph)
    assert max(guide.shape) == FINEST
    assert abs(int(guide[0, 0, 1]) - int(photograph[0, 0, 1])) <= 1
    assert abs(int(guide[-1, -1, 1]) - int(photograph[-1, -1, 1])) <= 1
    probability = (columns / size[1]).astype(np.float32)
    small = np.ascontiguousarray(probability[:: max(1, size[0] // 300), :: max(1, size[1] // 300)])
    by_guide = refine(guide, cv2.resize(small, guide.shape[1::-1]))
    enlarged = cv2.resize(by_guide, size[::-1])
    assert np.abs(enlarged - refine(photograph, probability)).mean() < 0.02


def test_a_photograph_that_is_small_is_its_own_guide():
    photograph, _ = disc()
    assert guide_of(photograph) is photograph


def test_a_linear_function_of_the_colours_is_found_exactly():
    rng = np.random.default_rng(2)
    colours = rng.random((20, 20, 3), np.float32)
    probability = colours @ np.array([0.3, 0.2, 0.4], np.float32) + 0.05
    weights = _coefficients(colours, probability, 4)[10, 10]
    assert np.allclose(weights, [0.3, 0.2, 0.4, 0.05], atol=0.01)
