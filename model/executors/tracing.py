"""The steps of a network, traced by torch and converted to OpenVINO graphs."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from model.checkpoint import Checkpoint
from model.executors.silent_openvino import openvino
from model.network.backbone import normalise

EXAMPLE_SIZE = (97, 129)
"""Height and width that the steps are traced at; the graphs take any."""


class Traceable(nn.Module):
    """A function of a network's, in the form that torch traces with its weights."""

    def __init__(self, network: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, *tensors: Tensor) -> Any:
        """The function itself."""
        return self.run(*tensors)


def trace_steps(checkpoint: Checkpoint) -> Iterator[openvino.Model]:
    """Graphs of what ``Executor`` does, for a network that reads supports as it does queries.

    read: (1, 3, h, w) uint8 -> features. encode: (1, 1, h, w) mask in [0, 1] and features -> what
    is kept of a support. compare: features, and what is kept of K supports -> (1, 1, 2, h', w')
    logits and (1, 1) logits of presence, the supports averaged.
    """
    network = checkpoint.network.eval().requires_grad_(False)
    taps = len(network.backbone.channels)

    def read(image: Tensor) -> Any:
        return network.backbone(normalise(image, checkpoint.transform))

    def encode(mask: Tensor, *features: Tensor) -> Any:
        return network.encode_features(features, mask)

    def compare(*tensors: Tensor) -> Any:
        return network.head.find(tensors[:taps], network.head.fuse_shots(tensors[taps:]))

    image = torch.zeros(1, 3, *EXAMPLE_SIZE, dtype=torch.uint8)
    mask = torch.ones(1, 1, *EXAMPLE_SIZE)
    features = read(image)
    encoding = encode(mask, *features)
    yield _convert(Traceable(network, read), (image,))
    yield _convert(Traceable(network, encode), (mask, *features))
    yield _convert(Traceable(network, compare), (*features, *encoding))


def _convert(step: Traceable, example: tuple[Tensor, ...]) -> openvino.Model:
    """By the front end itself, which takes a fraction of the time of ``openvino.convert_model``."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and OpenVINO's way in
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            step, example, check_trace=False
        )
        front_end = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # OpenVINO keeps no reference of its own
        return front_end.convert(front_end.load(decoder))
