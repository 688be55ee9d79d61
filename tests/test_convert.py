"""Weights of the authors' code become a checkpoint."""

import pickle

import pytest
import torch

from model.checkpoint import load_checkpoint
from model.convert import NAMES, convert, main, read_pickle
from model.errors import CheckpointError, ConfigError
from model.network.sgone import SGOne, SGOneConfig

SHAPES = {
    "netB.features_1.0.weight": (64, 3, 3, 3),
    "netB.features_1.2.weight": (64, 64, 3, 3),
    "netB.features_2.0.weight": (128, 64, 3, 3),
    "netB.features_2.2.weight": (128, 128, 3, 3),
    "netB.features_3.0.weight": (256, 128, 3, 3),
    "netB.features_3.4.weight": (256, 256, 3, 3),
    "netB.features_4.0.weight": (512, 256, 3, 3),
    "netB.features_4.2.weight": (512, 512, 3, 3),
    "netB.features_5.4.weight": (512, 512, 3, 3),
    "netB.cls.0.weight": (512, 512, 3, 3),
    "netB.side3_1.0.weight": (128, 256, 3, 3),
    "netB.side4_1.0.weight": (128, 640, 3, 3),
    "netB.side5_1.0.weight": (128, 640, 3, 3),
    "classifier_6.0.weight": (128, 128, 3, 3),
    "exit_layer.weight": (2, 128, 1, 1),
    "exit_layer.bias": (2,),
}


@pytest.fixture(scope="module")
def reference():
    """A state dict with the names and shapes of the authors' OneModel."""
    torch.manual_seed(0)
    ours = SGOne(SGOneConfig(exit_padding=1)).state_dict()
    return {theirs: torch.randn_like(ours[mine]) * 0.02 for theirs, mine in NAMES.items()}


def test_the_names_cover_every_weight_with_the_authors_shapes(reference):
    assert set(NAMES.values()) == set(SGOne().state_dict())
    for name, shape in SHAPES.items():
        assert tuple(reference[name].shape) == shape


def test_every_weight_lands_in_its_place(reference):
    state = convert(reference).state_dict()
    assert torch.equal(state["backbone.layers.12.weight"], reference["netB.features_3.2.weight"])
    assert torch.equal(state["backbone.layers.28.bias"], reference["netB.features_5.4.bias"])
    assert torch.equal(state["head.guidance.weight"], reference["netB.cls.0.weight"])
    assert torch.equal(state["head.classify.bias"], reference["exit_layer.bias"])


def test_the_padded_exit_layer_adds_a_ring_of_bias(reference):
    network = convert(reference)
    features = tuple(torch.randn(1, width, 5, 6) for width in network.backbone.channels)
    logits = network.head(features, (torch.rand(1, 1, 512),))[0]
    assert logits.shape == (1, 2, 7, 8)
    ring = torch.ones(7, 8, dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    assert torch.allclose(logits[0][:, ring], reference["exit_layer.bias"][:, None].expand(2, 26))


def test_a_training_snapshot_becomes_a_checkpoint(reference, tmp_path):
    snapshot = {"global_counter": 5, "state_dict": {f"module.{k}": v for k, v in reference.items()}}
    torch.save(snapshot, tmp_path / "step_5.pth.tar")
    main(tmp_path / "step_5.pth.tar", tmp_path / "converted.safetensors")
    loaded = load_checkpoint(tmp_path / "converted.safetensors")
    assert loaded.network.config.exit_padding == 1
    assert loaded.transform.channel_order == "bgr"
    assert torch.equal(loaded.network.head.guidance.bias, reference["netB.cls.0.bias"])


def test_weights_that_are_not_finite_are_refused(reference, tmp_path):
    state = {**reference, "exit_layer.bias": torch.tensor([0.0, float("nan")])}
    torch.save(state, tmp_path / "step_5.pth.tar")
    with pytest.raises(CheckpointError, match=r"not finite, the first in exit_layer\.bias"):
        main(tmp_path / "step_5.pth.tar", tmp_path / "converted.safetensors")
    assert not (tmp_path / "converted.safetensors").exists()


def test_a_file_that_is_there_is_not_written_over(reference, tmp_path):
    path = tmp_path / "step_5.pth.tar"
    torch.save(reference, path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        main(path, path)
    assert path.read_bytes() == before


def test_missing_and_unexpected_tensors_are_named(reference):
    foreign = {name: value for name, value in reference.items() if "cls" not in name}
    with pytest.raises(CheckpointError, match=r"missing netB\.cls\.0\.bias.*not expected fc"):
        convert({**foreign, "fc": torch.zeros(1)})


def test_a_tensor_of_another_shape_is_refused(reference):
    with pytest.raises(CheckpointError, match="another shape"):
        convert({**reference, "exit_layer.bias": torch.zeros(3)})


class Malice:
    def __reduce__(self):
        return (print, ("code of a stranger",))


def test_code_in_a_pickle_is_never_run(tmp_path, capsys):
    torch.save({"state_dict": Malice()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="no torch file of plain tensors"):
        read_pickle(tmp_path / "evil.pth")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Malice()))
    with pytest.raises(CheckpointError, match="no torch file of plain tensors"):
        read_pickle(tmp_path / "evil.pkl")
    assert "stranger" not in capsys.readouterr().out


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone\.pth does not exist"):
        read_pickle(tmp_path / "gone.pth")
    (tmp_path / "text.pth").write_text("hello", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"text\.pth is no torch file"):
        read_pickle(tmp_path / "text.pth")
