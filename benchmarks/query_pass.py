"""One query against one support, as our executor runs it and as OpenVINO alone does."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.checkpoint import Card, Checkpoint, save_checkpoint
from model.executors.favourites import RECURS
from model.executors.openvino import TYPES, OpenVinoExecutor
from model.executors.protocol import PreparedSupport
from model.executors.silent_openvino import hints, openvino, properties
from model.network.backbone import normalise
from model.network.sgone import SGOne, SGOneConfig
from model.predictor import PreparedQuery
from model.transforms import TransformConfig
from noise import SEED, draw
from service.inference.engine import Engine

Pass = Callable[[], NDArray[np.float32]]
"""A query whose support is known -> (2, h, w) logits."""


class QueryPass(nn.Module):
    """The network behind normalisation, for conversion in one piece."""

    def __init__(self, network: SGOne) -> None:
        super().__init__()
        self.network = network

    def forward(self, query: Tensor, shots: tuple[Tensor, ...]) -> Tensor:
        """(1, 3, H, W) normalised, one encoded support -> (1, 2, H, W) logits."""
        return self.network.segment(query, shots)


def save_random_vgg(folder: Path) -> Path:
    """The paper's network with random weights: as fast as with trained ones."""
    torch.manual_seed(SEED)
    card = Card("vgg16-random", (), "none", SEED, {}, "", "Apache-2.0", "")
    path = folder / "vgg16-random.safetensors"
    save_checkpoint(path, SGOne(SGOneConfig()), TransformConfig(), card)
    return path


def load_network(checkpoint: Checkpoint) -> SGOne:
    """torch's network, which no executor has rearranged."""
    network = checkpoint.network
    network.eval().requires_grad_(False)
    return network


def our_pass(engine: Engine, size: tuple[int, int]) -> Pass:
    """What our engine does once a support is encoded, the query resized, and its size known."""
    image, mask = draw(size)
    predictor = engine.predictor
    shots = predictor.encode_support([PreparedSupport(image, mask)])
    query = PreparedQuery(image, size)
    for _ in range(RECURS):
        predictor.segment(query, shots)
    if isinstance(engine.executor, OpenVinoExecutor):
        engine.executor.fixed_shapes.wait()
    return lambda: predictor.segment(query, shots)


def openvino_pass(
    checkpoint: Checkpoint, size: tuple[int, int], threads: int, precision: str
) -> Pass:
    """As OpenVINO's own benchmark of latency: a graph of fixed shape, inputs in place.

    It is spared normalisation and the copy of the image, which our executor is not.
    """
    image, mask = (torch.from_numpy(array) for array in draw(size))
    network = load_network(checkpoint)
    query = normalise(image[None], checkpoint.transform)
    with torch.inference_mode():
        shots = network.encode_support(query[None], mask[None, None])
    with warnings.catch_warnings():  # one size is all that this graph is for
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(QueryPass(network), example_input=(query, shots))
    for port, tensor in zip(graph.inputs, (query, *shots), strict=True):
        port.get_node().set_partial_shape(openvino.PartialShape(list(tensor.shape)))
    graph.validate_nodes_and_infer_types()
    options = {
        hints.performance_mode: hints.PerformanceMode.LATENCY,
        hints.inference_precision: TYPES[precision],
        properties.inference_num_threads: threads,
    }
    request = openvino.Core().compile_model(graph, "CPU", options).create_infer_request()
    for number, tensor in enumerate((query, *shots)):
        request.set_input_tensor(number, openvino.Tensor(tensor.contiguous().numpy()))

    def infer() -> NDArray[np.float32]:
        request.infer()
        logits: NDArray[np.float32] = request.get_output_tensor(0).data[0]
        return logits

    return infer
