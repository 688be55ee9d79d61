"""Checkpoints survive a round trip and nothing else."""

import copy
import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint import Card, load_checkpoint, save_checkpoint
from model.decision import Decision
from model.errors import CheckpointError
from model.network.backbone import BACKBONES
from model.network.pretrained import load_imagenet_weights
from model.transforms import TransformConfig
from networks import spoil

CARD = Card("tiny", ("cat", "dog"), "noise", 3, {"mIoU": 12.5}, "2026-01-01", "Apache-2.0", "none")
TRANSFORM = TransformConfig(side=65, mean=(0.5, 0.4, 0.3), channel_order="bgr")


@pytest.fixture
def path(tmp_path, tiny_network):
    save_checkpoint(tmp_path / "tiny.safetensors", tiny_network, TRANSFORM, CARD, "float32")
    return tmp_path / "tiny.safetensors"


def test_weights_architecture_transform_and_card_come_back(path, tiny_network):
    loaded = load_checkpoint(path)
    assert loaded.transform == TRANSFORM
    assert loaded.card == CARD
    assert loaded.network.config == tiny_network.config
    for name, tensor in tiny_network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)


def test_a_checkpoint_gives_its_backbone_to_another_network(path, tiny_network):
    name = tiny_network.config.backbone
    backbone = BACKBONES[name]()
    load_imagenet_weights(backbone, name, path)
    trained = tiny_network.backbone.state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in backbone.state_dict().items())


def test_half_precision_storage_loads_as_float32(tmp_path, tiny_network):
    save_checkpoint(tmp_path / "half.safetensors", tiny_network, TRANSFORM, CARD)
    assert load_file(tmp_path / "half.safetensors")["head.guidance.weight"].dtype == torch.float16
    weight = load_checkpoint(tmp_path / "half.safetensors").network.head.guidance.weight
    assert weight.dtype == torch.float32
    assert torch.allclose(weight, tiny_network.head.guidance.weight, atol=1e-3)


def test_thresholds_travel_with_the_weights(tmp_path, tiny_network):
    decision = Decision(object_threshold=0.6, presence_threshold=0.35)
    save_checkpoint(tmp_path / "wary.safetensors", tiny_network, TRANSFORM, CARD, decision=decision)
    assert load_checkpoint(tmp_path / "wary.safetensors").decision == decision


def test_a_checkpoint_without_thresholds_always_marks():
    shipped = Path(__file__).parents[1] / "weights" / "sgone-vgg16.safetensors"
    decision = load_checkpoint(shipped).decision
    assert decision.object_threshold == 0.5
    assert decision.finds(0.0)


def test_a_presence_at_the_threshold_is_found():
    decision = Decision(presence_threshold=0.35)
    assert decision.finds(0.35)
    assert not decision.finds(0.3499)


def test_a_variance_beyond_half_precision_is_kept(tmp_path, tiny_network):
    network = copy.deepcopy(tiny_network)
    name = next(name for name, _ in network.named_buffers() if name.endswith("running_var"))
    network.get_buffer(name).fill_(1e6)
    save_checkpoint(tmp_path / "half.safetensors", network, TRANSFORM, CARD)
    loaded = load_checkpoint(tmp_path / "half.safetensors").network
    assert loaded.get_buffer(name).max() == 1e6


def test_the_hash_is_the_files_sha256(path):
    assert load_checkpoint(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors does not exist"):
        load_checkpoint(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_truncated_file_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="truncated"):
        load_checkpoint(path)


def test_a_pickle_is_refused_unread(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_checkpoint(tmp_path / "weights.safetensors")


def test_foreign_safetensors_are_refused(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="no sgone-checkpoint/1"):
        load_checkpoint(tmp_path / "foreign.safetensors")


def test_one_changed_byte_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="changed after it was written"):
        load_checkpoint(path)


def test_a_file_other_than_the_manifests_is_refused(path):
    path.with_name("manifest.toml").write_text(
        f'[[checkpoint]]\nfile = "{path.name}"\nsha256 = "{"0" * 64}"\n'
    )
    with pytest.raises(CheckpointError, match=r"manifest\.toml lists 000"):
        load_checkpoint(path)


def test_a_file_that_the_manifest_lists_is_loaded(path):
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("manifest.toml").write_text(
        f'[[checkpoint]]\nfile = "{path.name}"\nsha256 = "{sha256}"\n'
    )
    assert load_checkpoint(path).sha256 == sha256


def test_tensors_of_another_architecture_are_refused(path, tiny_network):
    tiny_network.config = dataclasses.replace(tiny_network.config, guidance_channels=32)
    save_checkpoint(path, tiny_network, TRANSFORM, CARD)
    with pytest.raises(CheckpointError, match="does not fit this version"):
        _ = load_checkpoint(path).network


def test_a_failed_write_leaves_the_old_file(path, tiny_network, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, tiny_network, TRANSFORM, CARD)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_checkpoint_that_is_not_finite_is_refused(path, tiny_network, value):
    with torch.no_grad():
        tiny_network.head.classify.bias[0] = value
    with pytest.raises(CheckpointError, match=r"not written: head\.classify\.bias is not finite"):
        save_checkpoint(path, tiny_network, TRANSFORM, CARD)
    load_checkpoint(path)  # the old one is there still
    spoil(path, "head.classify.bias", value)
    with pytest.raises(CheckpointError, match=r"not finite, the first in head\.classify\.bias"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"not finite, the first in head\.classify\.bias"):
        load_imagenet_weights(tiny_network.backbone, tiny_network.config.backbone, path)


def test_a_weight_beyond_half_precision_is_kept_in_float32_only(tmp_path, tiny_network):
    with torch.no_grad():
        tiny_network.head.classify.bias[0] = 1e6
    with pytest.raises(CheckpointError, match="is not finite in float16"):
        save_checkpoint(tmp_path / "half.safetensors", tiny_network, TRANSFORM, CARD)
    assert not list(tmp_path.iterdir())
    save_checkpoint(tmp_path / "full.safetensors", tiny_network, TRANSFORM, CARD, "float32")
    assert load_checkpoint(tmp_path / "full.safetensors").network.head.classify.bias[0] == 1e6


def test_a_manifest_may_begin_with_a_byte_order_mark(path):
    path.with_name("manifest.toml").write_text(
        f'[[checkpoint]]\nfile = "{path.name}"\nsha256 = "0"\n', encoding="utf-8-sig"
    )
    with pytest.raises(CheckpointError, match="lists 0; fetch"):
        load_checkpoint(path)
