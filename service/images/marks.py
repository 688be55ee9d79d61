"""A rough mark in place of a mask: what it may hold, and its checks.

What it holds is written for users in docs/reference/marks.md; the two change together.
"""

import re
from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from model.episode import ObjectMask
from service.errors import (
    InvalidMarkError,
    MarkOutsideError,
    MaskSizeMismatchError,
    PayloadTooLargeError,
)

MAX_MARK_BYTES = 256 * 1024
MAX_POINTS = 5_000
MAX_SHAPES = 500

Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Extent = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Point = tuple[Coordinate, Coordinate]

# Five bits a letter, the lowest first; the sixth says that more follow. pycocotools reads and
# writes beyond the end of a text that is not so.
_NUMBERS = re.compile("(?:[P-o]{0,5}[0-O])*")
_ZERO, _MORE = ord("0"), 0x20


def _in_pairs(numbers: list[float]) -> list[float]:
    if len(numbers) % 2:
        raise PydanticCustomError("odd", "A point has no y")
    return numbers


Polygon = Annotated[
    list[Coordinate], Field(min_length=6, max_length=2 * MAX_POINTS), AfterValidator(_in_pairs)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Stroke(_Strict):
    """A line as of a brush: its points in order, one of which is a dot."""

    points: Annotated[
        list[Point], Field(min_length=1, max_length=MAX_POINTS, description="[x, y] each.")
    ]
    width: Annotated[
        Extent | None, Field(description="In pixels; 3 % of the photograph's longer side if unset.")
    ] = None


class MarkedRuns(_Strict):
    """A mask as COCO's run lengths, column by column, background first."""

    size: Annotated[tuple[int, int], Field(description="Height and width.")]
    counts: Annotated[
        str | list[Annotated[int, Field(ge=0)]],
        Field(description="Compressed, in COCO's letters; or the numbers themselves."),
    ]

    def runs(self) -> list[int]:
        """The numbers of either way to write them; ValueError where they are none of the size."""
        runs = self.counts if isinstance(self.counts, list) else list(_decompressed(self.counts))
        height, width = self.size
        if min(runs, default=0) < 0 or sum(runs) != height * width:
            raise ValueError(f"run lengths that do not add up to {width}x{height} pixels")
        return runs

    def mask(self) -> ObjectMask:
        """(H, W) bool."""
        runs = self.runs()
        height, width = self.size
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


class Mark(_Strict):
    """Where the object is, roughly, in pixels of the upright photograph from its top left corner.

    All that is given is drawn, one over the other: of a bbox the object within it, around points
    what is like them. Then what marks background is taken away.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"bbox": [120, 80, 200, 160]},
                {
                    "strokes": [{"points": [[130, 90], [300, 150], [140, 220]], "width": 24}],
                    "background_points": [[125, 235]],
                },
            ]
        }
    )

    bbox: Annotated[
        tuple[Coordinate, Coordinate, Extent, Extent] | None,
        Field(
            description="Left, top, width and height; the object is cut out of it by what lies "
            "beyond."
        ),
    ] = None
    points: Annotated[
        list[Point],
        Field(
            max_length=MAX_POINTS,
            description="Dots on the object, [x, y] each; without a bbox what is like them around "
            "them is marked too.",
        ),
    ] = []
    strokes: Annotated[
        list[Stroke],
        Field(max_length=MAX_SHAPES, description="Lines on the object, taken as they are."),
    ] = []
    polygons: Annotated[
        list[Polygon],
        Field(max_length=MAX_SHAPES, description="Outlines, [x1, y1, x2, y2, ...] each, filled."),
    ] = []
    segmentation: Annotated[
        MarkedRuns | None, Field(description="Run lengths, of the photograph's size.")
    ] = None
    background_points: Annotated[
        list[Point], Field(max_length=MAX_POINTS, description="Dots beside the object.")
    ] = []
    background_strokes: Annotated[
        list[Stroke], Field(max_length=MAX_SHAPES, description="Lines beside the object.")
    ] = []

    def corners(self) -> Iterator[tuple[str, float, float]]:
        """Every point, with its place in the mark."""
        if self.bbox is not None:
            left, top, width, height = self.bbox
            yield from (("bbox", left, top), ("bbox", left + width, top + height))
        for index, polygon in enumerate(self.polygons):
            for x, y in zip(polygon[::2], polygon[1::2], strict=True):
                yield f"polygons[{index}]", x, y
        for name in ("points", "background_points"):
            for index, (x, y) in enumerate(getattr(self, name)):
                yield f"{name}[{index}]", x, y
        for name in ("strokes", "background_strokes"):
            for index, stroke in enumerate(getattr(self, name)):
                for x, y in stroke.points:
                    yield f"{name}[{index}]", x, y


FIXES = {
    "bbox": "[left, top, width, height] in pixels, width and height above 0",
    "points": "[[x, y], ...] in pixels",
    "background_points": "[[x, y], ...] in pixels",
    "strokes": '[{"points": [[x, y], ...], "width": pixels}, ...]',
    "background_strokes": '[{"points": [[x, y], ...], "width": pixels}, ...]',
    "polygons": "[[x1, y1, x2, y2, x3, y3, ...], ...] in pixels",
    "segmentation": 'COCO run lengths, {"size": [height, width], "counts": ...}',
}


def read_mark(content: bytes, field: str, size: tuple[int, int]) -> Mark:
    """The JSON of a part called ``field``, for a photograph of this height and width.

    Raises PayloadTooLargeError, InvalidMarkError, MarkOutsideError or MaskSizeMismatchError.
    """
    if len(content) > MAX_MARK_BYTES:
        raise PayloadTooLargeError(
            f"{field} has {len(content)} bytes, the limit is {MAX_MARK_BYTES}; "
            "send fewer points, or a mask",
            field=field,
        )
    try:
        mark = Mark.model_validate_json(content)
    except ValidationError as error:
        raise InvalidMarkError(f"{field} {_reason(error)}", field=field) from None
    _check_place(mark, field, size)
    if mark.segmentation is not None:
        _check_runs(mark.segmentation, field, size)
    return mark


def _reason(error: ValidationError) -> str:
    """What is wrong first, and the fix; of the client's own text nothing but where it is."""
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "json_invalid":
        return 'is no JSON; send an object such as {"bbox": [left, top, width, height]}'
    # Of a union's members pydantic names the type as well.
    names = [name for name in first["loc"] if name != "str" and "[" not in str(name)]
    if first["type"] == "extra_forbidden" or not names:
        return f"is an object of {', '.join(FIXES)}; send no other name"
    place = "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names)
    reason = first["msg"][0].lower() + first["msg"][1:]
    return f"is wrong at {place[1:]}: {reason}; send {names[0]} as {FIXES[str(names[0])]}"


def _check_place(mark: Mark, field: str, size: tuple[int, int]) -> None:
    height, width = size
    for count, (place, x, y) in enumerate(mark.corners(), 1):
        if count > MAX_POINTS:
            raise InvalidMarkError(
                f"{field} has over {MAX_POINTS} points; send fewer, or a mask", field=field
            )
        if not (0 <= x <= width and 0 <= y <= height):
            raise MarkOutsideError(
                f"{field} has {place} at ({x:g}, {y:g}), outside its photograph, which is "
                f"{width}x{height} upright; send pixels within it",
                field=field,
            )


def _check_runs(segmentation: MarkedRuns, field: str, size: tuple[int, int]) -> None:
    if segmentation.size != size:
        (height, width), (mask_height, mask_width) = size, segmentation.size
        raise MaskSizeMismatchError(
            f"{field} has run lengths of {mask_width}x{mask_height}, its image is {width}x{height} "
            "upright; send those of a mask of the image's size",
            field=field,
        )
    try:
        segmentation.runs()
    except ValueError as error:
        raise InvalidMarkError(
            f"{field} has {error}; send segmentation as {FIXES['segmentation']}", field=field
        ) from None


def _decompressed(text: str) -> Iterator[int]:
    if not _NUMBERS.fullmatch(text):
        raise ValueError("run lengths that are not in COCO's letters")
    before: list[int] = [0, 0]
    value = shift = count = 0
    for letter in text.encode("ascii"):
        bits = letter - _ZERO
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & _MORE:
            value -= (bits & 0x10) << (shift - 4)
            value += before[0] if count > 2 else 0
            yield value
            before, count = [before[1], value], count + 1
            value = shift = 0
