"""ResNet-50 and EfficientNet-Lite2."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file
from torch import nn

from model.errors import CheckpointError
from model.network.backbone import BACKBONES
from model.network.efficientnet import STAGES, InvertedResidual, lite2_layers, lite2_name
from model.network.pretrained import load_imagenet_weights
from model.network.residual import resnet50_layers, resnet50_name


def settled(layers):
    """Batch statistics of some noise, so that no signal fades."""
    for layer in layers.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
            layer.momentum = 1.0
    with torch.no_grad():
        layers(torch.randn(2, 3, 65, 65))
    return layers.eval()


def official(layers, name):
    return {name(key): value for key, value in layers.state_dict().items()}


def test_resnet50_is_torchvisions_with_the_stride_in_its_first_convolution():
    torch.manual_seed(0)
    layers = settled(resnet50_layers())
    reference = torchvision.models.resnet50().eval()
    reference.load_state_dict(official(layers, resnet50_name), strict=False)
    for stage in (reference.layer2, reference.layer3, reference.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        maps = reference.maxpool(reference.relu(reference.bn1(reference.conv1(images))))
        for stage in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
            maps = stage(maps)
        torch.testing.assert_close(layers(images), maps)


def test_every_tensor_of_resnet50_has_a_name_of_torchvisions():
    layers = resnet50_layers().state_dict()
    theirs = {key for key in torchvision.models.resnet50().state_dict() if "fc." not in key}
    assert {resnet50_name(key) for key in layers} == theirs


def test_lite2_pads_as_tensorflow_does_on_sides_of_32n_plus_1():
    torch.manual_seed(0)
    block = settled(nn.Sequential(nn.Conv2d(3, 8, 1), InvertedResidual(8, 12, 5, 2, 6)))[1]
    maps = torch.randn(1, 8, 33, 65)
    with torch.no_grad():
        wide = F.relu6(block._bn0(block._expand_conv(maps)))
        total = [(side + 1) // 2 * 2 - 2 + 5 - side for side in wide.shape[-2:]]
        height, width = ((sum_ // 2, sum_ - sum_ // 2) for sum_ in total)
        padded = F.pad(wide, [*width, *height])
        deep = F.conv2d(padded, block._depthwise_conv.weight, stride=2, groups=48)
        expected = block._bn2(block._project_conv(F.relu6(block._bn1(deep))))
        torch.testing.assert_close(block(maps), expected)


def test_lite2_has_the_tensors_of_the_released_file():
    names = {lite2_name(key) for key in lite2_layers().state_dict()}
    assert "_conv_stem.weight" in names and "_bn0.running_var" in names
    assert "_blocks.0._depthwise_conv.weight" in names
    assert "_blocks.0._expand_conv.weight" not in names
    assert "_blocks.20._project_conv.weight" in names
    assert sum(stage.blocks for stage in STAGES) == 21


CONVOLVED = [name for name in BACKBONES if name.endswith("_pyramid") and "dino" not in name]


@pytest.mark.parametrize("name", CONVOLVED)
def test_features_come_from_fine_to_coarse_in_the_widths_that_are_told(name):
    backbone = BACKBONES[name]().eval()
    with torch.no_grad():
        features = backbone(torch.randn(1, 3, 65, 97))
    assert list(backbone.strides) == sorted(backbone.strides)
    for maps, width, stride in zip(features, backbone.channels, backbone.strides, strict=True):
        assert maps.shape == (1, width, 64 // stride + 1, 96 // stride + 1)


def test_a_file_without_counts_of_batches_loads(tmp_path):
    layers = resnet50_layers()
    tensors = official(layers, resnet50_name)
    kept = {key: value for key, value in tensors.items() if "num_batches" not in key}
    assert len(kept) < len(tensors)
    save_file(kept, tmp_path / "resnet.safetensors")
    backbone = BACKBONES["resnet50_pyramid"]()
    load_imagenet_weights(backbone, "resnet50_pyramid", tmp_path / "resnet.safetensors")
    loaded, given = backbone.layers.state_dict(), layers.state_dict()
    assert all(torch.equal(loaded[key], given[key]) for key in given if "num_batches" not in key)


def test_a_file_without_a_running_mean_is_refused(tmp_path):
    tensors = official(resnet50_layers(), resnet50_name)
    del tensors["bn1.running_mean"]
    save_file(tensors, tmp_path / "resnet.safetensors")
    with pytest.raises(CheckpointError, match="running_mean"):
        load_imagenet_weights(
            BACKBONES["resnet50_pyramid"](), "resnet50_pyramid", tmp_path / "resnet.safetensors"
        )


def test_a_backbone_without_a_download_asks_for_its_file():
    with pytest.raises(CheckpointError, match="--backbone-weights"):
        load_imagenet_weights(BACKBONES["resnet50_pyramid"](), "resnet50_pyramid")
