"""The values of a grey mask: which there are, and whether those between the ends are areas."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.episode import ObjectMask

# Most numbers of a label map that is read as one without looking at its areas.
FEW = 32
# An area of one value is this many pixels high and wide, or more; a smoothed edge is not.
_SOLID = 3


@dataclass(frozen=True)
class Levels:
    """(H, W) values of 0 or more, and the ``full`` value of their range."""

    values: NDArray[Any]
    full: float

    @cached_property
    def present(self) -> NDArray[Any]:
        """The values that there are, in order."""
        if self.values.dtype.kind in "ub":
            return np.flatnonzero(np.bincount(self.values.ravel()))
        return np.unique(self.values)

    @property
    def are_few(self) -> bool:
        """Whether they can be class numbers, by their count."""
        return len(self.present) <= FEW

    @property
    def is_one_level_on_zero(self) -> bool:
        """0 and one other value, whichever: the other is the object."""
        return len(self.present) == 2 and self.present[0] == 0

    def light(self) -> ObjectMask:
        """Above half of the range; where nothing is above 1, above 0.5."""
        half = self.full / 2 if self.values.max() > 1 else 0.5
        return np.asarray(self.values > half)

    def labels(self) -> ObjectMask:
        """Not 0, and not the range's highest, which is void (255) where there are others."""
        marked = self.values != 0
        labelled = marked & (self.values != self.full) if self.full > 1 else marked
        return np.asarray(labelled if labelled.any() else marked)

    def holds_steps(self) -> bool:
        """Whether values between the ends fill areas: class numbers do, smoothed edges do not.

        What is within a sixteenth of the ends is noise of an encoder where both ends have it.
        """
        values = self._denoised()
        top = values.max()
        between = (values > 0) & (values < top)
        if not between.any():
            return False
        solid = _solid(values) & between[: -(_SOLID - 1), : -(_SOLID - 1)]
        if self.are_few:
            return bool(solid.any())
        return bool(solid.sum() > 0.3 * between.sum() and _jumps(values, between) > 3)

    def _denoised(self) -> NDArray[Any]:
        near = self.full / 16
        if not ((self.present > self.full - near) & (self.present < self.full)).any():
            return self.values
        values = np.where(self.values < near, 0, self.values)
        return np.where(values > self.full - near, self.full, values)


def grey_levels(image: Image.Image) -> Levels | None:
    """The levels of a grey image; None for colours. Values below 0, or not finite, become 0."""
    if image.mode in ("1", "L"):
        return Levels(np.array(image.convert("L")), 255)
    if image.mode.startswith("I;16"):
        return Levels(np.array(image).astype(np.uint16), 65535)
    if is_deep(image):
        values = np.nan_to_num(np.array(image, dtype=np.float32), posinf=0, neginf=0).clip(0)
        top = float(values.max())
        return Levels(values, next((full for full in (1, 255, 65535) if top <= full), top))
    return None


def is_deep(image: Image.Image) -> bool:
    """More than 8 bits of grey, which Pillow gives no alpha."""
    return image.mode[0] in "IF"


def straight_alpha(image: Image.Image) -> Image.Image:
    """Pillow converts premultiplied grey to nothing but straight grey."""
    return image.convert("LA") if image.mode == "La" else image


def _solid(values: NDArray[Any]) -> ObjectMask:
    """(H - 2, W - 2), true where the square that begins there is of one value."""
    same = values[:, 1:] == values[:, :-1]
    rows = same[:, 1:] & same[:, :-1]
    under = values[1:] == values[:-1]
    columns = under[1:] & under[:-1]
    return np.asarray(rows[:-2] & rows[1:-1] & rows[2:] & columns[:, :-2])


def _jumps(values: NDArray[Any], between: ObjectMask) -> float:
    """The median difference of neighbours that differ, both between the ends."""
    steps = np.abs(np.diff(values.astype(np.float32), axis=1))
    steps = steps[between[:, 1:] & between[:, :-1] & (steps > 0)]
    return float(np.median(steps)) if steps.size else np.inf
