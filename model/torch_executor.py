"""The network as torch runs it, on CUDA or a CPU: the reference of every other executor."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from model.backbone import Features, normalise
from model.episode import Fusion
from model.errors import DeviceError
from model.execution import EncodedShots, PreparedSupport
from model.network import SGOne
from model.transforms import Logits, Pixels, TransformConfig

GPU_BATCH_PIXELS = 4_000_000
"""Pixels that go through the backbone together on a GPU: 38 images at 321². On a CPU each goes
alone: batches of 2 to 8 took as long as their images one by one."""


class TorchExecutor:
    """An Executor; ``network_input`` and ``network`` serve training and evaluation as well."""

    name = "torch"

    def __init__(
        self,
        network: SGOne,
        transform: TransformConfig,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.transform, self.dtype = transform, dtype
        self.torch_device = device or torch.device("cpu")
        self.device, self.precision = str(self.torch_device), str(dtype).removeprefix("torch.")
        network = network.eval().requires_grad_(False).to(device=self.torch_device, dtype=dtype)
        self.network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def read(self, images: Sequence[Pixels], once: bool = False) -> list[Features]:
        """Images of one size share batches on a GPU."""
        features: dict[int, Features] = {}
        for rows in self._batches(images):
            pixels = self.network_input(np.stack([images[row] for row in rows]))
            maps = self.network.backbone(pixels)
            for place, row in enumerate(rows):
                features[row] = tuple(part[place : place + 1] for part in maps)
        return [features[row] for row in range(len(images))]

    @torch.inference_mode()
    def encode(self, support: PreparedSupport, features: Features) -> EncodedShots:
        """A network that reads supports apart from queries reads this one here."""
        masks = self._on_device(support.mask)[None]
        if self.network.backbone.reads_apart:
            pixels = self.network_input(support.image[None])
            features = self.network.backbone.read_supports(pixels, masks)
        encoding = self.network.encode_features(features, masks[None])
        return tuple(tensor.float().cpu().numpy() for tensor in encoding)

    @torch.inference_mode()
    def compare(
        self, features: Features, size: tuple[int, int], shots: EncodedShots, fusion: Fusion
    ) -> Logits:
        """As ``SGOne.segment`` behind the backbone."""
        encoding = tuple(self._on_device(array).to(self.dtype) for array in shots)
        logits: Logits = (
            self.network.segment_features(features, size, encoding, fusion)[0].cpu().numpy()
        )
        return logits

    def memory_bytes(self) -> int:
        """Bytes that torch holds on the GPU."""
        if self.torch_device.type != "cuda":
            return 0
        return torch.cuda.memory_allocated(self.torch_device)

    def network_input(self, images: np.ndarray | Tensor) -> Tensor:
        """(B, 3, h, w) uint8 -> the same as the network reads it, on its device."""
        pixels = normalise(self._on_device(images), self.transform)
        return pixels.to(dtype=self.dtype, memory_format=torch.channels_last)

    def _on_device(self, array: np.ndarray | Tensor) -> Tensor:
        tensor = torch.as_tensor(array)
        if self.torch_device.type == "cuda":
            return tensor.pin_memory().to(self.torch_device, non_blocking=True)
        return tensor

    def _batches(self, images: Sequence[Pixels]) -> Iterator[list[int]]:
        """The places of images that go through the backbone together: of one size, within the
        budget.
        """
        places: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, image in enumerate(images):
            places[image.shape].append(place)
        for (_, height, width), rows in places.items():
            on_gpu = self.torch_device.type == "cuda"
            count = max(1, GPU_BATCH_PIXELS // (height * width)) if on_gpu else 1
            for first in range(0, len(rows), count):
                yield rows[first : first + count]


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda[:N]`` -> the device; DeviceError where it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r} is unknown; choose auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported; choose auto, cpu or cuda")
    if device.type == "cuda":
        _check_cuda(device)
    return device


def _check_cuda(device: torch.device) -> None:
    if not torch.cuda.is_available():
        raise DeviceError(
            "device is cuda, but torch finds no CUDA GPU on this machine; install the NVIDIA "
            "driver and, in a container, its runtime, or choose cpu or auto"
        )
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise DeviceError(
            f"device is {device}, but this machine has {torch.cuda.device_count()} CUDA GPU(s)"
        )


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto``, ``bfloat16`` or ``float32`` -> the dtype of weights and activations.

    ``auto`` is bfloat16 where the hardware multiplies it natively: on CPUs with AMX or
    AVX-512 BF16, on GPUs from compute capability 8.0.
    """
    if name == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    try:
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]
    except KeyError:
        raise DeviceError(
            f"precision {name!r} is unknown; choose auto, bfloat16 or float32"
        ) from None


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
