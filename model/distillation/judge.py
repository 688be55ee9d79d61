"""What a student is worth on photographs that it has not learned from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.distillation.student import IMITATIONS, MAPS, Imitation, Student
from model.distillation.teacher import BLOCKS, Lesson, Teacher
from model.distillation.views import Views


@dataclass(frozen=True)
class Verdict:
    """Figures of one judgement; ``minutes`` of the run so far, those of judging included.

    ``accuracy``: 1-NN, in 0..1, of each map of the student and block of the teacher.
    ``similarity``: mean cosine over the cells of each imitated pair, in [-1, 1].
    """

    step: int
    minutes: float
    accuracy: dict[str, float]
    similarity: dict[str, float]


class Judge:
    """Photographs that no student learns from, and what the teacher says of them: in memory.

    ``batches`` are views of ``per_class`` photographs of each class in a row, seen whole.
    """

    def __init__(
        self,
        teacher: Teacher,
        batches: Iterable[Views],
        per_class: int,
        precision: torch.dtype,
    ) -> None:
        self.per_class, self.precision = per_class, precision
        self.cases: list[tuple[Tensor, Lesson]] = []
        for views in batches:
            with self._autocast(views.student):
                self.cases.append((views.student, teacher(views.teacher)))
        self.teacher_accuracy = {
            f"teacher block {block}": self._accuracy(
                [_pool(lesson.maps[block]) for _, lesson in self.cases]
            )
            for block in BLOCKS
        }

    @torch.no_grad()
    def verdict(self, student: Student, imitation: Imitation, step: int, minutes: float) -> Verdict:
        """Judge a student as it is in eval mode."""
        student.eval()
        pooled, similarities = [], []
        for views, lesson in self.cases:
            with self._autocast(views):
                maps = student(views)
                similarities.append(imitation(maps, lesson)[0] * len(views))
            pooled.append([_pool(features) for features in maps])
        accuracy = {
            name: self._accuracy(vectors)
            for name, vectors in zip(MAPS, zip(*pooled, strict=True), strict=True)
        }
        photographs = sum(len(views) for views, _ in self.cases)
        mean = (torch.stack(similarities).sum(0) / photographs).tolist()
        pairs = [f"{MAPS[tap]} to block {block}" for tap, block in IMITATIONS]
        similarity = {pair: round(value, 3) for pair, value in zip(pairs, mean, strict=True)}
        return Verdict(step, round(minutes, 1), accuracy | self.teacher_accuracy, similarity)

    def _accuracy(self, vectors: Sequence[Tensor]) -> float:
        """Outside autocast: rounded to bfloat16, the cosines of most neighbours are the same."""
        return round(nearest_neighbour_accuracy(torch.cat(list(vectors)), self.per_class), 3)

    def _autocast(self, views: Tensor) -> torch.autocast:
        enabled = self.precision == torch.bfloat16
        return torch.autocast(views.device.type, torch.bfloat16, enabled=enabled)


def _pool(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C) float32."""
    return features.float().mean((2, 3))


def nearest_neighbour_accuracy(vectors: Tensor, per_class: int) -> float:
    """(M * per_class, C) vectors, class by class -> accuracy in 0..1.

    The first half of each class is known; each of the second half takes the class of the known
    one with the highest cosine.
    """
    known, asked = F.normalize(vectors, dim=1).view(-1, per_class, vectors.shape[1]).chunk(2, dim=1)
    nearest = (asked.flatten(0, 1) @ known.flatten(0, 1).T).argmax(dim=1)
    half = per_class // 2
    truth = torch.arange(len(nearest), device=nearest.device) // half
    return float((nearest // half == truth).float().mean())


def report(history: Sequence[Verdict]) -> str:
    """A Markdown table, one line a judgement: what each further stretch of time buys."""
    last = history[-1]
    shown = [name for name in last.accuracy if name in MAPS]
    head = ["step", "minutes", *(f"1-NN {name}" for name in shown), *last.similarity]
    rows = [
        [
            str(verdict.step),
            f"{verdict.minutes:.0f}",
            *(f"{verdict.accuracy[name]:.1%}" for name in shown),
            *(f"{value:.2f}" for value in verdict.similarity.values()),
        ]
        for verdict in history
    ]
    table = [head, ["---:"] * len(head), *rows]
    teacher = ", ".join(
        f"{name} {value:.1%}" for name, value in last.accuracy.items() if name not in MAPS
    )
    return "\n".join([*(f"| {' | '.join(row)} |" for row in table), "", f"1-NN of the {teacher}"])
