"""Want of memory is told as one error, and frees what the failed try held."""

import gc
import weakref
from typing import Any

import pytest
import torch

from service.errors import OutOfMemoryError
from service.inference.memory import telling_of_memory

WANTS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    OutOfMemoryError(),
    RuntimeError("Exception from src/inference: std::bad_alloc"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate"),
]


def raising(error: Exception) -> Any:
    def compute(item: int) -> int:
        raise error

    return compute


def test_what_finds_memory_gives_its_result() -> None:
    assert telling_of_memory(lambda item: item * 2)(3) == 6


@pytest.mark.parametrize("error", WANTS, ids=lambda error: type(error).__name__)
def test_whoever_found_no_memory_the_client_is_told_the_fix(error: Exception) -> None:
    with pytest.raises(OutOfMemoryError, match="send smaller or fewer images") as caught:
        telling_of_memory(raising(error))(1)
    assert (caught.value.status, caught.value.code) == (503, "out_of_memory")


@pytest.mark.parametrize("error", [ValueError("seven"), RuntimeError("sizes do not match")])
def test_another_fault_stays_itself(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        telling_of_memory(raising(error))(1)
    assert caught.value is error


def test_what_the_failed_try_held_is_free_while_the_error_is_told() -> None:
    class Held:
        """Stands for a tensor in a frame of the traceback."""

    references: list[weakref.ref[Held]] = []

    def compute(item: int) -> int:
        held = Held()
        references.append(weakref.ref(held))
        raise torch.OutOfMemoryError("CUDA out of memory")

    gc.disable()  # only what is let go at once counts: a GPU is full long before the collector runs
    try:
        with pytest.raises(OutOfMemoryError) as caught:
            telling_of_memory(compute)(1)
        assert caught.value.__traceback__
        assert references[0]() is None
    finally:
        gc.enable()
