"""The state of a training run on disk: weights, optimiser, step and history; no pickle."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from model.checkpoint import write_atomically
from model.errors import CheckpointError


@dataclass
class Progress:
    """How far a run has come: ``losses`` of each step, ``validation`` as (step, mIoU) pairs."""

    step: int = 0
    best_step: int = 0
    best_miou: float = -1.0
    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)

    def evaluations_since_best(self) -> int:
        """How many validations in a row brought nothing better."""
        return sum(step > self.best_step for step, _ in self.validation)


def save_progress(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    recipe: str,
) -> None:
    """Write everything that the next step depends on, in one step."""
    tensors = {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": value for key, value in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"progress": json.dumps(asdict(progress)), "recipe": recipe}
    write_atomically(path, save(tensors, metadata))


def load_progress(
    path: Path, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer, recipe: str
) -> Progress:
    """Restore what save_progress wrote; CheckpointError where it belongs to another recipe."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata["recipe"] != recipe:
        raise CheckpointError(
            f"{path} belongs to another recipe; choose another --run-dir, or leave --resume away"
        )
    for prefix, module in modules.items():
        module.load_state_dict(_strip(tensors, f"{prefix}."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _strip(tensors, "optimiser.").items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
    fields: dict[str, Any] = json.loads(metadata["progress"])
    fields["validation"] = [tuple(pair) for pair in fields["validation"]]
    return Progress(**fields)


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
