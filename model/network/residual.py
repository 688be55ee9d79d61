"""ResNet-50 as its authors released it (He et al. 2016), cut into a chain of blocks."""

import torchvision
from torch import nn

EPSILON = 1e-3
"""Of the release's batch normalisation, as Keras has it; torchvision's is 1e-5."""
STAGES = ("layer1", "layer2", "layer3", "layer4")


def resnet50_layers() -> nn.Sequential:
    """The stem, its pool and 16 blocks of the Caffe release, behind which nothing is classified.

    A stage that halves the map does so in its first 1×1 convolution; torchvision's does in the
    3×3 behind it.
    """
    network = torchvision.models.resnet50()
    stages = [getattr(network, stage) for stage in STAGES]
    for stage in stages[1:]:
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    stem = nn.Sequential(network.conv1, network.bn1, network.relu)
    layers = nn.Sequential(stem, network.maxpool, *(block for stage in stages for block in stage))
    for module in layers.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = EPSILON
    return layers


def resnet50_name(key: str) -> str:
    """A tensor of the chain -> torchvision's name: ``2.conv1.weight`` is layer1.0.conv1.weight."""
    layer, _, rest = key.partition(".")
    index = int(layer)
    if index == 0:
        part, _, tensor = rest.partition(".")
        return f"{('conv1', 'bn1')[int(part)]}.{tensor}"
    block = index - 2
    for stage, blocks in zip(STAGES, (3, 4, 6, 3), strict=True):
        if block < blocks:
            return f"{stage}.{block}.{rest}"
        block -= blocks
    raise ValueError(f"ResNet-50 has no layer {index}")
