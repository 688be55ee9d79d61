"""The tier without HTTP: the network's query pass, and a whole request, against other ways."""

import json
import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handler import Form, Handler
from masks import iou, read_mask
from model.network.backbone import normalise
from model.network.sgone import SGOne
from photographs import NAMES, SEED, crop
from plan import LARGE
from query_pass import load_network, openvino_pass, our_pass, save_random_vgg
from reference import segment_naively
from service.images.codec import Part, decode_photograph, decode_support
from service.images.render import mask_png
from service.images.shape import shape_mask
from service.inference.engine import Engine
from service.options import Options
from service.settings import PILLOW_MAX_PIXELS, Settings, read_settings
from timing import interleave

SIZES = ((321, 321), (313, 417), (513, 513))
"""Network sizes: a square, a 500x375 photograph, and a larger square."""
FIELDS = ("support_image", "support_mask", "query_image")
VGG_ROUNDS = 5


def compare_query_passes(settings: Settings, rounds: int) -> dict[str, Any]:
    """Ours against OpenVINO alone, at each size, and the largest difference of their logits."""
    engine = Engine.load(settings)
    measured = {}
    for size in SIZES:
        ours = our_pass(engine, size)
        alone = openvino_pass(
            engine.checkpoint, size, settings.threads or 1, engine.executor.precision
        )
        times = interleave({"ours": ours, "openvino": alone}, rounds)
        times["largest_difference"] = float(np.abs(ours() - alone()).max())
        measured[f"{size[1]}x{size[0]}"] = times
        print(f"  {settings.checkpoint.stem} {size}: {medians(times)}", file=sys.stderr)
    return measured


def compare_requests(settings: Settings, rounds: int) -> dict[str, Any]:
    """Bytes to PNG with the paper's network: our handler, and the reference's way."""
    draw = random.Random(SEED)
    shot, query = crop(draw, NAMES[0], LARGE), crop(draw, NAMES[1], LARGE).image
    form = {"support_image": [shot.image], "support_mask": [shot.mask], "query_image": [query]}
    handler = Handler(settings, Engine.load(settings))
    network = load_network(handler.engine.checkpoint)

    def ours() -> bytes:
        return handler(form)

    def reference() -> bytes:
        return answer_naively(handler.engine, network, form)

    times = interleave({"ours": ours, "reference": reference}, rounds)
    times["iou"] = iou(read_mask(reference()), ours())
    print(f"  one-shot request: {medians(times)}, IoU {times['iou']:.4f}", file=sys.stderr)
    return times


def answer_naively(engine: Engine, network: SGOne, form: Form) -> bytes:
    """The handler's request by the reference's way; decoding and rendering are the service's."""
    (image,), (mask,), (sent,) = (form[field] for field in FIELDS)
    support = decode_support(Part("i", image), Part("m", mask), PILLOW_MAX_PIXELS)
    photograph = decode_photograph(Part("q", sent), PILLOW_MAX_PIXELS)
    prepared = engine.predictor.prepare_support(support)
    query = engine.predictor.prepare_query(photograph, refined=True)
    images = [
        normalise(torch.from_numpy(pixels)[None], engine.checkpoint.transform)
        for pixels in (prepared.image, query.image)
    ]
    logits = segment_naively(network, images[0], torch.from_numpy(prepared.mask)[None], images[1])
    probability = engine.predictor.restore(logits[0].numpy(), query.size, query.guide)
    return mask_png(shape_mask(probability, engine.checkpoint.decision.object_threshold, Options()))


def medians(times: Mapping[str, Any]) -> str:
    """For the progress line."""
    spreads = {name: value for name, value in times.items() if isinstance(value, dict)}
    return ", ".join(f"{name} {value['median']:.1f} ms" for name, value in spreads.items())


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
