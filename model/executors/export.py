"""A network as OpenVINO graphs of free height and width, made by torch once and kept on disk."""

import functools
import hashlib
import importlib.util
import logging
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from model.checkpoint import Checkpoint, write_atomically
from model.errors import DeviceError
from model.executors.portable import Graphs, graphs_path, pack, unpack
from model.executors.silent_openvino import openvino
from model.text import read_text

STEPS = ("read", "encode", "compare")
"""The graphs: an image through the backbone; a support kept; a query compared with supports.

Two more join the first with each of the others. Features that stay inside one graph are not written
out in rows and columns, which takes as long as half the network.
"""
FEATURES_AT = {"encode": 1, "compare": 0}
"""Where among the inputs of these graphs the features stand."""
_log = logging.getLogger(__name__)


def load_graphs(checkpoint: Checkpoint, cache: Path) -> Graphs:
    """The graphs of STEPS and ``read_and_encode``, ``read_and_compare``.

    STEPS are those that travel with the checkpoint, or else torch makes them, and they are kept in
    the ``cache`` folder. Where it cannot be written, they are made at each start. DeviceError where
    torch is needed and not installed.
    """
    graphs = _load_steps(checkpoint, cache)
    for step, place in FEATURES_AT.items():
        graphs[f"read_and_{step}"] = _join(graphs["read"], graphs[step], place)
    return graphs


def _join(read: openvino.Model, step: openvino.Model, place: int) -> openvino.Model:
    """One graph, which takes an image where ``step`` takes its features."""
    read, step = read.clone(), step.clone()
    parameters = step.get_parameters()
    end = place + len(read.outputs)
    for parameter, result in zip(parameters[place:end], read.get_results(), strict=True):
        parameter.output(0).replace(result.input_value(0))
    inputs = [*parameters[:place], *read.get_parameters(), *parameters[end:]]
    return openvino.Model(step.get_results(), inputs)


def write_portable(checkpoint: Checkpoint) -> Path:
    """Make the graphs that travel with a checkpoint; the file that they lie in, beside it."""
    path = graphs_path(checkpoint.path)
    write_atomically(path, pack(_make(checkpoint), checkpoint, graphs_origin(checkpoint)))
    return path


def _load_steps(checkpoint: Checkpoint, cache: Path) -> Graphs:
    if carried := unpack(checkpoint, graphs_origin(checkpoint)):
        return carried
    folder = graph_folder(checkpoint, cache)
    core = openvino.Core()
    with suppress(RuntimeError):  # no such file, or a broken one
        return {step: core.read_model(folder / f"{step}.xml") for step in STEPS}
    graphs = _make(checkpoint)
    try:
        _keep(graphs, folder)
    except OSError as error:
        _log.warning("the graphs of %s are not kept: %s", checkpoint.path.name, error)
    return graphs


def _make(checkpoint: Checkpoint) -> Graphs:
    if importlib.util.find_spec("torch") is None:
        raise DeviceError(
            f"no graphs of this release lie beside {checkpoint.path}, and torch, which makes them, "
            f"is not installed; run sgone graphs {checkpoint.path.name} where it is, or "
            "pip install 'sg-one-service[torch]'"
        )
    _log.info("preparing %s for this processor; later starts need not", checkpoint.path.name)
    from model.executors.tracing import trace_steps  # torch takes seconds; only this needs it

    return dict(zip(STEPS, trace_steps(checkpoint), strict=True))


def graph_folder(checkpoint: Checkpoint, cache: Path) -> Path:
    """A folder for all that decides the graphs: their origin, and OpenVINO."""
    decisive = f"{graphs_origin(checkpoint)} {openvino.__version__}"
    digest = hashlib.sha256(decisive.encode()).hexdigest()
    return cache / f"{checkpoint.path.stem}-{digest[:16]}"


def graphs_origin(checkpoint: Checkpoint) -> str:
    """What decides the graphs, whatever OpenVINO reads them: the weights and the network's code."""
    return hashlib.sha256(checkpoint.sha256.encode() + _code()).hexdigest()


@functools.cache
def _code() -> bytes:
    """The sources that decide what a graph computes, read once a process."""
    package = Path(__file__).parents[1]
    network = sorted((package / "network").glob("*.py"))
    sources = [package / "checkpoint.py", package / "executors" / "tracing.py", *network]
    return "".join(map(read_text, sources)).encode()


def _keep(graphs: Graphs, folder: Path) -> None:
    """Write the folder in one step, so that no other process reads half of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
    try:
        for step, graph in graphs.items():
            openvino.serialize(graph, draft / f"{step}.xml")
        draft.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
