"""Distillation of a VGG-16 backbone from ImageNet's MobileNetV2, on photographs without masks."""

import dataclasses
import json
import math
import time
from itertools import chain
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from model.checkpoint import write_atomically
from model.configuration import read_toml
from model.distillation.curriculum import Curriculum
from model.distillation.judge import Judge, Verdict, report
from model.distillation.regression import fit
from model.distillation.student import Imitation, Student, class_divergence
from model.distillation.teacher import Teacher
from model.distillation.views import (
    Photographs,
    Views,
    centre_views,
    hold_out,
    random_views,
    read_photographs,
)
from model.divergence import check_step, check_weights
from model.errors import CheckpointError
from model.executors.torch import choose_device, choose_precision
from model.progress import STATE, Progress, check_run_folder, load_progress, save_progress

RESULT = "vgg16.safetensors"
CALMER = "lower learning_rate, or raise warm_up,"
"""What helps a run that diverges, as a part of a sentence."""
CALIBRATION_BATCHES = 8
"""Batches from which the teacher's channels are standardised."""
JUDGED_TOGETHER = 50
"""Photographs that judge the student in one batch."""


def main(
    config: Path,
    data: Path | None = None,
    run_dir: Path | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
) -> None:
    """``sgone distill``: the options override the folder of the material, and the steps."""
    curriculum = read_toml(config, Curriculum)
    if data is not None:
        material = dataclasses.replace(curriculum.material, root=data)
        curriculum = dataclasses.replace(curriculum, material=material)
    if steps is not None:
        schedule = dataclasses.replace(curriculum.schedule, steps=steps)
        curriculum = dataclasses.replace(curriculum, schedule=schedule)
    folder = run_dir or Path("runs") / curriculum.name
    check_run_folder(folder, RESULT, resume)
    distillation = Distillation(curriculum, folder, choose_device(device))
    distillation.distill(resume)
    print(report(distillation.history))


class Distillation:
    """One distillation: its photographs, its two networks and its folder on disk."""

    def __init__(self, curriculum: Curriculum, folder: Path, device: torch.device) -> None:
        self.curriculum, self.folder, self.device = curriculum, folder, device
        self.precision = choose_precision(curriculum.precision, device)
        torch.manual_seed(curriculum.seed)
        # Views are of few sizes, each seen for thousands of steps.
        torch.backends.cudnn.benchmark = True
        photographs, held_out = _read_material(curriculum)
        self.photographs = photographs.to(device)
        material = curriculum.material
        self.teacher = Teacher(material.root / material.teacher)
        self.student = Student(material.root / material.given)
        self.imitation = Imitation(self.student)
        self.modules = {"student": self.student, "imitation": self.imitation}
        for network in (self.teacher, *self.modules.values()):
            network.to(device).to(memory_format=torch.channels_last)
        weights = chain(*(module.parameters() for module in self.modules.values()))
        # Not fused: that kernel reads a resumed run's contiguous moments as channels-last ones.
        self.optimiser = torch.optim.AdamW(
            [weight for weight in weights if weight.requires_grad],
            weight_decay=curriculum.schedule.weight_decay,
        )
        self.judge = self._build_judge(held_out)
        self.progress = Progress()
        self.history: list[Verdict] = []

    def distill(self, resume: bool) -> None:
        """Step until the schedule ends; every judgement leaves files to resume from."""
        schedule = self.curriculum.schedule
        if resume and self._state_file.exists():
            self._load()
        else:
            began = time.monotonic()
            self._begin()
            self._judge((time.monotonic() - began) / 60)
            self._save()
        before = self.history[-1].minutes
        began = time.monotonic()
        with tqdm(initial=self.progress.step, total=schedule.steps, mininterval=10) as bar:
            while self.progress.step < schedule.steps:
                loss = self._step()
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                bar.update()
                step = self.progress.step
                if step % schedule.judge_every == 0 or step == schedule.steps:
                    self._judge(before + (time.monotonic() - began) / 60)
                    self._save()

    def _begin(self) -> None:
        if start := self.curriculum.start:
            schedule, seed = self.curriculum.schedule, self.curriculum.seed
            first = -1 - CALIBRATION_BATCHES
            numbers = range(first, first - math.ceil(start.views / schedule.batch_size), -1)
            views = (self._views(number, schedule.sides[0]) for number in numbers)
            fit(self.student, self.imitation, self.teacher, views, start.cells, seed)

    def _build_judge(self, held_out: Photographs) -> Judge:
        """Its lessons depend on the teacher's calibration, which comes first."""
        schedule = self.curriculum.schedule
        side = schedule.sides[-1]
        with self._autocast():
            self.teacher.calibrate(
                self._views(-1 - index, side).teacher for index in range(CALIBRATION_BATCHES)
            )
        per_class = self.curriculum.material.held_out
        count = len(held_out.labels)
        views = (
            centre_views(held_out.select(rows), side, schedule.teacher_side).to(self.device)
            for rows in torch.arange(count).chunk(math.ceil(count / JUDGED_TOGETHER))
        )
        return Judge(self.teacher, views, per_class, self.precision)

    def _step(self) -> float:
        schedule, progress = self.curriculum.schedule, self.progress
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.rate(progress.step)
        self.student.train()
        loss = self._loss(self._views(progress.step, schedule.side(progress.step)))
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        weights = (weight for group in self.optimiser.param_groups for weight in group["params"])
        norm = nn.utils.clip_grad_norm_(weights, math.inf)
        progress.losses.append(check_step(progress.step + 1, loss, norm, CALMER))
        self.optimiser.step()
        progress.step += 1
        return progress.losses[-1]

    def _loss(self, views: Views) -> Tensor:
        with self._autocast():
            lesson = self.teacher(views.teacher)
            similarities, guess = self.imitation(self.student(views.student), lesson)
            logits = self.teacher.classify(guess)
        divergence = class_divergence(logits.float(), lesson.logits, self.curriculum.temperature)
        dense: Tensor = (1 - similarities).sum()
        return dense + self.curriculum.class_weight * divergence

    def _views(self, number: int, side: int) -> Views:
        """The batch of a number, drawn from it and the seed alone: a resumed run sees the same."""
        generator = torch.Generator().manual_seed((self.curriculum.seed << 32) + number)
        schedule, photographs = self.curriculum.schedule, self.photographs
        rows = torch.randint(len(photographs.labels), (schedule.batch_size,), generator=generator)
        views = random_views(photographs.select(rows), side, schedule.teacher_side, generator)
        return views.to(self.device)

    def _judge(self, minutes: float) -> None:
        """Write the weights of this step and the verdict on them."""
        self.student.eval()
        for module in self.modules.values():
            check_weights(self.progress.step, module, torch.float32, CALMER)
        write_atomically(self.folder / RESULT, save(self.student.folded()))
        verdict = self.judge.verdict(self.student, self.imitation, self.progress.step, minutes)
        self.history.append(verdict)
        tqdm.write(str(verdict))
        records = [dataclasses.asdict(verdict) for verdict in self.history]
        write_atomically(self.folder / "history.json", json.dumps(records, indent=1).encode())

    @property
    def _state_file(self) -> Path:
        return self.folder / STATE

    def _save(self) -> None:
        identity = self.curriculum.identity()
        save_progress(self._state_file, self.modules, self.optimiser, self.progress, identity)

    def _load(self) -> None:
        """The state, and the judgements up to it: a kill may have left one more."""
        identity = self.curriculum.identity()
        self.progress = load_progress(self._state_file, self.modules, self.optimiser, identity)
        path = self.folder / "history.json"
        try:
            verdicts = [Verdict(**record) for record in json.loads(path.read_bytes())]
            self.history = [verdict for verdict in verdicts if verdict.step <= self.progress.step]
            if not self.history:
                raise ValueError("no judgement up to its step")
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path} cannot be resumed from ({error}); begin again in another --run-dir"
            ) from error

    def _autocast(self) -> torch.autocast:
        enabled = self.precision == torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def _read_material(curriculum: Curriculum) -> tuple[Photographs, Photographs]:
    """-> the photographs to learn from, and those held out."""
    material = curriculum.material
    photographs = read_photographs(
        material.root / material.archive,
        material.root / material.folder,
        material.root / material.names,
    )
    return hold_out(photographs, material.held_out, curriculum.seed)
