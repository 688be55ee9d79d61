"""A known episode, which a model must pass before it takes another's place."""

from functools import cache
from importlib.resources import files

import numpy as np

from model.episode import Support
from model.errors import ModelError
from service.images.codec import Part, decode_support
from service.inference.engine import Engine, Prediction, Task
from service.settings import PILLOW_MAX_PIXELS

# Of an object that is shown and looked for in the same photograph, the easiest there is. The
# shipped checkpoints reach 0.63 to 0.87; marking everything gives 0.41, as scrambled weights do.
LEAST_IOU = 0.5


class TrialError(ModelError):
    """A network that computes nonsense, although its file is whole."""


def trial_task(engine: Engine) -> Task:
    """The episode for this engine."""
    support = _known_support()
    return engine.prepare([engine.fresh(support)], support.image, "average")


def judge(engine: Engine, prediction: Prediction) -> None:
    """Raise TrialError where what was found of the episode is not the object."""
    if not (np.isfinite(prediction.logits).all() and 0 <= prediction.presence[0] <= 1):
        raise TrialError("the network gives no numbers for a known photograph; train it again")
    known = _known_support().mask
    found = engine.restore(prediction) > engine.checkpoint.decision.object_threshold
    iou = float((found & known).sum() / (found | known).sum())
    if iou < LEAST_IOU:
        raise TrialError(
            f"the network finds a known object in its own photograph with an IoU of {iou:.2f}, "
            f"less than {LEAST_IOU}; take another checkpoint, or restart to serve it all the same"
        )


@cache
def _known_support() -> Support:
    """An astronaut, whom the page shows too."""
    folder = files("service") / "web" / "examples"
    image, mask = (
        Part(name, (folder / name).read_bytes()) for name in ("astronaut.jpg", "astronaut.mask.png")
    )
    return decode_support(image, mask, PILLOW_MAX_PIXELS)
