"""A distillation as a TOML file: what is read, the schedule and the loss."""

import json
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
)
from pydantic.dataclasses import dataclass

_FORBID = ConfigDict(extra="forbid")


def _fits_student(side: int) -> int:
    if side < 33 or side % 16 != 1:
        raise ValueError(f"a side is {side}; it must be 16n + 1 and at least 33, such as 97")
    return side


def _fits_teacher(side: int) -> int:
    if side < 33 or side % 32 != 1:
        raise ValueError(f"teacher_side is {side}; it must be 32n + 1, such as 161")
    return side


@dataclass(frozen=True, config=_FORBID)
class Material:
    """What a distillation reads; all paths are relative to ``root``.

    ``archive`` is a tar of photographs; ``folder/NAME.jpg`` for each line of ``names`` are more.
    ``given`` are genuine VGG-16 weights of conv1_1 to conv2_2. ``held_out`` photographs of
    each class of the archive, an even number, judge the student, which does not learn from them.
    """

    root: Path
    archive: Path
    folder: Path
    names: Path
    teacher: Path
    given: Path
    held_out: Annotated[int, Field(ge=2, multiple_of=2)] = 10


@dataclass(frozen=True, config=_FORBID)
class DistillationSchedule:
    """AdamW; the rate rises over ``warm_up`` steps and falls as a cosine to zero.

    ``sides`` of the student's views, in pixels, share the steps in order. The teacher sees the same
    views at ``teacher_side``, where it is good at them: at 65 pixels its features tell 41 % of
    Caltech-101 apart, at 193 73 %.
    """

    steps: NonNegativeInt
    sides: Annotated[tuple[Annotated[int, AfterValidator(_fits_student)], ...], Field(min_length=1)]
    teacher_side: Annotated[int, AfterValidator(_fits_teacher)] = 161
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = 0.05
    warm_up: PositiveInt = 100
    judge_every: PositiveInt = 250

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        fall = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.learning_rate * fall * min(1.0, (step + 1) / self.warm_up)

    def side(self, step: int) -> int:
        """Pixels of the student's views at a step."""
        return self.sides[step * len(self.sides) // self.steps]


@dataclass(frozen=True, config=_FORBID)
class Start:
    """A start in closed form: regressions on ``cells`` random cells of ``views`` random views."""

    views: PositiveInt = 2000
    cells: PositiveInt = 24000


@dataclass(frozen=True, config=_FORBID)
class Curriculum:
    """Everything that decides the student's weights but the hardware.

    ``start`` fits the student's layers before the first step; without it they hand their input on.
    ``precision`` is that of products; ``auto`` is bfloat16 where the hardware multiplies it.

    ``class_weight`` is the weight of the class scores' divergence beside the maps' losses;
    ``temperature`` softens those scores.
    """

    name: str
    seed: int
    material: Material
    schedule: DistillationSchedule
    start: Start | None = None
    class_weight: Annotated[float, Field(ge=0)] = 1.0
    temperature: PositiveFloat = 2.0
    precision: Literal["auto", "bfloat16", "float32"] = "auto"

    def identity(self) -> str:
        """What must be equal for a run to be resumed: all of it but the paths and the plan.

        A run may get other steps, sides, rates and judgements while it goes.
        """
        table = TypeAdapter(Curriculum).dump_python(self, mode="json")
        table["material"] = self.material.held_out
        for planned in ("steps", "sides", "learning_rate", "warm_up", "judge_every"):
            del table["schedule"][planned]
        return json.dumps(table, sort_keys=True)
