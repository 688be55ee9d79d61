"""A batch that fails is run in halves, and nobody else pays for the item at fault."""

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from service.errors import OutOfMemoryError
from service.inference.containment import InHalves


class Device:
    """Doubles numbers, as long as their sum fits into its memory; remembers what it ran."""

    def __init__(self, memory: int, error: Exception | None = None) -> None:
        self.memory = memory
        self.error = error or torch.OutOfMemoryError("CUDA out of memory")
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if sum(items) <= self.memory:
            return [item * 2 for item in items]
        raise self.error


def test_a_batch_that_fits_runs_once() -> None:
    device = Device(10)
    assert InHalves(device)([1, 2, 3]) == [2, 4, 6]
    assert device.batches == [[1, 2, 3]]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        OutOfMemoryError("none left"),
        RuntimeError("Exception from src/inference: std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_batch_that_does_not_fit_runs_in_halves(error: Exception) -> None:
    device = Device(4, error)
    assert InHalves(device)([1, 2, 1, 3, 1]) == [2, 4, 2, 6, 2]
    assert device.batches == [[1, 2, 1, 3, 1], [1, 2, 1], [3, 1]]


def test_an_item_that_never_fits_fails_alone_and_says_the_fix() -> None:
    device = Device(4)
    *before, large, after = InHalves(device)([1, 2, 9, 1])
    assert (before, after) == ([2, 4], 2)
    assert isinstance(large, OutOfMemoryError)
    assert "send smaller or fewer images" in str(large)
    assert (large.status, large.code) == (503, "out_of_memory")
    assert device.batches == [[1, 2, 9, 1], [1, 2], [9, 1], [9], [1]]


def test_an_item_alone_is_not_tried_again() -> None:
    device = Device(4)
    (error,) = InHalves(device)([5])
    assert isinstance(error, OutOfMemoryError)
    assert device.batches == [[5]]


def test_an_item_with_another_fault_fails_alone_with_its_own_error() -> None:
    def run(items: Sequence[int]) -> list[int]:
        if 7 in items:
            raise ValueError("seven")
        return [item * 2 for item in items]

    *before, bad, after = InHalves(run)([1, 2, 3, 7, 5])
    assert (before, after) == ([2, 4, 6], 10)
    assert isinstance(bad, ValueError)


def test_what_the_failed_try_held_is_free_before_the_next() -> None:
    class Held:
        """Stands for a tensor in a frame of the traceback."""

    def run(items: Sequence[int]) -> list[int]:
        held = Held()
        assert not any(reference() for reference in references)
        references.append(weakref.ref(held))
        if len(items) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * 2 for item in items]

    references: list[Any] = []
    gc.disable()  # only what is let go at once counts: a GPU is full long before the collector runs
    try:
        assert InHalves(run)([1, 2, 3, 4]) == [2, 4, 6, 8]
    finally:
        gc.enable()
    assert len(references) == 7
