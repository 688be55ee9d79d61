"""A GPU's kernels, launched together: at one image the launches take longer than the kernels."""

import logging
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from model.executors.favourites import Favourites

_log = logging.getLogger(__name__)

Tensors = tuple[Tensor, ...]
Step = Callable[..., Tensors]
"""``step(inputs, *fixed)``: kernels on tensors of a GPU, that never wait for the CPU."""


class CudaGraphs:
    """Records steps as CUDA graphs, for the ``limit`` shapes of inputs that are given most.

    All graphs share one pool of memory, so only one thread may run them.
    """

    def __init__(self, limit: int) -> None:
        self.recordings = Favourites[Hashable, Recording](limit)
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, step: Step, inputs: Tensors, *fixed: Hashable) -> Tensors:
        """What the step returns. A graph's outputs are copied: its next run writes over them."""
        key = (step, tuple(tensor.shape for tensor in inputs), fixed)
        recording = self.recordings.get(key)
        if recording is None and self.recordings.deserves(key):
            recording = self._record(key, step, inputs, fixed)
        return step(inputs, *fixed) if recording is None else recording.replay(inputs)

    def _record(
        self, key: Hashable, step: Step, inputs: Tensors, fixed: tuple[Hashable, ...]
    ) -> "Recording | None":
        try:
            recording = Recording(step, inputs, fixed, self._pool)
        except RuntimeError as error:  # of memory, say
            self.recordings.stop()
            _log.warning("no more CUDA graphs: %s", error)
            return None
        self.recordings.keep(key, recording)
        return recording


class Recording:
    """One step at one shape of inputs."""

    def __init__(
        self,
        step: Step,
        inputs: Tensors,
        fixed: tuple[Hashable, ...],
        pool: Any,
    ) -> None:
        self._inputs = tuple(tensor.clone() for tensor in inputs)
        self._graph = torch.cuda.CUDAGraph()
        # Threads that decode may use the GPU's driver meanwhile.
        with torch.cuda.graph(self._graph, pool, capture_error_mode="thread_local"):
            self._outputs = step(self._inputs, *fixed)

    def replay(self, inputs: Tensors) -> Tensors:
        """Copies of what the step makes of these inputs."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)
