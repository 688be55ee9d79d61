"""The state of a training run on disk: weights, optimiser, step and history; no pickle."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from model.checkpoint import write_atomically
from model.errors import CheckpointError, ConfigError
from model.network.weights import check_finite

STATE = "state.safetensors"


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


def check_run_folder(folder: Path, result: str, resume: bool) -> None:
    """Raise ConfigError where a run would write over the state or the ``result`` of another."""
    kept = [name for name in (STATE, result) if (folder / name).exists()]
    if kept and not resume:
        raise ConfigError(
            f"{folder} holds a run ({', '.join(kept)}); go on with --resume, name another "
            "--run-dir, or remove it"
        )
    if kept == [result]:
        raise ConfigError(
            f"{folder} holds {result} but no {STATE} to resume from; name another --run-dir, or "
            "remove it"
        )


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
    """Restore what save_progress wrote.

    CheckpointError where it is broken, not finite, or belongs to another recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["recipe"] != recipe:
            raise CheckpointError(
                f"{path} belongs to another recipe; choose another --run-dir, "
                "or leave --resume away"
            )
        check_finite(tensors, path)
        return _restore(metadata["progress"], tensors, modules, optimiser)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path} cannot be resumed from ({reason}): it is broken, or of another version; "
            "begin again in another --run-dir"
        ) from error


def _restore(
    progress: str,
    tensors: dict[str, Tensor],
    modules: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
) -> Progress:
    for prefix, module in modules.items():
        module.load_state_dict(_strip(tensors, f"{prefix}."))
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _strip(tensors, "optimiser.").items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
    fields: dict[str, Any] = json.loads(progress)
    fields["validation"] = [tuple(pair) for pair in fields["validation"]]
    return Progress(**fields)


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
