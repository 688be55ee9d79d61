"""Rough marks: what is drawn of them, and what of them is refused."""

import json
import time
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pycocotools import mask as run_lengths

from pictures import disc
from service.errors import ServiceError
from service.images.coco import encode_run_lengths, trace_polygons
from service.images.drawing import DRAWN_SIDE, draw_background, draw_mark, read_drawing
from service.images.marks import MAX_MARK_BYTES, MAX_POINTS, MAX_SHAPES, Mark

HEIGHT, WIDTH = SIZE = (48, 64)


def blank(size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photograph in which nothing can be cut out."""
    return np.full((*size, 3), 90, np.uint8)


def drawn(mark: Any, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    return read_drawing(json.dumps(mark).encode(), "support_mark", blank(size)).mask


def box(left: int, top: int, width: int, height: int) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


def uncompressed(mask: NDArray[np.bool_]) -> list[int]:
    flat = mask.T.ravel().astype(int)
    changes = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    return np.diff([0, *changes, flat.size]).tolist()


def test_a_box_fills_every_pixel_that_it_touches() -> None:
    assert_array_equal(drawn({"bbox": [4, 2, 6, 4]}), box(4, 2, 6, 4))
    assert_array_equal(drawn({"bbox": [4.5, 2.5, 1, 1]}), box(4, 2, 2, 2))
    assert drawn({"bbox": [0, 0, WIDTH, HEIGHT]}).all()


@pytest.mark.parametrize("counts", ["letters", "numbers"])
def test_run_lengths_are_the_mask_exactly(counts: str) -> None:
    rough = np.random.default_rng(0).random(SIZE) > 0.5
    for mask in (disc(), rough, box(0, 0, 1, 1), box(63, 47, 1, 1)):
        runs = encode_run_lengths(mask).counts if counts == "letters" else uncompressed(mask)
        assert_array_equal(drawn({"segmentation": {"size": SIZE, "counts": runs}}), mask)


def test_run_lengths_of_pycocotools_are_read_whatever_their_length() -> None:
    mask = np.zeros((3000, 2000), np.uint8, order="F")
    mask[10:2990, 5:1990:2] = 1
    runs = run_lengths.encode(mask)["counts"].decode()
    size = mask.shape
    assert_array_equal(drawn({"segmentation": {"size": size, "counts": runs}}, size), mask == 1)


def test_the_polygons_of_a_reply_are_its_mask_but_for_the_outline() -> None:
    mask = disc()
    again = drawn({"polygons": trace_polygons(mask)})
    assert (mask & again).sum() / (mask | again).sum() > 0.93


def test_a_stroke_is_as_wide_as_it_says_and_has_round_ends() -> None:
    mask = drawn({"strokes": [{"points": [[10, 24.5], [54, 24.5]], "width": 9}]})
    rows = np.flatnonzero(mask[:, 32])
    assert abs(len(rows) - 9) <= 2
    assert rows.mean() == 24
    assert mask[24].sum() > mask[rows[0]].sum() >= 44


@pytest.mark.parametrize("at", [(0, 0), (WIDTH, HEIGHT), (32.5, 20.5)])
def test_a_point_is_a_dot_there_even_at_the_edge(at: tuple[float, float]) -> None:
    rows, columns = np.nonzero(drawn({"points": [at]}))
    assert 0 < len(rows) < 20
    assert abs(rows.mean() + 0.5 - at[1]) < 2
    assert abs(columns.mean() + 0.5 - at[0]) < 2


def test_several_kinds_are_drawn_over_each_other_and_background_is_taken_away() -> None:
    line = {"points": [[0, 30], [WIDTH, 30]], "width": 4}
    mark = {"bbox": [4, 2, 20, 40], "points": [[50, 10]], "background_strokes": [line]}
    mask = drawn(mark)
    assert mask[10, 50]
    assert mask[5, 10]
    assert not mask[30].any()
    assert_array_equal(draw_background(Mark.model_validate(mark, strict=False), SIZE)[30], True)


def test_a_large_photograph_is_marked_at_its_own_size() -> None:
    size = (1000, 3 * DRAWN_SIDE)
    mask = draw_mark(Mark(bbox=(3000, 300, 1500, 600)), size)
    assert mask.shape == size
    assert mask.sum() == pytest.approx(1500 * 600, rel=0.01)
    assert mask[600, 3010:4490].all()


REFUSED = {
    "no JSON": (b"{", "invalid_mark"),
    "no UTF-8": (b"\xff{}", "invalid_mark"),
    "deep": (b"[" * 100_000, "invalid_mark"),
    "a list": ([], "invalid_mark"),
    "another name": ({"box": [1, 2, 3, 4]}, "invalid_mark"),
    "a text for a number": ({"points": [["1", 2]]}, "invalid_mark"),
    "NaN": (b'{"points": [[1, NaN]]}', "invalid_mark"),
    "beyond numbers": (b'{"points": [[1, 1e999]]}', "invalid_mark"),
    "no y": ({"points": [[1]]}, "invalid_mark"),
    "a polygon without its last y": ({"polygons": [[1, 2, 3, 4, 5, 6, 7]]}, "invalid_mark"),
    "a polygon of two points": ({"polygons": [[1, 2, 3, 4]]}, "invalid_mark"),
    "a stroke without points": ({"strokes": [{"points": []}]}, "invalid_mark"),
    "a stroke without width": ({"strokes": [{"points": [[1, 1]], "width": 0}]}, "invalid_mark"),
    "a box of no width": ({"bbox": [1, 1, 0, 5]}, "invalid_mark"),
    "too many shapes": ({"polygons": [[1, 1, 9, 1, 9, 9]] * (MAX_SHAPES + 1)}, "invalid_mark"),
    "too many points": (
        {"points": [[1, 1]] * MAX_POINTS, "background_points": [[2, 2]]},
        "invalid_mark",
    ),
    "runs of other numbers": (
        {"segmentation": {"size": SIZE, "counts": [1, 2]}},
        "invalid_mark",
    ),
    "a negative run": (
        {"segmentation": {"size": SIZE, "counts": [9, -1, HEIGHT * WIDTH - 8]}},
        "invalid_mark",
    ),
    "letters that are none": (
        {"segmentation": {"size": SIZE, "counts": "~~~"}},
        "invalid_mark",
    ),
    "letters without end": (
        {"segmentation": {"size": SIZE, "counts": "o" * 1000}},
        "invalid_mark",
    ),
    "runs of another size": (
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [HEIGHT * WIDTH]}},
        "mask_size_mismatch",
    ),
    "left of the picture": ({"points": [[-1, 3]]}, "mark_outside"),
    "below the picture": ({"strokes": [{"points": [[3, HEIGHT + 1]]}]}, "mark_outside"),
    "a box that reaches out": ({"bbox": [60, 2, 10, 4]}, "mark_outside"),
    "a polygon that reaches out": ({"polygons": [[1, 1, 65, 1, 9, 9]]}, "mark_outside"),
    "nothing": ({}, "empty_mask"),
    "background alone": ({"background_points": [[3, 3]]}, "empty_mask"),
    "all covered": (
        {"points": [[9, 9]], "background_strokes": [{"points": [[9, 9]], "width": 30}]},
        "empty_mask",
    ),
    "too many bytes": (b" " * (MAX_MARK_BYTES + 1), "payload_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mark_is_refused_with_its_part_and_the_fix(name: str) -> None:
    content, code = REFUSED[name]
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    with pytest.raises(ServiceError, match=r"^support_mark\[1\] .*; send ") as refused:
        read_drawing(content, "support_mark[1]", blank(SIZE))
    assert (refused.value.code, refused.value.field) == (code, "support_mark[1]")


def test_a_mark_that_would_take_too_long_is_refused_at_once() -> None:
    corners = np.random.default_rng(0).integers(0, 7000, (MAX_POINTS, 2)).tolist()
    for mark in (
        {"strokes": [{"points": corners, "width": 280}]},
        {"polygons": [np.ravel(corners).tolist()]},
    ):
        started = time.process_time()
        with pytest.raises(ServiceError, match="too tangled"):
            drawn(mark, (7000, 7000))
        assert time.process_time() - started < 2
