"""The sgone command: quick help, and one sentence for every mistake."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from model.episode import FUSIONS
from networks import spoil
from pictures import encode, object_mask, photograph
from service.cli import main
from service.inference.engine import Engine
from service.release import installed_version

COMMANDS = [
    "serve", "segment", "train", "evaluate", "convert", "info", "openapi", "distill", "composites"
]  # fmt: skip


def sgone(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# The command itself


def test_help_imports_neither_torch_nor_the_web_framework() -> None:
    code = (
        "import sys; from service.cli import main; main(['--help'], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'fastapi', 'PIL', 'numpy')))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_a_command_and_each_has_help_of_its_own(command: str) -> None:
    assert command in sgone("--help").stdout
    result = sgone(command, "--help")
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.stdout


def test_the_version_is_the_installed_one() -> None:
    assert sgone("--version").stdout == f"sgone {installed_version()}\n"


def test_the_fusions_to_choose_from_are_the_models() -> None:
    (option,) = [option for option in main.commands["segment"].params if option.name == "fusion"]
    assert tuple(option.type.choices) == FUSIONS


# Mistakes


def one_sentence(result: Result) -> str:
    """The message of a failed command, which must be a line and no traceback."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_missing_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    result = sgone("info", "--checkpoint", tmp_path / "nowhere.safetensors")
    assert "nowhere.safetensors does not exist" in one_sentence(result)


@pytest.mark.parametrize("damage", ["truncated", "tampered with", "foreign"])
def test_a_damaged_checkpoint_is_one_sentence(
    checkpoint: Path, tmp_path: Path, damage: str
) -> None:
    content = bytearray(checkpoint.read_bytes())
    if damage == "truncated":
        del content[-1000:]
    elif damage == "tampered with":
        content[-1] ^= 1
    else:
        content[:] = encode(photograph())
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    assert "damaged.safetensors" in one_sentence(sgone("info", "--checkpoint", path))


def test_an_impossible_setting_is_one_sentence() -> None:
    assert "--max-queue" in one_sentence(sgone("serve", "--max-queue", "none"))


def test_an_unknown_variable_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGONE_MAX_QUEU", "3")
    assert "SGONE_MAX_QUEU " in one_sentence(sgone("serve"))


def test_an_unknown_flag_is_a_usage_error() -> None:
    assert sgone("serve", "--max-queu", "3").exit_code == 2


# The other commands


def test_info_shows_the_checkpoint_and_where_it_would_run(checkpoint: Path, engine: Engine) -> None:
    output = sgone("info", "--checkpoint", checkpoint, "--device", "cpu").stdout
    assert f"sha256: {engine.checkpoint.sha256}" in output
    assert "classes: ('cat', 'dog')" in output
    assert "device: cpu" in output


def test_a_recipe_that_is_no_toml_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("steps = = 3", encoding="utf-8")
    assert "recipe.toml" in one_sentence(sgone("train", tmp_path / "recipe.toml"))


def test_weights_that_are_no_pickle_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"no pickle")
    result = sgone("convert", tmp_path / "weights.pth", tmp_path / "out.safetensors")
    assert "weights.pth" in one_sentence(result)


def test_evaluation_of_a_checkpoint_prints_its_scores(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for seed in range(3):
            path = tmp_path / "data" / name / f"{seed}.jpg"
            path.write_bytes(encode(photograph(seed=seed), "JPEG"))
            path.with_suffix(".png").write_bytes(encode(object_mask().astype(np.uint8)))
    result = sgone(
        *("evaluate", "--checkpoint", checkpoint, "--data", tmp_path / "data"),
        *("--episodes", 2, "--device", "cpu", "--precision", "float32"),
        *("--json", tmp_path / "scores.json"),
    )
    assert result.exit_code == 0, result.output
    assert "mIoU" in result.stdout
    assert (tmp_path / "scores.json").is_file()


@pytest.mark.parametrize("flag", ["--json", "--table", "--pictures"])
def test_an_evaluation_writes_over_nothing_unasked(tmp_path: Path, flag: str) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "cat.png").write_bytes(b"mine")
    path = {"--json": taken / "cat.png", "--table": taken / "cat.md", "--pictures": taken}[flag]
    (taken / "cat.json").write_bytes(b"mine")
    command = ("evaluate", "--data", tmp_path, flag, path)
    assert "is there already; name another" in one_sentence(sgone(*command))
    assert "is there already" not in one_sentence(sgone(*command, "--overwrite"))
    assert (taken / "cat.json").read_bytes() == b"mine"


@pytest.mark.parametrize("command", ["info", "prepare", "serve", "segment", "evaluate", "train"])
def test_a_checkpoint_of_nan_is_loaded_by_no_command(
    checkpoint: Path, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "nan.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    spoil(path, "backbone.layers.0.0.weight", float("nan"))
    (tmp_path / "photograph.png").write_bytes(encode(photograph()))
    (tmp_path / "mask.png").write_bytes(encode(object_mask().astype(np.uint8)))
    (tmp_path / "cup").mkdir()
    for name in ("1", "2"):
        (tmp_path / "cup" / f"{name}.jpg").write_bytes(encode(photograph(), "JPEG"))
        (tmp_path / "cup" / f"{name}.png").write_bytes((tmp_path / "mask.png").read_bytes())
    (tmp_path / "recipe.toml").write_text(
        f'name = "tiny"\nseed = 0\n[data]\nroot = "{tmp_path}"\nlayout = "folder"\n'
        '[network]\nbackbone = "mobilenet_v2"\n[schedule]\nsteps = 1\n',
        encoding="utf-8",
    )
    shown = ("--support", tmp_path / "photograph.png", "--mask", tmp_path / "mask.png")
    given = {
        "segment": (*shown, "--out", tmp_path / "out", tmp_path / "photograph.png"),
        "evaluate": ("--data", tmp_path),
        "train": (tmp_path / "recipe.toml", "--run-dir", tmp_path / "run", "--device", "cpu"),
    }
    flag = "--backbone-weights" if command == "train" else "--checkpoint"
    said = one_sentence(sgone(command, *given.get(command, ()), flag, path))
    assert "nan.safetensors holds values that are not finite" in said
