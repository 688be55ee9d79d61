"""DINOv2 and DINOv3 equal transformers' own implementation, on the same random weights."""

import numpy as np
import pytest
import torch

from model.checkpoint import Card, load_checkpoint, save_checkpoint
from model.errors import CheckpointError
from model.executors.choose import Placement, open_executor
from model.executors.protocol import PreparedSupport
from model.network.backbone import BACKBONES
from model.network.pretrained import load_imagenet_weights
from model.network.sgone import SGOne, SGOneConfig
from model.network.transformer import rotation
from model.network.weights import read_weights
from model.transforms import TransformConfig
from pictures import object_mask, photograph

transformers = pytest.importorskip("transformers")

EXECUTORS = ("torch", "openvino")
SIZES = {14: ((15, 15), (113, 71), (321, 257)), 16: ((17, 17), (129, 97), (321, 257))}
"""Of one patch, and of rectangles with pixels that are left of a patch."""
WORDS = {
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.patch_embeddings": "patch_embed.proj",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "storage_tokens",
    "embeddings.cls_token": "cls_token",
    "encoder.layer.": "blocks.",
    "model.layer.": "blocks.",
    "layernorm.": "norm.",
    "attention.attention.": "attention.",
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.up_proj": "mlp.fc1",
    "mlp.down_proj": "mlp.fc2",
}
"""What transformers calls a part, and what its makers call it."""


def build(family):
    """transformers' small model with random weights of a size that matters everywhere."""
    torch.manual_seed(0)
    if family == "dinov2":
        config = transformers.Dinov2Config(
            hidden_size=384, num_attention_heads=6, image_size=518, attn_implementation="sdpa"
        )
        model = transformers.Dinov2Model(config)
    else:
        model = transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(num_register_tokens=4))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    return model.eval()


def official(model):
    """Its weights under the names of the makers' file; queries, keys and values are one there."""
    weights = {}
    for name, weight in model.state_dict().items():
        for word, replacement in WORDS.items():
            name = name.replace(word, replacement)
        weights[name] = weight.clone()
    for block in {name.partition(".attention.")[0] for name in weights if ".attention." in name}:
        for kind in ("weight", "bias"):
            parts = [weights.pop(f"{block}.attention.{part}_proj.{kind}", None) for part in "qkv"]
            if kind == "bias" and parts[1] is None:  # DINOv3 has none for keys
                parts[1] = torch.zeros_like(parts[0])
            weights[f"{block}.attn.qkv.{kind}"] = torch.cat(parts)
    return weights


@pytest.fixture(scope="module", params=["dinov2", "dinov3"])
def both(request, tmp_path_factory):
    """transformers' model, and ours with the weights of a file as its makers write them."""
    theirs, name = build(request.param), {"dinov2": "vits14", "dinov3": "vits16"}[request.param]
    path = tmp_path_factory.mktemp("weights") / f"{request.param}_{name}_pretrain.pth"
    torch.save(official(theirs), path)
    backbone = BACKBONES[f"{request.param}_{name}_pyramid"]()
    load_imagenet_weights(backbone, f"{request.param}_{name}_pyramid", path)
    return theirs, backbone.eval()


@torch.inference_mode()
def test_every_tap_is_what_transformers_gives(both):
    theirs, ours = both
    norm = theirs.layernorm if hasattr(theirs, "layernorm") else theirs.norm
    before = 1 + getattr(theirs.config, "num_register_tokens", 0)
    for height, width in SIZES[theirs.config.patch_size]:
        images = torch.randn(2, 3, height, width)
        expected = theirs(images, output_hidden_states=True).hidden_states
        for index, maps in zip(ours.taps, ours(images), strict=True):
            cells = maps.flatten(2).transpose(1, 2)
            torch.testing.assert_close(
                cells, norm(expected[index])[:, before:], atol=1e-4, rtol=1e-4
            )


@torch.inference_mode()
def test_the_last_tap_is_the_last_hidden_state(both):
    theirs, ours = both
    images = torch.randn(1, 3, *SIZES[theirs.config.patch_size][1])
    expected = theirs(images).last_hidden_state[:, -ours(images)[-1].flatten(2).shape[2] :]
    torch.testing.assert_close(
        ours(images)[-1].flatten(2).transpose(1, 2), expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("name", ["dinov2_vits14_pyramid", "dinov3_vits16_pyramid"])
def test_what_is_left_of_a_patch_is_not_read(name):
    backbone = BACKBONES[name]().eval()
    images = torch.randn(1, 3, 65, 97)
    stride = backbone.strides[0]
    for maps, width in zip(backbone(images), backbone.channels, strict=True):
        assert maps.shape == (1, width, 65 // stride, 97 // stride)
    cut = images[..., : 65 // stride * stride, : 97 // stride * stride]
    assert torch.equal(backbone(images)[-1], backbone(cut)[-1])


def test_a_rotation_turns_nothing_at_the_centre():
    cosine, sine = rotation((3, 3), 8, torch.zeros(1))[:, 4]
    assert torch.equal(cosine, torch.ones(8))
    assert torch.equal(sine, torch.zeros(8))


@pytest.mark.parametrize("backbone", ["dinov2_vits14_pyramid", "dinov3_vits16_pyramid"])
def test_openvino_gives_what_torch_gives_at_every_size(backbone, tmp_path):
    stride = 14 if "14" in backbone else 16
    config = SGOneConfig(
        backbone, head="matching", branch_channels=8, support_cells=5, compared_stride=8,
        presence=True,
    )  # fmt: skip
    torch.manual_seed(0)
    network = SGOne(config).eval()
    for weight in network.backbone.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    path = tmp_path / "network.safetensors"
    card = Card("random", (), "noise", 0, {}, "2026-01-01", "none", "")
    save_checkpoint(path, network, TransformConfig(8 * stride + 1, stride=stride), card, "float32")
    checkpoint = load_checkpoint(path)
    executors = [open_executor(checkpoint, Placement(name, "cpu", "float32")) for name in EXECUTORS]
    for height, width in ((8 * stride + 1, 8 * stride + 1), (5 * stride + 1, 11 * stride + 1)):
        support = PreparedSupport(
            photograph(height, width).transpose(2, 0, 1).copy(),
            object_mask(height, width).astype(np.float32),
        )
        query = photograph(height, width, seed=1).transpose(2, 0, 1).copy()
        found = []
        for executor in executors:
            shots = executor.encode(support, executor.read(support.image))
            found.append(executor.find(executor.read(query), (height, width), shots, "average"))
        np.testing.assert_allclose(found[0].logits, found[1].logits, atol=2e-3)
        assert found[0].presence == pytest.approx(found[1].presence, abs=1e-3)


def test_a_pth_with_more_than_tensors_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"weights": torch.nn.Linear(2, 2)}, path)
    with pytest.raises(CheckpointError, match="not a readable file of tensors alone"):
        read_weights(path)


def test_what_a_transformer_cannot_do_is_refused():
    for wrong in ({"compared_stride": 16}, {"compared_stride": 8, "support_mask": "channels"}):
        with pytest.raises(ValueError, match="compared_stride = 8"):
            SGOneConfig("dinov2_vits14_pyramid", head="matching", **wrong)
