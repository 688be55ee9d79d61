"""Recipes and training runs, end to end on a tiny folder of coloured squares."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load, load_file, save, save_file

from killed import kill_at_step
from model.checkpoint import load_checkpoint
from model.datasets.sampling import EpisodeSampler, View, ViewLoader
from model.errors import CheckpointError, ConfigError, DatasetError, DivergenceError
from model.network.backbone import normalise
from model.network.siamese import SiameseBackbone
from model.training import train
from model.training.objective import overlap_loss
from model.training.recipe import Data, more_shots, override, read_recipe, split
from model.training.start import build_network
from networks import build_tiny_network
from service import cli
from trees import write_folder

COLOURS = {"blue": (30, 60, 220), "green": (40, 200, 60), "red": (220, 40, 30), "white": (240,) * 3}

RECIPE = """
name = "tiny"
seed = 0
precision = "float32"
freeze_backbone = {frozen}

[data]
layout = "folder"
root = "data"
held_out = ["white"]

[network]
backbone = "mobilenet_v2"
guidance_channels = 16
branch_channels = 8

[transform]
side = 65

[schedule]
steps = {steps}
batch_size = 2
side = 65
evaluate_every = 2
validation_episodes = 4
workers = 0
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder of four classes, and random backbone weights in torchvision's layout."""
    root = tmp_path_factory.mktemp("workshop")
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / "data" / name).mkdir(parents=True)
        for index in range(3):
            image = generator.integers(90, 130, (72, 96, 3), dtype=np.uint8)
            mask = np.zeros((72, 96), dtype=np.uint8)
            top, left = generator.integers(0, 30, 2)
            mask[top : top + 36, left : left + 40] = 255
            image[mask > 0] = colour
            Image.fromarray(image).save(root / "data" / name / f"{index}.jpg", quality=95)
            Image.fromarray(mask).save(root / "data" / name / f"{index}.png")
    weights = {
        f"features.{key.split('.', 1)[1]}": value.contiguous()
        for key, value in build_tiny_network().backbone.state_dict().items()
    }
    save_file(weights, root / "backbone.safetensors")
    return root


def write_recipe(folder, steps=4, frozen="true"):
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(steps=steps, frozen=frozen), encoding="utf-8")
    return path


def run(workshop, recipe, out, resume=False, features=None):
    train.main(
        recipe,
        workshop / "data",
        workshop / "backbone.safetensors",
        out,
        resume,
        "cpu",
        features=features,
    )
    return out


def weights_of(out):
    state = load_file(out / "state.safetensors")
    return {name: tensor for name, tensor in state.items() if name.startswith("network.")}


@pytest.fixture(scope="module")
def finished(workshop, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return run(workshop, write_recipe(out), out)


def test_a_run_leaves_a_checkpoint_that_loads_and_says_what_it_saw(finished):
    loaded = load_checkpoint(finished / "best.safetensors")
    assert loaded.card.classes == ("blue", "green", "red")
    assert loaded.transform.side == 65
    assert any("held-out mIoU (white" in name for name in loaded.card.metrics)


def labels_of(*shares):
    """(B, 20, 20) labels whose first columns are object."""
    labels = torch.zeros(len(shares), 20, 20, dtype=torch.uint8)
    for label, share in zip(labels, shares, strict=True):
        label[:, : int(20 * share)] = 1
    return labels


def certain(labels, strength=20.0):
    margin = (labels.float() - 0.5) * strength
    return torch.stack([-margin, margin], dim=1)


def test_overlap_counts_small_objects_as_much_as_large_ones():
    labels = labels_of(0.1, 0.8)
    missed = [certain(torch.stack([labels[0] * (n != 0), labels[1] * (n != 1)])) for n in (0, 1)]
    small, large = (overlap_loss(logits, labels) for logits in missed)
    assert small == pytest.approx(0.5, abs=0.01)
    assert small == pytest.approx(float(large), abs=0.01)


def test_overlap_of_the_truth_is_no_loss_and_absent_objects_are_left_out():
    labels = labels_of(0.3, 0.0)
    assert overlap_loss(certain(labels), labels) == pytest.approx(0, abs=1e-3)
    assert overlap_loss(certain(1 - labels)[1:], labels[1:]) == 0


def test_overlap_ignores_void():
    labels = labels_of(0.5)
    marked = certain(labels_of(0.7))
    labels[:, :, 10:] = 255
    assert overlap_loss(marked, labels) == pytest.approx(0, abs=1e-3)


def test_composites_and_regions_take_their_shares_of_the_episodes(workshop, tmp_path):
    for name in ("composites", "regions"):
        write_folder(tmp_path / name, classes=(f"{name} one", f"{name} two"))
    data = Data(
        root=workshop / "data",
        layout="folder",
        composites=tmp_path / "composites",
        composite_share=0.3,
        regions=tmp_path / "regions",
        region_share=0.5,
    )
    parts = split(data, shots=1)
    share = {parts.training.classes[i]: value for i, value in parts.shares.items()}
    assert share["composites one"] == pytest.approx(0.15)
    assert share["regions two"] == pytest.approx(0.25)
    assert sum(share[name] for name in COLOURS) == pytest.approx(0.2)
    assert [parts.training.classes[i] for i in parts.own_classes] == list(COLOURS)


def test_classes_with_too_few_images_take_no_part_in_steps_of_several_shots(workshop, tmp_path):
    write_folder(tmp_path / "few", classes=("few one",), count=2)
    data = Data(root=workshop / "data", layout="folder", composites=tmp_path / "few")
    parts = split(data, shots=1)
    assert sum(parts.shares.values()) == pytest.approx(1)
    shares = more_shots(parts, 2)
    assert {parts.training.classes[i] for i in shares} == set(COLOURS)
    assert sum(shares.values()) == pytest.approx(1)
    with pytest.raises(DatasetError, match="lower several_shots"):
        more_shots(parts, 100)


def test_shares_that_leave_nothing_are_refused(workshop):
    with pytest.raises(ValueError, match="leave no episode"):
        Data(
            root=workshop / "data",
            composites=workshop,
            composite_share=0.5,
            regions=workshop,
            region_share=0.5,
        )


def test_a_run_leaves_pictures_of_its_curves_and_masks(finished):
    for name in ("curves.png", "episodes.png"):
        with Image.open(finished / name) as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_a_frozen_backbone_keeps_its_weights_and_the_head_learns(workshop, finished):
    before = load_file(workshop / "backbone.safetensors")
    after = load_file(finished / "state.safetensors")
    assert torch.equal(after["network.backbone.layers.0.0.weight"], before["features.0.0.weight"])
    assert any(after[name].abs().sum() > 0 for name in after if name.startswith("optimiser."))


@pytest.mark.parametrize(
    ("frozen", "more"),
    [("true", ""), ("false", ""), ("true", "several_shots = 2\nseveral_share = 0.5\n")],
)
def test_a_killed_run_resumes_to_the_same_weights(workshop, tmp_path, frozen, more, monkeypatch):
    recipe = write_recipe(tmp_path, steps=6, frozen=frozen)
    recipe.write_text(recipe.read_text(encoding="utf-8") + more, encoding="utf-8")
    whole = run(workshop, recipe, tmp_path / "whole")

    kill_at_step(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        run(workshop, recipe, tmp_path / "killed")
    monkeypatch.undo()
    resumed = run(workshop, recipe, tmp_path / "killed", resume=True)

    expected = weights_of(whole)
    actual = weights_of(resumed)
    assert expected.keys() == actual.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_another_recipe_does_not_resume(workshop, finished, tmp_path):
    recipe = write_recipe(tmp_path, steps=8)
    with pytest.raises(CheckpointError, match="another recipe"):
        run(workshop, recipe, finished, resume=True)


def test_features_kept_in_a_folder_serve_other_runs_and_change_nothing(
    workshop, finished, tmp_path, monkeypatch
):
    features = tmp_path / "features"
    first = run(workshop, write_recipe(tmp_path), tmp_path / "first", features=features)
    monkeypatch.setattr(SiameseBackbone, "forward", None)
    second = run(workshop, write_recipe(tmp_path), tmp_path / "second", features=features)
    expected = weights_of(finished)
    for again in map(weights_of, (first, second)):
        assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_features_of_another_size_are_not_taken_from_the_folder(workshop, tmp_path):
    features = tmp_path / "features"
    recipe = write_recipe(tmp_path, steps=2)
    run(workshop, recipe, tmp_path / "first", features=features)
    before = {path.parent.name for path in features.glob("*/*")}
    recipe.write_text(
        recipe.read_text(encoding="utf-8").replace("side = 65", "side = 97"), encoding="utf-8"
    )
    run(workshop, recipe, tmp_path / "second", features=features)
    after = {path.parent.name for path in features.glob("*/*")}
    assert len(before) == 1
    assert len(after) == 2


def test_centred_guidance_compares_features_less_their_mean_and_does_not_learn(workshop, tmp_path):
    path = write_recipe(tmp_path)
    text = path.read_text(encoding="utf-8").replace(
        "guidance_channels = 16", "guidance_channels = 320"
    )
    path.write_text(text.replace("seed = 0", "seed = 0\ncentred_guidance = true"), encoding="utf-8")
    weights = weights_of(run(workshop, path, tmp_path / "run"))
    kernel = weights["network.head.guidance.weight"]
    assert torch.equal(kernel, torch.nn.init.dirac_(torch.empty_like(kernel)))
    means = -weights["network.head.guidance.bias"]
    recipe = override(read_recipe(path), {"root": workshop / "data", "fold": None}, {})
    pictures = split(recipe.data, 1).training
    loader = ViewLoader(pictures, 65)
    images = torch.stack([loader.load(View(i, 0, 0))[0] for i in range(len(pictures.samples))])
    backbone = build_network(
        dataclasses.replace(recipe, backbone_weights=workshop / "backbone.safetensors")
    ).backbone.eval()
    seen = backbone(normalise(images, recipe.transform))[-1].mean((0, 2, 3))
    # The run's own views are drawn crops: their means are alike, channel by channel.
    assert torch.corrcoef(torch.stack([means, seen]))[0, 1] > 0.9


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("guidance_channels = 16", "set guidance_channels = 320"),
        ("freeze_backbone = false", "set freeze_backbone = true"),
    ],
)
def test_what_cannot_be_centred_is_refused_with_the_fix(workshop, tmp_path, line, message):
    path = write_recipe(tmp_path, frozen="false" if "freeze" in line else "true")
    path.write_text(
        path.read_text(encoding="utf-8").replace("seed = 0", "seed = 0\ncentred_guidance = true"),
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=message):
        run(workshop, path, tmp_path / "run")


def test_training_learns_to_find_the_colour(workshop, tmp_path):
    text = RECIPE.format(steps=60, frozen="false")
    text = text.replace("evaluate_every = 2", "evaluate_every = 60")
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    out = run(workshop, tmp_path / "recipe.toml", tmp_path)
    history = json.loads(_metadata(out / "state.safetensors")["progress"])
    assert np.mean(history["losses"][-10:]) < 0.6 * np.mean(history["losses"][:10])


@pytest.mark.slow
def test_two_processes_step_like_one_with_twice_the_batch(workshop, tmp_path):
    text = RECIPE.format(steps=2, frozen="true")
    recipes = {"one": text.replace("batch_size = 2", "batch_size = 4"), "two": text}
    for name, recipe in recipes.items():
        (tmp_path / f"{name}.toml").write_text(recipe, encoding="utf-8")
    one = run(workshop, tmp_path / "one.toml", tmp_path / "one")
    two = tmp_path / "two"
    options = {"data": workshop / "data", "backbone-weights": workshop / "backbone.safetensors"}
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *(Path(sys.executable).with_name("sgone"), "train", tmp_path / "two.toml"),
            *(f"--{name}={value}" for name, value in options.items()),
            *(f"--run-dir={two}", "--device=cpu"),
        ],
        check=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    expected, actual = weights_of(one), weights_of(two)
    assert all(torch.allclose(actual[name], expected[name], atol=1e-5) for name in expected)


def _metadata(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stepz = 3", r"schedule\.stepz: Unexpected keyword argument"),
        ("workers = -1", r"schedule\.workers: .*greater than or equal to 0"),
        ("workers = 'two'", r"schedule\.workers: .*valid integer"),
        ("workers = [", "not valid TOML"),
    ],
)
def test_a_wrong_line_in_a_recipe_is_named(tmp_path, line, message):
    path = tmp_path / "recipe.toml"
    path.write_text(
        RECIPE.format(steps=1, frozen="true").replace("workers = 0", line), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=message):
        read_recipe(path)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        read_recipe(tmp_path / "nowhere.toml")


def test_held_out_classes_are_not_trained_on(workshop, tmp_path):
    recipe = read_recipe(write_recipe(tmp_path))
    data = dataclasses.replace(recipe.data, root=workshop / "data")
    parts = split(data, shots=1)
    names = [parts.training.classes[i] for i in parts.own_classes]
    assert names == ["blue", "green", "red"]
    assert [parts.validation.classes[i] for i in parts.validation_classes] == ["white"]


def test_composites_take_their_share_of_training_and_no_part_in_validation(workshop, tmp_path):
    recipe = read_recipe(write_recipe(tmp_path))
    composites = write_folder(tmp_path / "composites", classes=("anchor", "ant"))
    data = dataclasses.replace(
        recipe.data, root=workshop / "data", composites=composites, composite_share=0.6
    )
    parts = split(data, shots=1)
    shares = {parts.training.classes[i]: share for i, share in parts.shares.items()}
    assert shares == pytest.approx(
        {"blue": 0.4 / 3, "green": 0.4 / 3, "red": 0.4 / 3, "anchor": 0.3, "ant": 0.3}
    )
    assert "ant" not in parts.validation.classes
    assert [parts.training.classes[i] for i in parts.own_classes] == ["blue", "green", "red"]


def test_what_is_added_is_drawn_alike_whatever_is_held_out(workshop, tmp_path):
    composites = write_folder(tmp_path / "composites", classes=("anchor", "ant"))
    views = []
    for held_out in ("white", "red"):
        data = Data(workshop / "data", layout="folder", held_out=(held_out,), composites=composites)
        parts = split(data, shots=1)
        assert sum(parts.added_shares.values()) == pytest.approx(1)
        sampler = EpisodeSampler(
            parts.training, tuple(parts.added_shares), 1, 0, "class", shares=parts.added_shares
        )
        loader = ViewLoader(parts.training, 65)
        views.append([loader.name(sampler.episode(index).supports[0]) for index in range(20)])
    assert views[0] == views[1]
    assert all("composites" in name for name in views[0])


def test_a_recipes_fold_and_held_out_classes_can_be_chosen_on_the_command_line(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path))
    changed = override(recipe, {"fold": 2, "held_out": ("blue",), "root": None}, {})
    assert (changed.data.fold, changed.data.held_out) == (2, ("blue",))
    assert changed.data.root == recipe.data.root
    assert changed.name == f"{recipe.name}-fold2"


def test_a_mask_format_is_part_of_what_a_run_is_and_its_default_is_what_runs_had_before(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path))
    changed = override(recipe, {"fold": None, "mask_format": "labels"}, {})
    assert changed.data.mask_format == "labels"
    assert "mask_format" not in recipe.identity()
    assert '"mask_format": "labels"' in changed.identity()


def test_every_recipe_of_the_repository_is_valid():
    configs = Path(train.__file__).parents[1] / "configs"
    recipes = sorted(path for path in configs.rglob("*.toml") if "distill" not in path.stem)
    assert recipes
    for path in recipes:
        assert read_recipe(path).name in path.read_text(encoding="utf-8")


# Stopped, broken and diverged


def progress_of(out):
    return json.loads(_metadata(out / "state.safetensors")["progress"])


def test_a_run_that_diverges_says_so_with_the_step_and_the_fix(workshop, tmp_path):
    recipe = write_recipe(tmp_path)
    text = recipe.read_text(encoding="utf-8") + "[optimiser]\nlearning_rate = 1e30\n"
    recipe.write_text(text, encoding="utf-8")
    with pytest.raises(DivergenceError, match=r"step 2: its \w+ is (nan|inf); lower learning_rate"):
        run(workshop, recipe, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("explosion", "message"),
    [(2, "step 4: its loss is nan"), (3, "step 4: head.* has grown beyond torch.float16")],
)
def test_what_the_last_good_evaluation_wrote_is_kept(
    workshop, tmp_path, monkeypatch, explosion, message
):
    rate = train.learning_rate
    monkeypatch.setattr(
        train,
        "learning_rate",
        lambda settings, step, steps: 1e30 if step == explosion else rate(settings, step, steps),
    )
    with pytest.raises(DivergenceError, match=message):
        run(workshop, write_recipe(tmp_path), tmp_path / "run")
    assert progress_of(tmp_path / "run")["step"] == 2
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert load_checkpoint(tmp_path / "run" / "best.safetensors").card.data.count("2 steps")


def test_a_gradient_that_is_not_finite_ends_a_run(workshop, tmp_path, monkeypatch):
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda *given: clip(*given) * float("inf")
    )
    with pytest.raises(DivergenceError, match="step 1: its gradient is inf"):
        run(workshop, write_recipe(tmp_path), tmp_path / "run")


def test_a_run_is_not_written_over(workshop, finished):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(ConfigError, match=r"holds a run \(state.*best.*\); go on with --resume"):
        run(workshop, finished / "recipe.toml", finished)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_a_checkpoint_without_its_state_is_not_resumed_over(workshop, finished, tmp_path):
    (tmp_path / "best.safetensors").write_bytes((finished / "best.safetensors").read_bytes())
    with pytest.raises(ConfigError, match=r"no state\.safetensors to resume from"):
        run(workshop, write_recipe(tmp_path), tmp_path, resume=True)


def with_nan(content):
    tensors = {name: tensor.clone() for name, tensor in load(content).items()}
    next(t for t in tensors.values() if t.is_floating_point()).view(-1)[0] = float("nan")
    return tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"", "cannot be resumed from"),
        (lambda content: content[: len(content) // 2], "cannot be resumed from"),
        (lambda content: save(load(content)), "cannot be resumed from"),
        (lambda content: save(load(content), {"recipe": "other"}), "another recipe"),
    ],
    ids=["empty", "cut", "without metadata", "of another recipe"],
)
def test_a_broken_state_is_named(workshop, finished, tmp_path, change, message):
    state = tmp_path / "state.safetensors"
    state.write_bytes(change((finished / "state.safetensors").read_bytes()))
    with pytest.raises(CheckpointError, match=rf"state\.safetensors .*{message}"):
        run(workshop, finished / "recipe.toml", tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, facts: (with_nan(save(tensors)), facts), "not finite, the first in"),
        (lambda tensors, facts: (tensors, {**facts, "progress": "{"}), "cannot be resumed from"),
        (lambda tensors, facts: (tensors, {**facts, "progress": "[]"}), "cannot be resumed from"),
        (lambda tensors, facts: ({"network.x": torch.ones(1)}, facts), "cannot be resumed from"),
    ],
    ids=["not finite", "no JSON", "other progress", "other weights"],
)
def test_a_state_with_other_content_is_named(workshop, finished, tmp_path, change, message):
    path = finished / "state.safetensors"
    tensors, facts = change(load_file(path), _metadata(path))
    (tmp_path / "state.safetensors").write_bytes(save(tensors, facts))
    with pytest.raises(CheckpointError, match=message):
        run(workshop, finished / "recipe.toml", tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda c: save(with_nan(c)), "not finite"), (lambda c: c[:9], "not a readable safetensors")],
)
def test_backbone_weights_that_cannot_be_trusted_are_refused(workshop, tmp_path, change, message):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(change((workshop / "backbone.safetensors").read_bytes()))
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors .*{message}"):
        train.main(write_recipe(tmp_path), workshop / "data", path, tmp_path / "run", device="cpu")


def test_a_data_set_without_a_class_to_train_on_is_named(workshop, tmp_path):
    path = write_recipe(tmp_path)
    text = path.read_text(encoding="utf-8").replace('["white"]', json.dumps(list(COLOURS)))
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"no class is left: .* at least 2"):
        run(workshop, path, tmp_path / "run")


def test_composites_without_a_class_of_the_data_set_are_named(workshop, tmp_path):
    composites = write_folder(tmp_path / "composites")
    data = Data(workshop / "data", held_out=tuple(COLOURS), composites=composites)
    with pytest.raises(DatasetError, match=r"data has no class to train on"):
        split(data, shots=1)


def test_a_diverged_run_and_one_that_is_there_are_one_sentence_on_the_command_line(
    workshop, finished, tmp_path
):
    flags = ("--data", workshop / "data", "--run-dir", finished, "--device", "cpu")
    given = [str(each) for each in ("train", finished / "recipe.toml", *flags)]
    result = CliRunner().invoke(cli.main, given)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {finished} holds a run")


def test_ctrl_c_while_a_run_is_prepared_is_one_word_and_130(workshop, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "split", stopped)
    given = ["train", str(write_recipe(tmp_path)), "--run-dir", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.main, given)
    assert (result.exit_code, result.stderr) == (130, "Stopped.\n")
