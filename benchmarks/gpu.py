"""The network on a CUDA GPU: time and throughput by size and batch, as a share of the GPU's peak.

    make bench-gpu

It needs no peer and no server. Requests, from prepared images to logits, are run as the service
runs them, with CUDA graphs and without; then the backbone alone, by size and batch: eager, as a
graph, and compiled. Every way is warmed up, and all of a line are measured in turn. Without a GPU
it says so, and `--device cpu` tries the script itself.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model.checkpoint import Checkpoint, load_checkpoint
from model.executors.choose import MANY
from model.executors.favourites import RECURS
from model.executors.protocol import EncodedShots, PreparedSupport, stack_shots
from model.executors.torch import TorchExecutor, choose_device, choose_precision
from noise import draw
from service.settings import read_settings
from timing import Way, interleave

SIZES = ((289, 385), (321, 321), (513, 513))
BATCHES = (1, 8, 32)
COMPILED = (321, 321)
"""The one size that torch.compile is tried at: it takes up to a minute a batch."""
SHOTS = 5
PEAK_SIDE = 8192
"""Of the square matrices whose product is the peak that shares are of."""


def main() -> None:
    """Print a line for each case, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args()
    settings = read_settings()
    device = choose_device(options.device)
    checkpoint = load_checkpoint(settings.checkpoint)
    precision = choose_precision(settings.precision, device)
    peak = peak_flops(device, precision)
    eager = executor_of(checkpoint, device, precision, graphs=0)
    print(f"{name_of(device)}: {peak / 1e12:.0f} TFLOP/s", file=sys.stderr)
    measured: dict[str, Any] = {
        "device": name_of(device),
        "torch": torch.__version__,
        "checkpoint": settings.checkpoint.stem,
        "precision": str(precision),
        "peak_flops": peak,
        "requests": {},
        "backbone": {},
    }
    graphs = executor_of(checkpoint, device, precision, graphs=MANY)
    for name, ways in requests(eager, graphs).items():
        times = interleave(ways, options.rounds)
        measured["requests"][name] = times
        tell(name, times)
    measured["recording_ms"] = recording_ms(checkpoint, device, precision)
    measured["memory_bytes"] = graphs.memory_bytes()
    backbone = eager.network.backbone
    for height, width in SIZES:
        for batch in BATCHES:
            pixels = eager.network_input(
                torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
            )
            compiled = (height, width) == COMPILED and not options.no_compile
            times = interleave(ways_of(backbone, pixels, compiled), options.rounds)
            work = flops(backbone, pixels)
            share = {
                name: work / (time_ms["median"] / 1e3) / peak for name, time_ms in times.items()
            }
            measured["backbone"][f"{batch}x{width}x{height}"] = {
                "ms": times,
                "share_of_peak": share,
            }
            tell(f"{batch} x {width}x{height}", times)
    json.dump(measured, sys.stdout, indent=1)


def executor_of(
    checkpoint: Checkpoint, device: torch.device, precision: torch.dtype, graphs: int
) -> TorchExecutor:
    """One of its own: a network belongs to its executor."""
    return TorchExecutor(checkpoint.network, checkpoint.transform, device, precision, graphs)


def requests(eager: TorchExecutor, graphs: TorchExecutor) -> dict[str, dict[str, Way]]:
    """What a request costs behind the decoding and before the rendering."""
    executors = {"eager": eager, "graph": graphs}
    kept = encode(eager, PreparedSupport(*draw(COMPILED)), 1)
    cases: dict[str, Callable[[TorchExecutor], object]] = {
        "1 shot": partial(segment, shots=1),
        "1 shot, kept": partial(compare, shots=kept),
        f"{SHOTS} shots": partial(segment, shots=SHOTS),
    }
    return {
        case: {name: partial(run, executor) for name, executor in executors.items()}
        for case, run in cases.items()
    }


def segment(executor: TorchExecutor, shots: int) -> None:
    """A request with fresh supports, as the engine runs it."""
    image, mask = draw(COMPILED)
    kept = encode(executor, PreparedSupport(image, mask), shots)
    executor.find(executor.read(image, once=True), COMPILED, kept, "average")


def compare(executor: TorchExecutor, shots: EncodedShots) -> None:
    """A request whose supports are at hand."""
    image, _ = draw(COMPILED)
    executor.find(executor.read(image, once=True), COMPILED, shots, "average")


def encode(executor: TorchExecutor, support: PreparedSupport, shots: int) -> EncodedShots:
    """The same support, read and encoded ``shots`` times."""
    return stack_shots(
        executor.encode(support, executor.read(support.image, once=True)) for _ in range(shots)
    )


def recording_ms(
    checkpoint: Checkpoint, device: torch.device, precision: torch.dtype
) -> dict[str, float]:
    """How long a one-shot request takes at a new size: the first time, and while it is recorded."""
    executor = executor_of(checkpoint, device, precision, graphs=MANY)
    taken = {}
    for number in range(RECURS + 2):
        started = time.perf_counter()
        segment(executor, shots=1)
        taken[f"request {number + 1}"] = (time.perf_counter() - started) * 1e3
    tell("at a new size", {name: {"median": each} for name, each in taken.items()})
    return taken


def ways_of(backbone: torch.nn.Module, pixels: Tensor, compiled: bool) -> dict[str, Way]:
    """One batch through the backbone, done when the call returns."""
    found: dict[str, Way] = {"eager": lambda: backbone(pixels)}
    if pixels.is_cuda:
        found["graph"] = captured(backbone, pixels)
    if compiled:
        found["compiled"] = partial(torch.compile(backbone, dynamic=False), pixels)
    return {name: finished(way, pixels.device) for name, way in found.items()}


def captured(backbone: torch.nn.Module, pixels: Tensor) -> Way:
    """The same kernels, launched together."""
    with torch.inference_mode():
        backbone(pixels)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            backbone(pixels)
    return graph.replay


def finished(way: Way, device: torch.device) -> Way:
    """Without gradients; on CUDA, wait for the work that was only launched."""

    def run() -> None:
        with torch.inference_mode():
            way()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def flops(backbone: torch.nn.Module, pixels: Tensor) -> float:
    """Of one batch: two for each multiplication with its addition."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        backbone(pixels)
    return float(counter.get_total_flops())


def peak_flops(device: torch.device, precision: torch.dtype) -> float:
    """Measured with one large product of matrices."""
    side = PEAK_SIDE if device.type == "cuda" else PEAK_SIDE // 8
    matrix = torch.randn(side, side, device=device, dtype=precision)
    product = finished(lambda: matrix @ matrix, device)
    product()
    started = time.perf_counter()
    for _ in range(10):
        product()
    return 10 * 2 * side**3 / (time.perf_counter() - started)


def name_of(device: torch.device) -> str:
    """For the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def tell(case: str, times: Mapping[str, Mapping[str, float]]) -> None:
    """One line for people."""
    medians = ", ".join(f"{name} {each['median']:.2f} ms" for name, each in times.items())
    print(f"{case}: {medians}", file=sys.stderr)


if __name__ == "__main__":
    main()
