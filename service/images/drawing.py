"""A rough mark drawn as a mask: all that it holds, one over the other."""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from model.episode import ObjectMask, Photograph
from model.images.masks import MaskReading
from service.errors import BlankMaskError, InvalidMarkError
from service.images.cutting import cut_out, grow
from service.images.marks import Mark, Point, Stroke, read_mark

DOT_SHARE = 0.03
"""Diameter of a point, and width of a stroke that has none, as a share of the longer side."""
DRAWN_SIDE = 2048
"""Of the longer side: larger pictures are drawn on in this size, and enlarged."""
MAX_EFFORT = 200_000_000
"""Of a mark: pixels that strokes paint, and of each row of a polygon the square of its edges there,
which OpenCV sorts. It takes a core about two seconds, and no mark of a hand comes near it."""
# OpenCV counts in these parts of a pixel.
_SHIFT = 4


def read_drawing(content: bytes, field: str, photograph: Photograph) -> MaskReading:
    """The JSON of a part called ``field`` -> (H, W) bool.

    Raises what ``read_mark`` does, and BlankMaskError where nothing is marked as object.
    """
    height, width = photograph.shape[:2]
    size = (height, width)
    mark = read_mark(content, field, size)
    _check_effort(mark, field, size)
    mask = draw_object(mark, photograph)
    if not mask.any():
        raise BlankMaskError(
            f"{field} marks no pixel as object; send a bbox, points, strokes, polygons or a "
            "segmentation that its background marks do not cover",
            field=field,
        )
    return MaskReading(mask, "mark")


def draw_object(mark: Mark, photograph: Photograph) -> ObjectMask:
    """``draw_mark``, with the object cut out of a box, or else grown from points."""
    height, width = photograph.shape[:2]
    size = (height, width)
    if mark.bbox is None and not mark.points:
        return draw_mark(mark, size)
    background = draw_background(mark, size)
    if mark.bbox is None:
        dots = _draw_object_marks(Mark(points=mark.points), size)
        certain = _draw_object_marks(mark, size) & ~background
        return grow(photograph, dots, certain, background)
    frame = _draw_object_marks(Mark(bbox=mark.bbox), size) & ~background
    certain = _draw_object_marks(mark.model_copy(update={"bbox": None}), size) & ~background
    return np.asarray(cut_out(photograph, frame, certain) | certain)


def draw_mark(mark: Mark, size: tuple[int, int]) -> ObjectMask:
    """(H, W) true on what is marked as object and not as background."""
    return np.asarray(_draw_object_marks(mark, size) & ~draw_background(mark, size))


def _draw_object_marks(mark: Mark, size: tuple[int, int]) -> ObjectMask:
    """(H, W) true on what is marked as object, whatever is marked as background."""
    canvas = _Canvas(size)
    if mark.bbox is not None:
        canvas.fill_box(*mark.bbox)
    for polygon in mark.polygons:
        canvas.fill(polygon)
    canvas.draw(mark.points, mark.strokes)
    mask = canvas.mask()
    if mark.segmentation is not None:
        mask |= mark.segmentation.mask()
    return mask


def draw_background(mark: Mark, size: tuple[int, int]) -> ObjectMask:
    """(H, W) true on what is marked as background."""
    canvas = _Canvas(size)
    canvas.draw(mark.background_points, mark.background_strokes)
    return canvas.mask()


def read_bounds(content: bytes, field: str, size: tuple[int, int]) -> ObjectMask:
    """``draw_bounds`` of the JSON of a part; raises what ``read_mark`` does."""
    return draw_bounds(read_mark(content, field, size), size)


def within_bounds(
    probability: NDArray[np.float32], content: bytes, field: str
) -> NDArray[np.float32]:
    """(H, W) probability, 0 beyond the bounds of the mark that is the JSON of a part."""
    height, width = probability.shape
    return np.where(read_bounds(content, field, (height, width)), probability, np.float32(0))


def draw_bounds(mark: Mark, size: tuple[int, int]) -> ObjectMask:
    """(H, W) true where the object may be when it is completed.

    It is nowhere on what is marked as background; nor beyond a box or polygons, where there are
    any, and beyond all else that is marked. Points and strokes bind nothing: a careless stroke
    leaves the object, and keeping all of it costs more than it gains.
    """
    if mark.bbox is not None or mark.polygons:
        return draw_mark(mark, size)
    return ~draw_background(mark, size)


class _Canvas:
    """A picture of (H, W) pixels, of which at most DRAWN_SIDE a side are drawn.

    Coordinates run along the pixels' edges, from 0 to W and H.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._scale = min(1.0, DRAWN_SIDE / max(size))
        height, width = (max(1, round(pixels * self._scale)) for pixels in size)
        self._pixels = np.zeros((height, width), np.uint8)
        self._dot = DOT_SHARE * max(size)

    def fill_box(self, left: float, top: float, width: float, height: float) -> None:
        """Every pixel that the box touches."""
        rows = slice(*self._touched(top, top + height))
        self._pixels[rows, slice(*self._touched(left, left + width))] = 1

    def fill(self, polygon: Sequence[float]) -> None:
        """Every pixel within the outline, and under it."""
        cv2.fillPoly(self._pixels, [self._fixed(polygon)], 1, shift=_SHIFT)

    def draw(self, points: Sequence[Point], strokes: Sequence[Stroke]) -> None:
        """Lines with round ends."""
        for point in points:
            self._draw_line([point], self._dot)
        for stroke in strokes:
            self._draw_line(stroke.points, stroke.width or self._dot)

    def mask(self) -> ObjectMask:
        """(H, W) true where something is drawn."""
        height, width = self._size
        whole = cv2.resize(self._pixels, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.asarray(whole, np.bool_)

    def _draw_line(self, points: Sequence[Point], width: float) -> None:
        corners = self._fixed([number for point in points for number in point])
        thickness = max(1, round(min(width * self._scale, 2 * DRAWN_SIDE)))
        one_dot = len(points) == 1
        cv2.polylines(self._pixels, [corners], one_dot, 1, thickness, shift=_SHIFT)

    def _touched(self, low: float, high: float) -> tuple[int, int]:
        return math.floor(low * self._scale), math.ceil(high * self._scale)

    def _fixed(self, numbers: Sequence[float]) -> NDArray[np.int32]:
        """x1, y1, ... -> (N, 1, 2) in fixed point, 0 being the first pixel's centre."""
        last = np.array(self._pixels.shape[::-1]) - 1
        corners = np.asarray(numbers, np.float64).reshape(-1, 1, 2) * self._scale - 0.5
        return np.asarray(np.rint(corners.clip(0, last) * 2**_SHIFT), np.int32)


def _check_effort(mark: Mark, field: str, size: tuple[int, int]) -> None:
    scale = min(1.0, DRAWN_SIDE / max(size))
    dot = DOT_SHARE * max(size)
    strokes = [*mark.strokes, *mark.background_strokes]
    painted = sum(_painted(stroke.points, stroke.width or dot) for stroke in strokes)
    rows = size[0] * scale
    sorted_edges = sum((scale * _climb(polygon)) ** 2 / rows for polygon in mark.polygons)
    if painted * scale**2 + sorted_edges > MAX_EFFORT:
        raise InvalidMarkError(
            f"{field} is too tangled to be drawn in time; send fewer or thinner strokes, simpler "
            "polygons, or a mask",
            field=field,
        )


def _painted(points: Sequence[Point], width: float) -> float:
    """Pixels of a stroke, those at each point counted again."""
    lengths = (math.dist(one, other) for one, other in pairwise(points))
    return width * (sum(lengths) + len(points) * width)


def _climb(polygon: Sequence[float]) -> float:
    """Pixels up and down along a polygon's outline."""
    return sum(abs(one - other) for one, other in pairwise([*polygon[1::2], polygon[1]]))
