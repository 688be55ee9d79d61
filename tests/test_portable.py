"""Graphs that travel with a checkpoint are what torch would make of it now."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint, load_checkpoint
from model.executors.export import STEPS, graphs_origin, load_graphs, write_portable
from model.executors.portable import graphs_path, unpack
from model.executors.silent_openvino import openvino
from model.executors.tracing import trace_steps

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "weights").glob("*.safetensors"))


def graph_text(graph: openvino.Model) -> list[str]:
    """Every operation in order: its kind, attributes, inputs, shapes, and a constant's bytes."""
    places: dict[str, int] = {}
    lines = []
    for place, operation in enumerate(graph.get_ordered_ops()):
        places[operation.get_name()] = place
        sources = [
            (places.get(value.get_node().get_name()), value.get_index())
            for value in operation.input_values()
        ]
        shapes = [(value.element_type, value.partial_shape) for value in operation.outputs()]
        attributes = {
            name: value
            for name, value in operation.get_attributes().items()
            if not re.search("variable|name", name)
        }
        data = operation.data.tobytes() if operation.get_type_name() == "Constant" else b""
        lines.append(f"{operation.get_type_name()} {attributes} {sources} {shapes} {hash(data)}")
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_graphs_are_those_that_torch_makes_now(path):
    checkpoint = load_checkpoint(path)
    carried = unpack(checkpoint, graphs_origin(checkpoint))
    assert carried, "weights or network have changed: make graphs"
    for step, made in zip(STEPS, trace_steps(checkpoint), strict=True):
        assert graph_text(carried[step]) == graph_text(made), f"{step}: make graphs"


def test_shipped_graphs_are_small():
    assert [path.name for path in SHIPPED if graphs_path(path).stat().st_size > 200_000] == []


def test_graphs_beside_a_checkpoint_need_neither_torch_nor_a_cache(
    checkpoint, tmp_path, monkeypatch
):
    loaded = copy_of(checkpoint, tmp_path)
    write_portable(loaded)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # as if nothing were installed
    assert {*STEPS} < {*load_graphs(loaded, tmp_path / "cache")}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("fault", ["other weights", "other code", "cut short", "not a ZIP"])
def test_graphs_that_do_not_fit_are_not_used(checkpoint, tmp_path, fault):
    loaded = copy_of(checkpoint, tmp_path)
    path = write_portable(loaded)
    content, origin = path.read_bytes(), graphs_origin(loaded)
    if fault == "other weights":
        origin = graphs_origin(dataclasses.replace(loaded, sha256="0" * 64))
    if fault == "other code":
        origin = "0" * 64
    if fault == "cut short":
        path.write_bytes(content[: len(content) // 2])
    if fault == "not a ZIP":
        path.write_bytes(b"graphs")
    assert unpack(loaded, origin) is None


def test_graphs_are_read_as_they_were_written(checkpoint, tmp_path):
    loaded = copy_of(checkpoint, tmp_path)
    write_portable(loaded)
    carried = unpack(loaded, graphs_origin(loaded))
    assert carried
    for step, made in zip(STEPS, trace_steps(loaded), strict=True):
        assert graph_text(carried[step]) == graph_text(made)


@pytest.mark.slow
@pytest.mark.parametrize("command", [["--help"], ["info"], ["segment"], ["train"]])
def test_without_torch_serving_commands_work_and_others_say_what_is_missing(tmp_path, command):
    arguments = {
        "segment": ["--support", "examples/astronaut.jpg", "--mask",
                    "examples/astronaut.mask.png", "examples/photographer.jpg",
                    "--out", str(tmp_path / "masks")],
        "train": ["model/configs/matching.toml"],
    }.get(command[0], [])  # fmt: skip
    program = (
        "import sys; sys.modules.update(torch=None, torchvision=None, matplotlib=None); "
        "from service.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command, *arguments],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if command == ["train"]:
        assert done.returncode == 1 and "sg-one-service[train]" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    else:
        assert done.returncode == 0, done.stderr


def copy_of(path: Path, folder: Path) -> Checkpoint:
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return load_checkpoint(copy)
