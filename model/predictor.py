"""Segmenter: weights with their pre- and post-processing; it keeps no request."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.episode import Photograph, Support, check_photograph
from model.errors import DeviceError
from model.guidance import Fusion
from model.heads import Encoding, stack_shots
from model.network import SGOne
from model.transforms import (
    TransformConfig,
    network_size,
    normalise,
    resize_image,
    resize_mask,
    restore,
)


class PreparedSupport(NamedTuple):
    """(3, h, w) uint8 image and (h, w) float32 mask at the network's size, on the CPU."""

    image: Tensor
    mask: Tensor


class PreparedQuery(NamedTuple):
    """(3, h, w) uint8 image at the network's size, and the photograph's own (height, width)."""

    image: Tensor
    size: tuple[int, int]


class Segmenter:
    """A network on its device, with the transform that its weights were trained with.

    Stateless after construction: ``prepare_*`` and ``restore`` are safe in any thread; forward
    passes (``encode_support``, ``segment``) belong to one thread at a time for speed, not safety.
    """

    def __init__(
        self,
        network: SGOne,
        transform: TransformConfig,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.transform = transform
        self.device = device or torch.device("cpu")
        self.dtype = dtype
        network = network.eval().requires_grad_(False).to(device=self.device, dtype=dtype)
        self.network = network.to(memory_format=torch.channels_last)

    def prepare_support(self, support: Support) -> PreparedSupport:
        """Resize one shot to the network's size."""
        height, width = support.mask.shape
        size = self._network_size(height, width)
        return PreparedSupport(resize_image(support.image, size), resize_mask(support.mask, size))

    def prepare_query(self, image: Photograph) -> PreparedQuery:
        """Resize a query to the network's size; ImageShapeError if it is no photograph."""
        check_photograph(image)
        height, width = image.shape[:2]
        size = self._network_size(height, width)
        return PreparedQuery(resize_image(image, size), (height, width))

    @torch.inference_mode()
    def encode_support(self, supports: Sequence[PreparedSupport]) -> Encoding:
        """K shots, each of its own size -> tensors (1, K, ...) on the device."""
        return stack_shots(
            self.network.encode_support(
                self.network_input(support.image)[None], support.mask.to(self.device)[None, None]
            )
            for support in supports
        )

    def segment(
        self, query: PreparedQuery, encoding: Encoding, fusion: Fusion = "average"
    ) -> Tensor:
        """A query and K encoded shots -> (2, h, w) float32 logits on the CPU."""
        return self.segment_classes(query, [encoding], fusion)[0]

    @torch.inference_mode()
    def segment_classes(
        self, query: PreparedQuery, encodings: Iterable[Encoding], fusion: Fusion = "average"
    ) -> Tensor:
        """A query and the encoded shots of N classes -> (N, 2, h, w) float32 logits on the CPU.

        The query is read once for all of them.
        """
        pixels = self.network_input(query.image)
        height, width = pixels.shape[-2:]
        features = self.network.backbone(pixels)
        return torch.cat(
            [
                self.network.segment_features(features, (height, width), encoding, fusion).cpu()
                for encoding in encodings
            ]
        )

    def restore(self, logits: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
        """(2, h, w) logits -> (H, W) probability of the object at the query's own size."""
        return restore(logits, size)

    def predict(
        self, supports: Sequence[Support], image: Photograph, fusion: Fusion = "average"
    ) -> NDArray[np.float32]:
        """K shots and a query (H, W, 3) -> (H, W) probability of the object, in one call."""
        encoding = self.encode_support([self.prepare_support(support) for support in supports])
        query = self.prepare_query(image)
        return self.restore(self.segment(query, encoding, fusion), query.size)

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        return network_size(height, width, self.transform.side, self.transform.stride)

    def network_input(self, image: Tensor) -> Tensor:
        """(3, h, w) uint8 -> (1, 3, h, w) as the network reads it, on its device."""
        pixels = normalise(image.to(self.device)[None], self.transform)
        return pixels.to(dtype=self.dtype, memory_format=torch.channels_last)


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
