"""The sgone command: quick help, local segmentation, and one sentence for every mistake."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.testing import assert_array_equal
from PIL import Image

from model.episode import Support
from model.guidance import FUSIONS
from pictures import encode, grey_mask, object_mask, photograph, read_mask
from service.cli import main
from service.engine import Engine
from service.release import installed_version

COMMANDS = [
    "serve", "segment", "train", "evaluate", "convert", "info", "openapi", "distill", "composites"
]  # fmt: skip


def sgone(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A support photograph and its mask, as files."""
    image, mask = tmp_path / "support.png", tmp_path / "support.mask.png"
    image.write_bytes(encode(photograph()))
    mask.write_bytes(grey_mask())
    return image, mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two photographs and a file that is none."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(encode(photograph(37, 51, seed=seed)))
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def local(pair: tuple[Path, Path], checkpoint: Path, tmp_path: Path) -> list[Any]:
    """``sgone segment`` with a support, into tmp_path/masks."""
    image, mask = pair
    tiny = ["--checkpoint", checkpoint, "--device", "cpu", "--precision", "float32"]
    return ["segment", "--support", image, "--mask", mask, "--out", tmp_path / "masks", *tiny]


def expected(engine: Engine, query_seed: int, shots: int = 1, fusion: Any = "average") -> Any:
    supports = [Support(photograph(), object_mask())]
    supports += [Support(photograph(seed=9), ~object_mask())] * (shots - 1)
    query = photograph(37, 51, seed=query_seed)
    return (engine.segmenter.predict(supports, query, fusion) > 0.5) * 255


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


# Local segmentation


def test_a_query_gets_its_mask(
    local: list[Any], folder: Path, tmp_path: Path, engine: Engine
) -> None:
    result = sgone(*local, folder / "1.png")
    assert result.exit_code == 0, result.output
    mask = read_mask((tmp_path / "masks" / "1.png").read_bytes())
    assert_array_equal(mask, expected(engine, 1))
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["1.png"]


def test_a_folder_gives_a_mask_for_each_of_its_images(
    local: list[Any], folder: Path, tmp_path: Path, engine: Engine
) -> None:
    assert sgone(*local, folder).exit_code == 0
    for seed in (1, 2):
        mask = read_mask((tmp_path / "masks" / f"{seed}.png").read_bytes())
        assert_array_equal(mask, expected(engine, seed))


@pytest.mark.parametrize("fusion", ["average", "union"])
def test_supports_are_repeated_for_several_shots(
    local: list[Any], folder: Path, tmp_path: Path, engine: Engine, fusion: str
) -> None:
    (tmp_path / "second.png").write_bytes(encode(photograph(seed=9)))
    (tmp_path / "second.mask.png").write_bytes(grey_mask(~object_mask()))
    second = ["--support", tmp_path / "second.png", "--mask", tmp_path / "second.mask.png"]
    assert sgone(*local, *second, "--fusion", fusion, folder / "1.png").exit_code == 0
    mask = read_mask((tmp_path / "masks" / "1.png").read_bytes())
    assert_array_equal(mask, expected(engine, 1, shots=2, fusion=fusion))


def test_an_overlay_shows_the_query_outside_the_object(
    local: list[Any], folder: Path, tmp_path: Path, engine: Engine
) -> None:
    assert sgone(*local, "--overlay", folder / "1.png").exit_code == 0
    overlay = np.array(Image.open(tmp_path / "masks" / "1.overlay.png"))
    query, mask = photograph(37, 51, seed=1), expected(engine, 1) > 0
    assert_array_equal(overlay[~mask], query[~mask])
    assert (overlay[mask] != query[mask]).any()


def test_a_bad_query_is_named_and_the_rest_go_on(
    local: list[Any], folder: Path, tmp_path: Path
) -> None:
    (folder / "0.png").write_bytes(b"broken")
    result = sgone(*local, folder)
    assert result.exit_code == 1
    assert "0.png is broken" in result.stderr
    assert "1 of 3 queries failed" in result.stderr
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"1.png", "2.png"}


def test_two_queries_of_one_name_are_refused_before_any_work(
    local: list[Any], folder: Path, tmp_path: Path
) -> None:
    (folder / "1.jpg").write_bytes(encode(photograph(), "JPEG"))
    result = sgone(*local, folder)
    assert result.exit_code == 1
    assert "two queries would write" in result.stderr
    assert not (tmp_path / "masks").exists()


def test_a_query_is_never_overwritten(local: list[Any], folder: Path) -> None:
    before = (folder / "1.png").read_bytes()
    result = sgone(*local, "--out", folder, folder / "1.png")
    assert result.exit_code == 1
    assert "would overwrite a query" in result.stderr
    assert (folder / "1.png").read_bytes() == before


def test_a_folder_without_images_is_refused(local: list[Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = sgone(*local, tmp_path / "empty")
    assert (result.exit_code, "has no image" in result.stderr) == (1, True)


def test_supports_without_masks_are_a_usage_error(local: list[Any], folder: Path) -> None:
    result = sgone(*local, "--support", folder / "2.png", folder / "1.png")
    assert (result.exit_code, "2 --support but 1 --mask" in result.stderr) == (2, True)


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


def test_a_support_with_an_empty_mask_is_one_sentence(
    local: list[Any], folder: Path, pair: tuple[Path, Path]
) -> None:
    pair[1].write_bytes(grey_mask(object_mask() & False))
    sentence = one_sentence(sgone(*local, folder))
    assert sentence.startswith(f"Error: {pair[1]}: ")
    assert "no object pixel" in sentence


def test_a_folder_that_cannot_be_written_to_is_one_sentence(
    local: list[Any], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = sgone(*local, "--out", tmp_path / "file" / "masks", folder)
    assert "file" in result.stderr.splitlines()[-1]
    assert isinstance(result.exception, SystemExit)


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
    (tmp_path / "recipe.toml").write_text("steps = = 3")
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
