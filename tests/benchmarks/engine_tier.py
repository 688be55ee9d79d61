"""The tier without HTTP: the network's query pass, and a whole request, against other ways."""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from figures import spread
from handler import Handler
from model.backbone import normalise
from model.checkpoint import load_checkpoint
from model.transforms import resize_image, resize_mask
from photographs import NAMES, SEED, crop
from plan import LARGE
from query_pass import load_network, openvino_pass, our_pass, save_random_vgg
from reference import segment_naively
from service.codec import Part, decode_photograph, decode_support
from service.engine import Engine
from service.settings import Settings, read_settings

SIZES = ((321, 321), (313, 417), (513, 513))
"""Network sizes: a square, a 500x375 photograph, and a larger square."""
VGG_ROUNDS = 5
WARM_UP = 1

Way = Callable[[], Any]


def interleave(ways: Mapping[str, Way], rounds: int) -> dict[str, Any]:
    """Milliseconds of each way, taken in turn; every round begins with the next of them."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-WARM_UP, rounds):
        names = list(ways)
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            started = time.perf_counter()
            ways[name]()
            if number >= 0:
                taken[name].append((time.perf_counter() - started) * 1e3)
    return {name: spread(values) for name, values in taken.items()}


def compare_query_passes(settings: Settings, rounds: int) -> dict[str, Any]:
    """Ours against OpenVINO alone, at each size; the logits of both must agree."""
    engine, network = Engine.load(settings), load_network(settings.checkpoint)
    measured = {}
    for size in SIZES:
        ours = our_pass(engine, size)
        alone = openvino_pass(network, size, settings.threads or 1)
        times = interleave({"ours": ours, "openvino": alone}, rounds)
        measured[f"{size[1]}x{size[0]}"] = times
        print(f"  {settings.checkpoint.stem} {size}: {medians(times)}", file=sys.stderr)
    return measured


def compare_requests(settings: Settings, rounds: int) -> dict[str, Any]:
    """Bytes to mask with the paper's network: our handler, and the reference's way."""
    draw = random.Random(SEED)
    shot, query = crop(draw, NAMES[0], LARGE), crop(draw, NAMES[1], LARGE).image
    handler, network = Handler(settings, Engine.load(settings)), load_network(settings.checkpoint)
    files = {
        "support_image": [shot.image],
        "support_mask": [shot.mask],
        "query_image": [query],
    }
    pixels = settings.max_image_pixels
    transform = load_checkpoint(settings.checkpoint).transform

    def naive() -> Any:
        support = decode_support(Part("i", shot.image), Part("m", shot.mask), pixels)
        photograph = decode_photograph(Part("q", query), pixels)
        size = SIZES[1]
        images = [
            normalise(torch.as_tensor(resize_image(image, size))[None], transform)
            for image in (support.image, photograph)
        ]
        mask = torch.as_tensor(resize_mask(support.mask, size))[None]
        logits = segment_naively(network, images[0], mask, images[1])
        return logits.argmax(dim=1).numpy()

    times = interleave({"ours": lambda: handler(files), "reference": naive}, rounds)
    print(f"  one-shot request: {medians(times)}", file=sys.stderr)
    return times


def medians(times: Mapping[str, Mapping[str, float]]) -> str:
    """For the progress line."""
    return ", ".join(f"{name} {value['median']:.1f} ms" for name, value in times.items())


def main(rounds: int, threads: int) -> None:
    """Print everything as JSON."""
    torch.set_num_threads(threads)
    settings = read_settings()
    with tempfile.TemporaryDirectory() as folder:
        vgg = read_settings(checkpoint=save_random_vgg(Path(folder)))
        few = min(rounds, VGG_ROUNDS)
        measured = {
            "query_pass": {
                "fast": compare_query_passes(settings, rounds),
                "vgg16": compare_query_passes(vgg, few),
            },
            "request_vgg16": compare_requests(vgg, few),
        }
    json.dump(measured, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
