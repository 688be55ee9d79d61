"""Checkpoints: safetensors with their architecture, transform and provenance in the metadata."""

import dataclasses
import hashlib
import json
import os
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pydantic.dataclasses
import torch
from pydantic import ConfigDict, TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from model.errors import CheckpointError
from model.network import SGOne, SGOneConfig
from model.transforms import TransformConfig

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
    """A loaded checkpoint; ``sha256`` is the file's, in hexadecimal."""

    path: Path
    network: SGOne
    transform: TransformConfig
    card: Card
    sha256: str


def save_checkpoint(
    path: Path,
    network: SGOne,
    transform: TransformConfig,
    card: Card,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write the file in one step (a kill leaves the old one) and return its sha256.

    Floating-point tensors are stored as ``dtype``; loading gives float32.
    """
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "architecture": json.dumps(dataclasses.asdict(network.config)),
        "transform": json.dumps(dataclasses.asdict(transform)),
        "card": json.dumps(dataclasses.asdict(card)),
        "content": _digest(tensors),
    }
    content = save(tensors, metadata)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint; CheckpointError says in one sentence what is wrong with it.

    The tensors must match the digest in the metadata, and the file the sha256 of
    ``manifest.toml`` in its folder where that lists it. Pickle is never read.
    """
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {path} does not exist; name one with --checkpoint or SGONE_CHECKPOINT"
        )
    metadata, tensors = _read(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file but no {FORMAT}; make one with sgone train or convert"
        )
    if metadata.get("content") != _digest(tensors):
        raise CheckpointError(f"{path} was changed after it was written; fetch it again")
    sha256 = _file_sha256(path)
    _check_manifest(path, sha256)
    network, transform, card = _build(path, metadata, tensors)
    return Checkpoint(path, network, transform, card, sha256)


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


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, tensors
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}); it may be truncated or of "
            "another format: fetch it again, or bring weights over with sgone convert"
        ) from error


def _build(
    path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]
) -> tuple[SGOne, TransformConfig, Card]:
    try:
        network = SGOne(TypeAdapter(SGOneConfig).validate_json(metadata["architecture"]))
        transform = TypeAdapter(TransformConfig).validate_json(metadata["transform"])
        card = TypeAdapter(Card).validate_json(metadata["card"])
        network.load_state_dict(tensors, strict=True)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path} does not fit this version of the network ({reason}); convert or train it again"
        ) from error
    return network, transform, card


def _digest(tensors: dict[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_manifest(path: Path, sha256: str) -> None:
    manifest = path.parent / "manifest.toml"
    if not manifest.is_file():
        return
    try:
        entries = tomllib.loads(manifest.read_text()).get("checkpoint", [])
    except tomllib.TOMLDecodeError as error:
        raise CheckpointError(f"{manifest} is not valid TOML ({error})") from error
    for entry in entries:
        if entry.get("file") == path.name and entry.get("sha256") != sha256:
            raise CheckpointError(
                f"{path} has sha256 {sha256}, but {manifest} lists {entry.get('sha256')}; "
                "fetch the file again"
            )
