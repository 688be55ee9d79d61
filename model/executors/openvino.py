"""The network as OpenVINO runs it on a CPU: no pause at a new size, and without torch."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.checkpoint import Checkpoint
from model.episode import Fusion
from model.errors import DeviceError
from model.executors.export import graph_folder, load_graphs
from model.executors.openvino_graph import Arrays, Compiler, FixedShapes, Graph
from model.executors.protocol import EncodedShots, PreparedSupport, Sighting, split_shots
from model.executors.silent_openvino import hints, openvino, properties
from model.transforms import Pixels, enlarge, unite

TYPES = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}


class Unread(NamedTuple):
    """An image that goes through the backbone in one graph with the step that needs it."""

    image: Pixels


class OpenVinoExecutor:
    """An Executor on the CPU, for networks that read supports as they read queries.

    It keeps its graphs, and what OpenVINO makes of them, in the ``cache`` folder. ``precision``
    auto is bfloat16 where the processor multiplies it, else float32. At most ``fixed_shapes``
    graphs are compiled for the sizes that recur. DeviceError for an unknown precision.
    """

    name, device = "openvino", "cpu"

    def __init__(
        self,
        checkpoint: Checkpoint,
        cache: Path,
        precision: str,
        threads: int | None,
        fixed_shapes: int = 0,
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
        compiler = Compiler(options, graph_folder(checkpoint, cache) / "compiled")
        self.fixed_shapes = FixedShapes(compiler, fixed_shapes)
        self._graphs = {
            name: Graph(model, compiler, self.fixed_shapes)
            for name, model in load_graphs(checkpoint, cache).items()
        }

    def read(self, image: Pixels, once: bool = False) -> Arrays | Unread:
        """What is used ``once`` is read in one graph with its use."""
        unread = Unread(image)
        return unread if once else self._features(unread)

    def encode(self, support: PreparedSupport, features: Arrays | Unread) -> EncodedShots:
        """One support, read before -> arrays (1, 1, ...)."""
        mask = support.mask[None, None]
        if isinstance(features, Unread):
            return self._graphs["read_and_encode"].run(mask, features.image[None])
        return self._graphs["encode"].run(mask, *features)

    def find(
        self,
        features: Arrays | Unread,
        size: tuple[int, int],
        shots: EncodedShots,
        fusion: Fusion,
    ) -> Sighting:
        """A union compares with one shot after the other."""
        groups = [shots] if fusion == "average" else split_shots(shots)
        if len(groups) > 1:
            features = self._features(features)
        found = [self._find(features, group) for group in groups]
        logits = np.stack([one.logits for one in found])
        presence = max(one.presence for one in found)
        return Sighting(unite(enlarge(logits, size, self.align_corners)), presence)

    def memory_bytes(self) -> int:
        """0: on a CPU the process's own memory tells."""
        return 0

    def close(self) -> None:
        """Graphs refer to those of fixed shapes and back, and would wait for the collector."""
        self.fixed_shapes.close()
        self._graphs.clear()

    def _features(self, image: Arrays | Unread) -> Arrays:
        return self._graphs["read"].run(image.image[None]) if isinstance(image, Unread) else image

    def _find(self, features: Arrays | Unread, shots: EncodedShots) -> Sighting:
        """One group of shots, averaged -> (2, h', w') logits, and presence."""
        if isinstance(features, Unread):
            outputs = self._graphs["read_and_compare"].run(features.image[None], *shots)
        else:
            outputs = self._graphs["compare"].run(*features, *shots)
        logits, presence = outputs
        return Sighting(logits[0, 0], 1 / (1 + math.exp(-min(80.0, max(-80.0, presence.item())))))


def multiplies_bfloat16() -> bool:
    """Whether the processor does so natively (AMX, AVX-512 BF16)."""
    capabilities: list[str] = openvino.Core().get_property("CPU", properties.device.capabilities)
    return properties.device.Capability.BF16 in capabilities
