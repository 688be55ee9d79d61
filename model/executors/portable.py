"""Graphs that travel beside a checkpoint, so that no torch is needed to serve it.

``NAME.graphs`` is a ZIP. Of each graph it holds OpenVINO's XML and a list of its constants:
tensors of the checkpoint by name, and in hexadecimal the few others.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.executors.silent_openvino import openvino

Graphs = dict[str, openvino.Model]
ORIGIN = "origin.json"
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def graphs_path(checkpoint: Path) -> Path:
    """Where the graphs of a checkpoint lie."""
    return checkpoint.with_suffix(".graphs")


def pack(graphs: Graphs, checkpoint: Checkpoint, origin: str) -> bytes:
    """The file's content; ``origin`` names all that decides the graphs."""
    content = BytesIO()
    tensors = {array.tobytes(): name for name, array in _tensors(checkpoint)}
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as archive:
        _write(archive, ORIGIN, json.dumps({"origin": origin, "openvino": openvino.__version__}))
        for step, graph in graphs.items():
            xml, constants = _serialise(graph)
            _write(archive, f"{step}.xml", xml.decode())
            _write(archive, f"{step}.json", json.dumps(list(_pieces(xml, constants, tensors))))
    return content.getvalue()


def unpack(checkpoint: Checkpoint, origin: str) -> Graphs | None:
    """The graphs beside a checkpoint; None where there are none of this origin, or broken ones."""
    tensors = dict(_tensors(checkpoint))
    try:
        with zipfile.ZipFile(graphs_path(checkpoint.path)) as archive:
            if json.loads(archive.read(ORIGIN))["origin"] != origin:
                return None
            steps = [Path(name).stem for name in archive.namelist() if name.endswith(".xml")]
            return {step: _read(archive, step, tensors) for step in steps}
    # No file, another format, or an IR that is younger than this OpenVINO.
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, RuntimeError):
        return None


def _serialise(graph: openvino.Model) -> tuple[bytes, bytes]:
    """OpenVINO writes to named files only."""
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / "graph.xml"
        openvino.serialize(graph, xml)
        return xml.read_bytes(), xml.with_suffix(".bin").read_bytes()


def _read(
    archive: zipfile.ZipFile, step: str, tensors: Mapping[str, NDArray[Any]]
) -> openvino.Model:
    pieces = json.loads(archive.read(f"{step}.json"))
    constants = b"".join(
        tensors[piece["tensor"]].tobytes() if "tensor" in piece else bytes.fromhex(piece["bytes"])
        for piece in pieces
    )
    weights = openvino.Tensor(np.frombuffer(constants, np.uint8))
    return openvino.Core().read_model(archive.read(f"{step}.xml"), weights)


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield what torch reads from the checkpoint: each tensor in float32, by its name."""
    for name, array in checkpoint.weights.items():
        if np.issubdtype(array.dtype, np.floating):
            yield name, array.astype(np.float32)


def _pieces(xml: bytes, constants: bytes, tensors: Mapping[bytes, str]) -> Iterator[dict[str, str]]:
    """Yield what the constants are, from the first byte to the last."""
    end = 0
    for start, size in sorted(_places(xml)):
        if start < end:  # two constants share their bytes
            continue
        data = constants[start : start + size]
        if start > end:
            yield {"bytes": constants[end:start].hex()}
        yield {"tensor": tensors[data]} if data in tensors else {"bytes": data.hex()}
        end = start + size
    if end < len(constants):
        yield {"bytes": constants[end:].hex()}


def _places(xml: bytes) -> set[tuple[int, int]]:
    """Where the constants stand, as (offset, size)."""
    data = (place.attrib for place in ElementTree.fromstring(xml).iter("data"))
    return {(int(of["offset"]), int(of["size"])) for of in data if "offset" in of and "size" in of}


def _write(archive: zipfile.ZipFile, name: str, text: str) -> None:
    """Without the time of day, so that the same graphs are the same bytes."""
    member = zipfile.ZipInfo(name, _EARLIEST)
    member.compress_type = zipfile.ZIP_LZMA
    archive.writestr(member, text)
