"""The network on its device: loading, preparing, warm-up and batches."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.checkpoint import Checkpoint, load_checkpoint
from model.episode import Photograph, Support
from model.guidance import Fusion
from model.heads import Encoding, stack_shots
from model.predictor import (
    PreparedQuery,
    PreparedSupport,
    Segmenter,
    choose_device,
    choose_precision,
)
from service.settings import Settings

# Height and width, in quarters of the network's side: landscape and portrait.
WARM_UP_SHAPES = ((3, 4), (4, 3))


Shot = PreparedSupport | Encoding
"""One support at the network's size, or what the network keeps of it: tensors (1, 1, ...)."""


class Task(NamedTuple):
    """What the network needs of one request; already at the network's size.

    ``shots`` has how many of the supports, in order, show each of the classes to look for.
    """

    supports: tuple[Shot, ...]
    query: PreparedQuery
    fusion: Fusion
    shots: tuple[int, ...]


@dataclass(frozen=True)
class Segmentation:
    """(N, 2, h, w) float32 logits of N classes on the CPU, and the times taken.

    ``size`` is the query's own (height, width). ``encodings`` has each support's own, on the
    device, for those who use it again.
    """

    logits: Tensor
    size: tuple[int, int]
    encodings: tuple[Encoding, ...]
    encode_ms: float
    segment_ms: float


class Engine:
    """A checkpoint on its device.

    ``prepare`` and ``restore`` are for any thread, ``run_batch`` for one at a time.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.checkpoint = checkpoint
        self.segmenter = Segmenter(checkpoint.network, checkpoint.transform, device, dtype)

    @classmethod
    def load(cls, settings: Settings) -> "Engine":
        """Raises CheckpointError, ConfigError or DeviceError, each with one sentence."""
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        device = choose_device(settings.device)
        dtype = choose_precision(settings.precision, device)
        checkpoint = load_checkpoint(settings.checkpoint)
        if settings.input_side is not None:
            transform = dataclasses.replace(checkpoint.transform, side=settings.input_side)
            checkpoint = dataclasses.replace(checkpoint, transform=transform)
        return cls(checkpoint, device, dtype)

    @property
    def device(self) -> str:
        """The device's name: cpu, cuda, cuda:1."""
        return str(self.segmenter.device)

    @property
    def precision(self) -> str:
        """The precision's name: bfloat16 or float32."""
        return str(self.segmenter.dtype).removeprefix("torch.")

    def device_memory_bytes(self) -> int:
        """Bytes that torch holds on the GPU; 0 on CPU, where the process's own memory tells."""
        if self.segmenter.device.type != "cuda":
            return 0
        return torch.cuda.memory_allocated(self.segmenter.device)

    def prepare(
        self,
        supports: Iterable[Support | Shot],
        query: Photograph,
        fusion: Fusion,
        shots: Sequence[int] | None = None,
    ) -> Task:
        """Resize to the network's size what is not; an iterator is held one shot at a time.

        Without ``shots`` all supports show one class.
        """
        prepared = tuple(
            self.segmenter.prepare_support(support) if isinstance(support, Support) else support
            for support in supports
        )
        counts = (len(prepared),) if shots is None else tuple(shots)
        return Task(prepared, self.segmenter.prepare_query(query), fusion, counts)

    def warm_up_tasks(self) -> Iterator[Task]:
        """Real work, so that no request pays for the first kernels and allocations."""
        side = self.segmenter.transform.side
        for height, width in WARM_UP_SHAPES:
            photograph = np.zeros((side * height // 4, side * width // 4, 3), np.uint8)
            support = Support(photograph, np.ones(photograph.shape[:2], np.bool_))
            yield self.prepare([support], photograph, "average")

    def run_batch(self, tasks: Sequence[Task]) -> list[Segmentation | Exception]:
        """One result or one exception for each task: a bad one leaves its neighbours alone."""
        return [self._attempt(task) for task in tasks]

    def restore(self, segmentation: Segmentation, number: int = 0) -> NDArray[np.float32]:
        """(H, W) probability of the object, of class ``number``, at the query's own size."""
        return self.segmenter.restore(segmentation.logits[number], segmentation.size)

    def _attempt(self, task: Task) -> Segmentation | Exception:
        try:
            return self._run(task)
        except Exception as error:
            return error

    def _run(self, task: Task) -> Segmentation:
        started = self._now()
        encodings = tuple(self._encode(shot) for shot in task.supports)
        encoded = self._now()
        rest = iter(encodings)
        classes = [stack_shots(islice(rest, count)) for count in task.shots]
        logits = self.segmenter.segment_classes(task.query, classes, task.fusion)
        return Segmentation(
            logits,
            task.query.size,
            encodings,
            encode_ms=(encoded - started) * 1e3,
            segment_ms=(self._now() - encoded) * 1e3,
        )

    def _encode(self, shot: Shot) -> Encoding:
        if isinstance(shot, PreparedSupport):
            return self.segmenter.encode_support([shot])
        return tuple(tensor.to(self.segmenter.device) for tensor in shot)

    def _now(self) -> float:
        """Seconds; on CUDA once its work is done, so that a stage's time is its own."""
        if self.segmenter.device.type == "cuda":
            torch.cuda.synchronize(self.segmenter.device)
        return time.perf_counter()
