"""The SG-One network as a whole."""

import pytest
import torch

from model.errors import CheckpointError
from model.network.backbone import BACKBONES
from model.network.pretrained import load_imagenet_weights
from model.network.sgone import SGOne


def episode(batch, shots, side=65):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, shots, 3, side, side, generator=generator)
    masks = (torch.rand(batch, shots, side, side, generator=generator) > 0.5).float()
    return torch.randn(batch, 3, side, side, generator=generator), images, masks


def test_the_papers_network_has_its_parameter_count():
    assert sum(weight.numel() for weight in SGOne().parameters()) == 18_992_194


@pytest.mark.parametrize("name", [name for name in BACKBONES if "dino" not in name])
@pytest.mark.parametrize(("height", "width"), [(65, 65), (57, 81), (64, 50)])
def test_every_backbone_gives_its_maps_at_their_strides(name, height, width):
    backbone = BACKBONES[name]().eval()
    features = backbone(torch.randn(1, 3, height, width))
    for feature, channels, stride in zip(
        features, backbone.channels, backbone.strides, strict=True
    ):
        assert feature.shape == (1, channels, -(-height // stride), -(-width // stride))


def test_dilated_mobilenet_equals_torchvisions_at_every_fourth_cell():
    import torchvision

    original = torchvision.models.mobilenet_v2().eval()
    dilated = BACKBONES["mobilenet_v2"]().eval()
    source = original.state_dict()
    dilated.load_state_dict(
        {key: source[key.replace("layers.", "features.", 1)] for key in dilated.state_dict()}
    )
    image = torch.randn(1, 3, 129, 129)
    expected = original.features[:18](image)
    # Zero padding differs along the border only: dilation reaches further out there.
    dense = dilated(image)[-1][:, :, ::4, ::4]
    assert dense.shape == expected.shape
    assert torch.allclose(dense, expected, atol=1e-3)


def test_forward_is_encode_support_then_segment(tiny_network):
    query, images, masks = episode(batch=2, shots=3)
    expected = tiny_network.segment(query, tiny_network.encode_support(images, masks))
    assert torch.equal(tiny_network(query, images, masks), expected)


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_a_batch_equals_its_items_one_by_one(tiny_network, fusion):
    query, images, masks = episode(batch=3, shots=2)
    together = tiny_network(query, images, masks, fusion)
    for item in range(3):
        part = slice(item, item + 1)
        alone = tiny_network(query[part], images[part], masks[part], fusion)
        assert torch.allclose(together[part], alone, atol=1e-5)


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_identical_shots_equal_one_shot(tiny_network, fusion):
    query, images, masks = episode(batch=1, shots=1)
    one = tiny_network(query, images, masks)
    images, masks = images.expand(-1, 5, -1, -1, -1), masks.expand(-1, 5, -1, -1)
    five = tiny_network(query, images, masks, fusion)
    assert torch.allclose(five, one, atol=1e-5)


def test_the_order_of_shots_does_not_matter(tiny_network):
    query, images, masks = episode(batch=1, shots=3)
    turned = tiny_network(query, images.flip(1), masks.flip(1))
    assert torch.allclose(turned, tiny_network(query, images, masks), atol=1e-5)


def test_another_mask_gives_another_result(tiny_network):
    query, images, masks = episode(batch=1, shots=1)
    other = tiny_network(query, images, 1 - masks)
    assert not torch.allclose(other, tiny_network(query, images, masks), atol=1e-3)


def test_an_object_of_one_pixel_gives_finite_logits(tiny_network):
    query, images, masks = episode(batch=1, shots=1)
    masks = torch.zeros_like(masks)
    masks[..., 30, 41] = 1
    assert torch.isfinite(tiny_network(query, images, masks)).all()


def test_support_and_query_may_differ_in_size(tiny_network):
    query, images, masks = episode(batch=1, shots=1)
    encoding = tiny_network.encode_support(images[..., :49], masks[..., :49])
    assert tiny_network.segment(query[..., :41, :], encoding).shape == (1, 2, 41, 65)


def test_training_keeps_the_batch_statistics_of_the_backbone(tiny_network):
    before = {name: value.clone() for name, value in tiny_network.named_buffers()}
    tiny_network.train()(*episode(batch=2, shots=1))
    assert all(torch.equal(value, before[name]) for name, value in tiny_network.named_buffers())


def test_backbone_weights_of_another_network_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="mobilenet_v2"):
        load_imagenet_weights(
            BACKBONES["mobilenet_v2"](), "mobilenet_v2", tmp_path / "other.safetensors"
        )
