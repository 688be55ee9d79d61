"""The network as OpenVINO runs it on a CPU: no pause at a new size, and without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.episode import Fusion
from model.errors import DeviceError
from model.execution import EncodedShots, PreparedSupport, split_shots
from model.export import graph_folder, load_graphs
from model.silent_openvino import hints, openvino, properties
from model.transforms import Logits, Pixels, enlarge, unite

Arrays = tuple[NDArray[Any], ...]
TYPES = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}


class OpenVinoExecutor:
    """An Executor on the CPU, for networks that read supports as they read queries.

    It keeps its graphs, and what OpenVINO makes of them, in the ``cache`` folder. ``precision``
    auto is bfloat16 where the processor multiplies it, else float32. DeviceError for an unknown
    one.
    """

    name, device = "openvino", "cpu"

    def __init__(
        self, checkpoint: Checkpoint, cache: Path, precision: str, threads: int | None
    ) -> None:
        if precision == "auto":
            precision = "bfloat16" if multiplies_bfloat16() else "float32"
        if precision not in TYPES:
            raise DeviceError(
                f"precision {precision!r} is unknown; choose auto, bfloat16 or float32"
            )
        self.precision = precision
        self.transform = checkpoint.transform
        self.align_corners = checkpoint.architecture.align_corners
        options = {
            hints.performance_mode: hints.PerformanceMode.LATENCY,
            hints.inference_precision: TYPES[precision],
            # Pinned threads of two processes would share one core and leave another idle.
            hints.enable_cpu_pinning: False,
            **({properties.inference_num_threads: threads} if threads else {}),
        }
        # A folder of this checkpoint's own: OpenVINO may tell graphs apart by their shape alone.
        compiled = graph_folder(checkpoint, cache) / "compiled"
        core = openvino.Core()
        self._steps = {
            step: _compile(core, graph, options, compiled).create_infer_request()
            for step, graph in load_graphs(checkpoint, cache).items()
        }

    def read(self, images: Sequence[Pixels]) -> list[Arrays]:
        """One by one: batches gain nothing on a CPU."""
        return [self._run("read", (image[None],)) for image in images]

    def encode(self, support: PreparedSupport, features: Arrays) -> EncodedShots:
        """One support, read before -> arrays (1, 1, ...)."""
        shots: EncodedShots = self._run("encode", (support.mask[None, None], *features))
        return shots

    def compare(
        self, features: Arrays, size: tuple[int, int], shots: EncodedShots, fusion: Fusion
    ) -> Logits:
        """A union compares with one shot after the other."""
        groups = [shots] if fusion == "average" else split_shots(shots)
        logits = [self._run("compare", (*features, *group))[0][0, 0] for group in groups]
        return unite(enlarge(np.stack(logits), size, self.align_corners))

    def memory_bytes(self) -> int:
        """What lies in the process's own memory is not the device's."""
        return 0

    def _run(self, step: str, inputs: Arrays) -> Arrays:
        """The outputs are copies: the next run writes over the request's own."""
        outputs = self._steps[step].infer(
            [np.ascontiguousarray(array) for array in inputs], share_inputs=True
        )
        return tuple(outputs.to_tuple())


def _compile(
    core: openvino.Core, graph: openvino.Model, options: dict[str, Any], cache: Path
) -> openvino.CompiledModel:
    """What is compiled is kept where the folder can be written: it loads in a fifth of the time."""
    try:
        return core.compile_model(graph, "CPU", {**options, properties.cache_dir: str(cache)})
    except RuntimeError:
        return core.compile_model(graph, "CPU", options)


def multiplies_bfloat16() -> bool:
    """Whether the processor does so natively (AMX, AVX-512 BF16)."""
    capabilities: list[str] = openvino.Core().get_property("CPU", properties.device.capabilities)
    return properties.device.Capability.BF16 in capabilities
