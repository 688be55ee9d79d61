"""Brings weights of the authors' code (github.com/xiaomengyc/SG-One) over to a checkpoint."""

import datetime
import warnings
from pathlib import Path

import torch
from torch import Tensor

from model.checkpoint import Card, save_checkpoint
from model.errors import CheckpointError, ConfigError
from model.network.sgone import SGOne, SGOneConfig
from model.network.weights import check_finite
from model.transforms import TransformConfig

_LAYERS = {
    # The authors number layers within each block; torchvision, and we, count through.
    **{f"netB.features_1.{i}": f"backbone.layers.{i}" for i in (0, 2)},
    **{f"netB.features_2.{i}": f"backbone.layers.{i + 5}" for i in (0, 2)},
    **{f"netB.features_3.{i}": f"backbone.layers.{i + 10}" for i in (0, 2, 4)},
    **{f"netB.features_4.{i}": f"backbone.layers.{i + 17}" for i in (0, 2, 4)},
    **{f"netB.features_5.{i}": f"backbone.layers.{i + 24}" for i in (0, 2, 4)},
    "netB.cls.0": "head.guidance",
    "netB.side3_1.0": "head.reduce_stem",
    "netB.side4_1.0": "head.fuse_middle",
    "netB.side5_1.0": "head.fuse_deep",
    "classifier_6.0": "head.refine",
    "exit_layer": "head.classify",
}
NAMES = {
    f"{theirs}.{kind}": f"{ours}.{kind}"
    for theirs, ours in _LAYERS.items()
    for kind in ("weight", "bias")
}
"""The authors' parameter names -> ours."""


def main(source: Path, output: Path) -> None:
    """``sgone convert``: a ``step_N.pth.tar`` of the authors' code -> a checkpoint, in float32."""
    if output.exists():
        raise ConfigError(f"{output} is there already; remove it, or name another file")
    network = convert(read_pickle(source))
    card = Card(
        name=f"SG-One reference weights ({source.name})",
        classes=(),
        data="as trained by the authors' code",
        seed=0,
        metrics={},
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence="that of the source file",
        parent=source.name,
    )
    # The authors read BGR, normalise with RGB statistics, and keep VOC's size: 500 by 375 pixels.
    transform = TransformConfig(side=433, channel_order="bgr")
    sha256 = save_checkpoint(output, network, transform, card, "float32")
    print(f"{output}: {len(NAMES)} tensors, sha256 {sha256}")


def convert(state: dict[str, Tensor]) -> SGOne:
    """The authors' state dict -> the same function as SGOne, their padded exit layer included.

    CheckpointError where a tensor is missing, left over, or of another shape.
    """
    missing, extra = NAMES.keys() - state.keys(), state.keys() - NAMES.keys()
    if missing or extra:
        raise CheckpointError(
            "these are not the weights of SG-One's OneModel: "
            f"missing {_some(missing)}; not expected {_some(extra)}"
        )
    network = SGOne(SGOneConfig(exit_padding=1))
    try:
        network.load_state_dict({ours: state[theirs] for theirs, ours in NAMES.items()})
    except RuntimeError as error:
        raise CheckpointError(f"weights of another shape: {error}") from error
    return network


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The state dict in a ``torch.save`` file, read without running any code in it."""
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a foreign file torch's reader raises whatever it stumbles over
        raise CheckpointError(
            f"{path} is no torch file of plain tensors ({type(error).__name__}); "
            "expected a step_N.pth.tar of the authors' code"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds no state dict; expected a file of the authors' code")
    check_finite({k: value for k, value in state.items() if isinstance(value, Tensor)}, path)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return f"{shown or 'nothing'}{' ...' if len(names) > 3 else ''}"
