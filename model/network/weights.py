"""Weights of files that are no checkpoints of ours: whole and finite, or refused."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model.errors import CheckpointError


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a .pth that holds nothing else.

    CheckpointError where it is broken or not finite.
    """
    pickled = path.suffix in (".pth", ".pt")
    try:
        weights = torch.load(path, weights_only=True) if pickled else load_file(path)
    except (OSError, SafetensorError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        kind = "file of tensors alone" if pickled else "safetensors file"
        raise CheckpointError(
            f"{path} is not a readable {kind} ({error}); fetch it again"
        ) from error
    check_finite(weights, path)
    return weights


def check_finite(weights: Mapping[str, Tensor], source: Path) -> None:
    """Raise CheckpointError for NaN or an infinite value in one of them."""
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise CheckpointError(
                f"{source} holds values that are not finite, the first in {name}: what wrote it "
                "diverged; take an earlier file"
            )
