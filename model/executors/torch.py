"""The network as torch runs it, on CUDA or a CPU: the reference of every other executor."""

from collections.abc import Hashable

import numpy as np
import torch
from torch import Tensor

from model.episode import Fusion
from model.errors import DeviceError
from model.executors.cuda_graphs import CudaGraphs, Step, Tensors
from model.executors.protocol import EncodedShots, PreparedSupport, Sighting
from model.network.backbone import Features, normalise
from model.network.sgone import SGOne
from model.transforms import Pixels, TransformConfig


class TorchExecutor:
    """An Executor of any network.

    On a GPU it records at most ``fixed_shapes`` CUDA graphs, for the shapes that recur.
    """

    name = "torch"

    def __init__(
        self,
        network: SGOne,
        transform: TransformConfig,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        fixed_shapes: int = 0,
    ) -> None:
        self.transform, self.dtype = transform, dtype
        self.torch_device = device or torch.device("cpu")
        self.device, self.precision = str(self.torch_device), str(dtype).removeprefix("torch.")
        network = network.eval().requires_grad_(False).to(device=self.torch_device, dtype=dtype)
        self.network = network.to(memory_format=torch.channels_last)
        self.graphs = CudaGraphs(fixed_shapes) if self._on_gpu and fixed_shapes else None

    @torch.inference_mode()
    def read(self, image: Pixels, once: bool = False) -> Features:
        """At once: ``once`` changes nothing."""
        return self._run(self._read, (self._on_device(image[None]),))

    @torch.inference_mode()
    def encode(self, support: PreparedSupport, features: Features) -> EncodedShots:
        """A network that reads supports apart from queries reads this one here."""
        mask = self._on_device(support.mask)[None]
        if self.network.backbone.reads_apart:
            pixels = self.network_input(support.image[None])
            features = self.network.backbone.read_supports(pixels, mask)
        return _download(self._run(self._encode, (mask, *features)))

    @torch.inference_mode()
    def find(
        self, features: Features, size: tuple[int, int], shots: EncodedShots, fusion: Fusion
    ) -> Sighting:
        """As ``SGOne.find_features``."""
        encoding = self._upload(shots)
        logits, presence = self._run(
            self._compare, (*features, *encoding), len(features), size, fusion
        )
        return Sighting(logits[0].cpu().numpy(), float(presence[0].float().sigmoid()))

    def memory_bytes(self) -> int:
        """Bytes that torch holds on the GPU."""
        if not self._on_gpu:
            return 0
        return torch.cuda.memory_allocated(self.torch_device)

    def close(self) -> None:
        """Recordings refer to this executor, and would wait for the collector."""
        self.graphs = None
        self.network.to(device="meta")

    def network_input(self, images: np.ndarray | Tensor) -> Tensor:
        """(B, 3, h, w) uint8 -> the same as the network reads it, on its device."""
        pixels = normalise(self._on_device(images), self.transform)
        return pixels.to(dtype=self.dtype, memory_format=torch.channels_last)

    def _run(self, step: Step, inputs: Tensors, *fixed: Hashable) -> Tensors:
        return self.graphs.run(step, inputs, *fixed) if self.graphs else step(inputs, *fixed)

    def _read(self, inputs: Tensors) -> Tensors:
        """(1, 3, h, w) uint8 image -> one map a tap."""
        features: Features = self.network.backbone(self.network_input(*inputs))
        return features

    def _encode(self, inputs: Tensors) -> Tensors:
        """(1, h, w) mask and the image's features -> what is kept of them."""
        mask, *features = inputs
        encoding: Tensors = self.network.encode_features(tuple(features), mask[None])
        return encoding

    def _compare(
        self, inputs: Tensors, taps: int, size: tuple[int, int], fusion: Fusion
    ) -> Tensors:
        """A query's features, as many as there are taps, and its shots -> (1, 2, h, w) and (1,)."""
        features, encoding = inputs[:taps], tuple(part.to(self.dtype) for part in inputs[taps:])
        return self.network.find_features(features, size, encoding, fusion)

    def _upload(self, arrays: EncodedShots) -> Tensors:
        """All in one transfer."""
        flat = self._on_device(np.concatenate([array.ravel() for array in arrays]))
        parts = flat.split_with_sizes([array.size for array in arrays])
        return tuple(part.view(array.shape) for part, array in zip(parts, arrays, strict=True))

    @property
    def _on_gpu(self) -> bool:
        return self.torch_device.type == "cuda"

    def _on_device(self, array: np.ndarray | Tensor) -> Tensor:
        tensor = torch.as_tensor(array)
        if self._on_gpu and not tensor.is_cuda:
            return tensor.pin_memory().to(self.torch_device, non_blocking=True)
        return tensor


def _download(tensors: Tensors) -> EncodedShots:
    """float32, all in one transfer."""
    flat = torch.cat([tensor.flatten() for tensor in tensors]).float().cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    parts = np.split(flat, ends[:-1])
    return tuple(
        part.reshape(tuple(tensor.shape)) for part, tensor in zip(parts, tensors, strict=True)
    )


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
