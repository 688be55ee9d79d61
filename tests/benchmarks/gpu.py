"""The network on a CUDA GPU: time and throughput by size and batch, as a share of the GPU's peak.

    make bench-gpu

It needs no peer and no server. Each way is measured in turn, after a warm-up: eager, as the service
runs it; a CUDA graph of the backbone; and torch.compile. What pays for itself here belongs into
``model/torch_executor.py``. Without a GPU it says so, and `--device cpu` tries the script itself.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from engine_tier import interleave
from model.checkpoint import load_checkpoint
from model.torch_executor import TorchExecutor, choose_device, choose_precision
from service.settings import read_settings

SIZES = ((289, 385), (321, 321), (513, 513))
BATCHES = (1, 8, 32)
PEAK_SIDE = 8192
"""Of the square matrices whose product is the peak that shares are of."""

Way = Callable[[], object]


def main() -> None:
    """Print a line for each size and batch, then everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    settings = read_settings()
    device = choose_device(options.device)
    checkpoint = load_checkpoint(settings.checkpoint)
    precision = choose_precision(settings.precision, device)
    executor = TorchExecutor(checkpoint.network, checkpoint.transform, device, precision)
    peak = peak_flops(device, precision)
    measured: dict[str, Any] = {"device": name_of(device), "peak_flops": peak}
    for height, width in SIZES:
        for batch in BATCHES:
            images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
            pixels = executor.network_input(images)
            times = interleave(ways(executor.network.backbone, pixels), options.rounds)
            share = {
                name: flops(executor.network.backbone, pixels) / (time_ms["median"] / 1e3) / peak
                for name, time_ms in times.items()
            }
            measured[f"{batch}x{width}x{height}"] = {"ms": times, "share_of_peak": share}
            medians = ", ".join(f"{n} {t['median']:.2f} ms" for n, t in times.items())
            print(f"{batch} x {width}x{height}: {medians}", file=sys.stderr)
    json.dump(measured, sys.stdout, indent=1)


def ways(backbone: torch.nn.Module, pixels: Tensor) -> dict[str, Way]:
    """One batch through the backbone, done when the call returns."""
    compiled = torch.compile(backbone, dynamic=False)
    found = {"eager": lambda: backbone(pixels), "compiled": lambda: compiled(pixels)}
    if pixels.is_cuda:
        found["graph"] = captured(backbone, pixels)
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


if __name__ == "__main__":
    main()
