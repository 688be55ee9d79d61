"""A network that takes brightness for presence, so that a test knows what is found."""

import dataclasses

from model.decision import Decision
from service.inference.engine import Engine, Prediction, Task

DECISION = Decision(object_threshold=0.4, presence_threshold=0.25)


class BrightEngine(Engine):
    """The object is there as surely as the query is bright; the classes of ``absent`` are not."""

    absent: frozenset[int] = frozenset()

    def run(self, task: Task) -> Prediction:
        """The logits are the network's own."""
        prediction = super().run(task)
        brightness = float(task.query.image.mean()) / 255
        classes = range(len(prediction.presence))
        presence = tuple(0.0 if number in self.absent else brightness for number in classes)
        return dataclasses.replace(prediction, presence=presence)


def bright(engine: Engine) -> BrightEngine:
    """The same network, whose checkpoint knows of presence."""
    architecture = dataclasses.replace(engine.checkpoint.architecture, presence=True)
    checkpoint = dataclasses.replace(
        engine.checkpoint, architecture=architecture, decision=DECISION
    )
    return BrightEngine(checkpoint, engine.executor)
