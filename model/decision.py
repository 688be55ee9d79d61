"""From probabilities to a decision: what is marked, and whether anything is."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Share = Annotated[float, Field(ge=0, le=1)]
CLASS_THRESHOLD = 0.75
"""Of a pixel's probability where several classes are looked for and presence says nothing of them.

Most of them are absent, and in training an object pixel counts 2.5 times as much as one of the
background, which marks too much of an absent class. Each fold's was chosen on the classes of the
three others; all four lie within 0.05.
"""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Decision:
    """The thresholds of one network, chosen on held-out classes; they travel in its checkpoint.

    A pixel is the object's where its probability is above ``object_threshold``. An object is found
    where its presence is at least ``presence_threshold``; 0, the default, always marks.
    """

    object_threshold: Share = 0.5
    presence_threshold: Share = 0.0

    def finds(self, presence: float) -> bool:
        """Whether a mask is to be shown at all."""
        return presence >= self.presence_threshold

    @property
    def class_threshold(self) -> float:
        """``object_threshold`` for what ``weigh`` returns."""
        if self.presence_threshold > 0:
            return self.object_threshold
        return max(self.object_threshold, CLASS_THRESHOLD)

    def weigh(self, probability: NDArray[np.float32], presence: float) -> NDArray[np.float32]:
        """A class's probability at each pixel where other classes are looked for as well.

        That of its being there at all times that of being its pixel then. Where no presence
        threshold leaves anything out, presence does not count.
        """
        if self.presence_threshold > 0:
            return probability * np.float32(presence)
        return probability
