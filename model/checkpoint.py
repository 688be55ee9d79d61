"""Checkpoints: safetensors with their architecture, transform and provenance in the metadata.

They are read without torch, since OpenVINO serves a network without it.
"""

import dataclasses
import hashlib
import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pydantic.dataclasses
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from model.decision import Decision
from model.errors import CheckpointError
from model.network.architecture import SGOneConfig
from model.text import read_text
from model.transforms import TransformConfig

if TYPE_CHECKING:
    from model.network.sgone import SGOne

FORMAT = "sgone-checkpoint/1"


@pydantic.dataclasses.dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Card:
    """Where a checkpoint comes from. ``metrics`` are named with their protocol and data."""

    name: str
    classes: tuple[str, ...]
    data: str
    seed: int
    metrics: dict[str, float]
    created: str
    licence: str
    parent: str


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint; ``sha256`` is the file's, in hexadecimal.

    ``weights`` are as stored, by the name of torch's state dict. ``decision`` is the default's in
    files that are older than it.
    """

    path: Path
    architecture: SGOneConfig
    transform: TransformConfig
    card: Card
    sha256: str
    weights: Mapping[str, NDArray[np.generic]]
    decision: Decision = field(default_factory=Decision)

    @cached_property
    def network(self) -> "SGOne":
        """The network with these weights in float32; CheckpointError where they do not fit it."""
        import torch  # only those who want a network of torch's wait for torch

        from model.network.sgone import SGOne

        network = SGOne(self.architecture)
        tensors = {name: torch.from_numpy(array) for name, array in self.weights.items()}
        try:
            network.load_state_dict(tensors, strict=True)
        except RuntimeError as error:
            raise _does_not_fit(self.path, error) from error
        return network


def save_checkpoint(
    path: Path,
    network: "SGOne",
    transform: TransformConfig,
    card: Card,
    precision: Literal["float16", "float32"] = "float16",
    decision: Decision = Decision(),  # noqa: B008 - frozen
) -> str:
    """Write the file in one step (a kill leaves the old one) and return its sha256.

    Floating-point tensors are stored in ``precision``; loading gives float32. Batch statistics stay
    float32: a variance may be beyond float16, and they are a hundredth of a file. CheckpointError
    where a tensor is not finite there.
    """
    with np.errstate(over="ignore"):  # what overflows is refused below
        weights = {
            name: _stored(name, tensor.cpu().numpy(), precision)
            for name, tensor in network.state_dict().items()
        }
    if name := _not_finite(weights):
        raise CheckpointError(
            f"{path} is not written: {name} is not finite in {precision}; "
            "train with a lower learning_rate"
        )
    metadata = {
        "format": FORMAT,
        "architecture": json.dumps(dataclasses.asdict(network.config)),
        "transform": json.dumps(dataclasses.asdict(transform)),
        "card": json.dumps(dataclasses.asdict(card)),
        "decision": json.dumps(dataclasses.asdict(decision)),
        "content": _digest(weights),
    }
    content = save(weights, metadata)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _stored(name: str, array: NDArray[np.generic], precision: str) -> NDArray[np.generic]:
    """The tensor as the file holds it, in rows and columns."""
    exact = name.endswith(("running_mean", "running_var"))
    floating = np.issubdtype(array.dtype, np.floating)
    dtype = precision if floating and not exact else None
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint; CheckpointError says in one sentence what is wrong with it.

    The tensors must be finite and match the digest in the metadata, and the file the sha256 of
    ``manifest.toml`` in its folder where that lists it. Pickle is never read.
    """
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {path} does not exist; name one with --checkpoint or SGONE_CHECKPOINT"
        )
    metadata, weights = _read(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file but no {FORMAT}; make one with sgone train or convert"
        )
    if metadata.get("content") != _digest(weights):
        raise CheckpointError(f"{path} was changed after it was written; fetch it again")
    if name := _not_finite(weights):
        raise CheckpointError(
            f"{path} holds values that are not finite, the first in {name}: its training diverged; "
            "take an earlier checkpoint, or train again with a lower learning_rate"
        )
    sha256 = _file_sha256(path)
    _check_manifest(path, sha256)
    try:
        architecture = TypeAdapter(SGOneConfig).validate_json(metadata["architecture"])
        transform = TypeAdapter(TransformConfig).validate_json(metadata["transform"])
        card = TypeAdapter(Card).validate_json(metadata["card"])
        decision = TypeAdapter(Decision).validate_json(metadata.get("decision", "{}"))
    except (KeyError, ValueError) as error:
        raise _does_not_fit(path, error) from error
    return Checkpoint(path, architecture, transform, card, sha256, weights, decision)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, on disk before its name points to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _read(path: Path) -> tuple[dict[str, str], dict[str, NDArray[np.generic]]]:
    try:
        with safe_open(path, framework="np") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, weights
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}); it may be truncated or of "
            "another format: fetch it again, or bring weights over with sgone convert"
        ) from error


def _does_not_fit(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:300]
    return CheckpointError(
        f"{path} does not fit this version of the network ({reason}); convert or train it again"
    )


def _not_finite(weights: Mapping[str, NDArray[np.generic]]) -> str | None:
    """The name of the first with NaN or an infinite value."""
    for name, array in weights.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            return name
    return None


def _digest(weights: Mapping[str, NDArray[np.generic]]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of names; types as torch's."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name]
        digest.update(f"{name} torch.{array.dtype} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_manifest(path: Path, sha256: str) -> None:
    manifest = path.parent / "manifest.toml"
    if not manifest.is_file():
        return
    try:
        entries = tomllib.loads(read_text(manifest)).get("checkpoint", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{manifest} is not valid TOML ({error})") from error
    for entry in entries:
        if entry.get("file") == path.name and entry.get("sha256") != sha256:
            raise CheckpointError(
                f"{path} has sha256 {sha256}, but {manifest} lists {entry.get('sha256')}; "
                "fetch the file again"
            )
