"""Which executor runs a checkpoint: OpenVINO on a CPU, torch on a GPU or where asked for."""

import dataclasses
import importlib.util
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import platformdirs

from model.checkpoint import Checkpoint
from model.errors import DeviceError
from model.executors.protocol import Executor

ExecutorName = Literal["auto", "openvino", "torch"]
FEW, MANY = 4, 64
"""How many graphs of fixed shapes: few of OpenVINO's, which take 90 MB each (one camera needs two),
and many of CUDA's, which share their memory; each number of shots has shapes of its own.
"""
GPU_TRACES = tuple(map(Path, ("/dev/nvidiactl", "/dev/dxg", "/proc/driver/nvidia/version")))
"""Files of NVIDIA's driver. torch is asked for a GPU only where one of them exists."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placement:
    """How a network is to run. ``cache`` is the folder for what an executor prepares.

    ``executor`` auto takes torch where there is a CUDA GPU, else OpenVINO where it can run the
    network. ``precision`` auto is bfloat16 where the hardware multiplies it. While it serves, an
    executor makes at most ``fixed_shapes`` graphs for the sizes that recur; None is as many as suit
    it (FEW, MANY).
    """

    executor: ExecutorName = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    cache: Path = field(default_factory=partial(platformdirs.user_cache_path, "sg-one-service"))
    fixed_shapes: int | None = 0


def at_side(checkpoint: Checkpoint, side: int | None) -> Checkpoint:
    """The checkpoint, whose network sees photographs at another side; at its own without one."""
    if side is None:
        return checkpoint
    transform = dataclasses.replace(checkpoint.transform, side=side)
    return dataclasses.replace(checkpoint, transform=transform)


def open_executor(checkpoint: Checkpoint, placement: Placement) -> Executor:
    """CheckpointError, or DeviceError where the placement cannot be had here, in one sentence."""
    if placement.executor not in get_args(ExecutorName):
        raise DeviceError(
            f"executor {placement.executor!r} is unknown; choose auto, openvino or torch"
        )
    if placement.executor == "torch":
        return _open_torch(checkpoint, placement)
    obstacle = _openvino_obstacle(checkpoint, placement)
    if not obstacle:
        from model.executors.openvino import OpenVinoExecutor

        return OpenVinoExecutor(
            checkpoint,
            placement.cache,
            placement.precision,
            placement.threads,
            FEW if placement.fixed_shapes is None else placement.fixed_shapes,
        )
    if placement.executor == "openvino":
        raise DeviceError(f"executor is openvino, but {obstacle}")
    return _open_torch(checkpoint, placement)


def _openvino_obstacle(checkpoint: Checkpoint, placement: Placement) -> str:
    """Why OpenVINO is not to run it, as the end of a sentence; empty where it is."""
    network = checkpoint.architecture
    if importlib.util.find_spec("openvino") is None:
        return "it is not installed; pip install openvino, or choose torch"
    if network.separate_networks or network.support_mask in ("image", "channels"):
        return "this network reads supports apart from queries; choose torch"
    on_cpu = placement.device == "cpu" or (placement.device == "auto" and not _gpu_is_here())
    if not on_cpu:
        return f"device is {placement.device}, which torch alone runs; choose cpu, or torch"
    if placement.precision == "bfloat16":
        from model.executors.openvino import multiplies_bfloat16

        if not multiplies_bfloat16():
            return "this processor does not multiply bfloat16; choose float32, or torch"
    return ""


def _gpu_is_here() -> bool:
    if not any(trace.exists() for trace in GPU_TRACES):
        return False
    if not _torch_is_here():
        _log.warning("the CPU serves: for the GPU pip install 'sg-one-service[torch]'")
        return False
    import torch

    return torch.cuda.is_available()


def _torch_is_here() -> bool:
    return importlib.util.find_spec("torch") is not None


def _open_torch(checkpoint: Checkpoint, placement: Placement) -> Executor:
    if not _torch_is_here():
        raise DeviceError(
            f"executor {placement.executor} with device {placement.device} takes torch, which is "
            "not installed; pip install 'sg-one-service[torch]', or choose openvino and cpu"
        )
    import torch

    from model.executors.torch import TorchExecutor, choose_device, choose_precision

    if placement.threads is not None:
        torch.set_num_threads(placement.threads)
    device = choose_device(placement.device)
    precision = choose_precision(placement.precision, device)
    graphs = MANY if placement.fixed_shapes is None else placement.fixed_shapes
    return TorchExecutor(checkpoint.network, checkpoint.transform, device, precision, graphs)
