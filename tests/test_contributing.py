"""CONTRIBUTING.md shows the house as it stands."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PICTURE, LAYERS = (block for language, block in BLOCKS if not language)
each_package = pytest.mark.parametrize("package", ["service", "model"])


@each_package
def test_the_picture_draws_every_wing_and_every_module_beside_them(package: str) -> None:
    drawn = re.split(r"^(\w+)/ .*\n", PICTURE, flags=re.MULTILINE)
    rooms = drawn[drawn.index(package) + 1]
    lines = [line for line in rooms.splitlines() if line.startswith(" ")]
    names = re.findall(r"\w+\.py|(?<=^  )\w+/", "\n".join(lines), re.MULTILINE)
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / package).iterdir()
        if not path.name.startswith("__")
    }
    assert sorted(names) == sorted(there)


@each_package
def test_the_layers_are_those_that_are_checked(package: str) -> None:
    words = re.split(r"\b(service|model)\b", LAYERS)
    written = [
        set(re.findall(r"\w+", layer)) for layer in words[words.index(package) + 1].split(">")
    ]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == [package]
    )
    assert written == [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]


def test_every_path_that_is_named_is_there() -> None:
    named = set(
        re.findall(r"`((?:service|model|docs|tests|benchmarks|docker|release)/[\w./]*)`", TEXT)
    )
    missing = {path for path in named if not (ROOT / path.replace("NAME", "sgone")).exists()}
    assert named and not missing
