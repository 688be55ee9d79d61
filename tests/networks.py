"""Small random networks that are worth testing on."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from torch import nn

from model.episode import Support
from model.executors.torch import TorchExecutor
from model.network.sgone import SGOne, SGOneConfig
from model.predictor import Predictor
from model.transforms import TransformConfig
from pictures import object_mask, photograph

SIDE = 65

NETWORKS = {
    "paper": SGOneConfig(backbone="vgg16", guidance_channels=16, branch_channels=8),
    "similarity": SGOneConfig(
        backbone="mobilenet_v2", guidance_channels=16, segmentation_branch=False, similarity="l2"
    ),
    "matching": SGOneConfig(
        backbone="mobilenet_v2_pyramid",
        head="matching",
        branch_channels=8,
        support_cells=5,
        align_corners=True,
    ),
    "presence": SGOneConfig(
        backbone="efficientnet_lite2_pyramid",
        head="matching",
        branch_channels=8,
        support_cells=5,
        align_corners=True,
        compared_stride=8,
        presence=True,
    ),
}


def build_tiny_network(seed: int = 0) -> SGOne:
    """The paper's head, small, on a random backbone."""
    torch.manual_seed(seed)
    config = SGOneConfig(backbone="mobilenet_v2", guidance_channels=16, branch_channels=8)
    return settle_statistics(SGOne(config)).eval()


def settle_statistics(network: SGOne) -> SGOne:
    """Fresh batch statistics would let the signal fade to a constant over 17 blocks.

    A test on constants cannot fail; one pass over noise sets them.
    """
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
            layer.momentum = 1.0
    with torch.no_grad():
        network.backbone(torch.randn(4, 3, 65, 65))
    return network


def build_decisive_network(seed: int = 0) -> SGOne:
    """The tiny network with its last layer set so that half of a picture is object.

    The mask then changes with support and query, and a mix-up of requests shows.
    """
    network = build_tiny_network(seed)
    transform = TransformConfig(SIDE)
    support = Support(photograph(), object_mask())
    probability = Predictor(TorchExecutor(network, transform)).predict(
        [support], photograph(37, 51, seed=1)
    )
    margin = np.median(np.log(probability / (1 - probability)))
    with torch.no_grad():
        network.head.classify.bias[1] -= float(margin)
        network.head.classify.weight *= 50
        network.head.classify.bias *= 50
    return network


def spoil(checkpoint: Path, name: str, value: float) -> None:
    """Change one number in a checkpoint, and its digest with it, as another program might."""
    with safe_open(checkpoint, "numpy") as file:
        metadata = file.metadata()
    tensors = load_file(checkpoint)
    tensors[name] = tensors[name].copy()
    tensors[name].flat[0] = value
    digest = hashlib.sha256()
    for key, array in sorted(tensors.items()):
        digest.update(f"{key} torch.{array.dtype} {array.shape};".encode() + array.tobytes())
    save_file(tensors, checkpoint, metadata | {"content": digest.hexdigest()})
