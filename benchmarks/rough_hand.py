"""What a hurried hand marks of an object, made of its exact mask; the same in every run."""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.images.marks import Mark, Point, Stroke

Mask = NDArray[np.bool_]
# Shares of the photograph's longer side.
BRUSH, BACKGROUND_BRUSH, GENEROSITY, APART = 0.04, 0.06, 0.05, 0.08
TURNS = 6


def marks(mask: Mask) -> dict[str, Mark]:
    """(H, W), not empty -> a mark of each kind."""
    polygons = outlines(mask)
    return {
        "box": Mark(bbox=box(mask)),
        "generous outline": Mark(polygons=polygons) if polygons else Mark(bbox=box(mask)),
        "zigzag": Mark(strokes=[Stroke(points=zigzag(mask), width=BRUSH * max(mask.shape))]),
        "single stroke": Mark(strokes=[Stroke(points=axis(mask), width=BRUSH * max(mask.shape))]),
        "three dots": Mark(points=dots(mask, 3)),
        "single dot": Mark(points=dots(mask, 1)),
    }


def background(mask: Mask) -> list[Stroke]:
    """Three dabs within the object's box and three around it, all well beside the object."""
    side = max(mask.shape)
    beside = ~grown(mask, 0.02)
    left, top, width, height = map(int, box(mask))
    within = np.zeros_like(mask)
    within[top : top + height, left : left + width] = True
    points = dots(within & beside, 3) + dots(grown(mask, 0.12) & beside, 3)
    return [Stroke(points=[point], width=BACKGROUND_BRUSH * side) for point in points]


def box(mask: Mask) -> tuple[float, float, float, float]:
    """Left, top, width and height."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return float(left), float(top), float(width), float(height)


def outlines(mask: Mask) -> list[list[float]]:
    """Of the object grown by GENEROSITY, with few corners."""
    contours, _ = cv2.findContours(
        grown(mask, GENEROSITY).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    coarse = [cv2.approxPolyDP(contour, 0.01 * max(mask.shape), True) for contour in contours]
    return [(corners + 0.5).ravel().tolist() for corners in coarse if len(corners) > 2]


def zigzag(mask: Mask) -> list[Point]:
    """From the object's left edge to its right and back, over what lies between."""
    top, height = box(mask)[1], box(mask)[3]
    points: list[Point] = []
    for turn, y in enumerate(np.linspace(top, top + height - 1, TURNS + 2)[1:-1]):
        columns = np.flatnonzero(mask[int(y)])
        if len(columns):
            points.append((float(columns[-(turn % 2)]) + 0.5, int(y) + 0.5))
    return points


def axis(mask: Mask) -> list[Point]:
    """Along the longest direction of the largest part, 70 % of its length."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = parts == 1 + statistics[1:, cv2.CC_STAT_AREA].argmax()
    pixels = np.argwhere(largest)[:, ::-1] + 0.5
    centred = pixels - pixels.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = centred @ direction
    steps = np.linspace(*np.quantile(along, [0.15, 0.85]), 7)
    near = (pixels[np.abs(along - step) < 2] for step in steps)
    return [tuple(np.median(some, axis=0).tolist()) for some in near if len(some)]


def dots(region: Mask, count: int) -> list[Point]:
    """Where the region is widest; then there again, APART from those before."""
    left = np.pad(region, 1).astype(np.uint8)
    points: list[Point] = []
    while len(points) < count and left.any():
        distance = cv2.distanceTransform(left, cv2.DIST_L2, 5)
        y, x = (int(place) for place in np.unravel_index(distance.argmax(), distance.shape))
        points.append((x - 0.5, y - 0.5))
        radius = max(APART * max(region.shape), float(distance.max()))
        cv2.circle(left, (x, y), int(radius), 0, -1)
    return points


def grown(mask: Mask, share: float) -> Mask:
    """By a share of the longer side, in every direction."""
    side = 2 * max(1, round(share * max(mask.shape))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0
