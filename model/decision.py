"""From probabilities to a decision: what is marked, and whether anything is."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Share = Annotated[float, Field(ge=0, le=1)]


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
