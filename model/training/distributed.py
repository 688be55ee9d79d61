"""What one process of a run computes on, and its share of the episodes under ``torchrun``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from model.executors.torch import choose_precision


@dataclass(frozen=True)
class Rank:
    """One of ``world`` processes; ``precision`` is the type that it multiplies in."""

    device: torch.device
    precision: torch.dtype
    number: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.number == 0

    def autocast(self) -> torch.autocast:
        """The context of every forward pass."""
        enabled = self.precision == torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


@contextmanager
def joined(device: torch.device, precision: str) -> Iterator[Rank]:
    """Join the processes that ``torchrun`` started, if it did, until the context ends."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Rank(device, choose_precision(precision, device))
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        yield Rank(device, choose_precision(precision, device), dist.get_rank(), world)
    finally:
        dist.destroy_process_group()
