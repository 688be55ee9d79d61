"""The requests of every workload, and the mask that each must be answered with.

All are crops of the example photographs, drawn from one seed.
"""

import random
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from plan import LARGE, PLANS, ROOT, TINY, Workload

NAMES = ("astronaut", "grace_hopper", "photographer")
SHOTS: dict[Workload, int] = {"tiny": 1, "fresh": 1, "repeated": 1, "kshot": 5}
# The least share of a crop that its object covers.
LEAST_OBJECT = 0.08
BOUNDARY = "sgone-benchmark"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
SEED = 1385


@dataclass(frozen=True)
class Shot:
    """One photograph and its mask, encoded."""

    image: bytes
    mask: bytes


def write_requests(folder: Path, workload: Workload, count: int) -> None:
    """``folder/WORKLOAD/N.body`` for N below ``count``: bodies of multipart forms."""
    target = folder / workload
    target.mkdir(parents=True, exist_ok=True)
    draw = random.Random(SEED)
    size = TINY if workload == "tiny" else LARGE
    kept = [crop(draw, NAMES[0], size) for _ in range(SHOTS[workload])]
    for number in range(count):
        if workload != "repeated":
            names = [NAMES[(number + shot) % 2] for shot in range(SHOTS[workload])]
            kept = [crop(draw, name, size) for name in names]
        query = crop(draw, NAMES[2 if number % 2 else 1], size).image
        (target / f"{number}.body").write_bytes(multipart(form(kept, query)))


def form(shots: list[Shot], query: bytes) -> list[tuple[str, str, bytes]]:
    """(field, media type, content) of each part, in the order that the service documents."""
    supports = [
        part
        for shot in shots
        for part in (
            ("support_image", "image/jpeg", shot.image),
            ("support_mask", "image/png", shot.mask),
        )
    ]
    return [*supports, ("query_image", "image/jpeg", query)]


def multipart(parts: list[tuple[str, str, bytes]]) -> bytes:
    """The form's body, as a browser or curl would send it."""
    lines: list[bytes] = []
    for field, media_type, content in parts:
        suffix = media_type.removeprefix("image/")
        lines += [
            f"--{BOUNDARY}\r\n"
            f'Content-Disposition: form-data; name="{field}"; filename="{field}.{suffix}"\r\n'
            f"Content-Type: {media_type}\r\n\r\n".encode(),
            content,
            b"\r\n",
        ]
    return b"".join([*lines, f"--{BOUNDARY}--\r\n".encode()])


def crop(draw: random.Random, name: str, size: tuple[int, int]) -> Shot:
    """A random part of an example, at least 70 % of the largest of that aspect, with its object."""
    height, width = size
    photograph = Image.open(ROOT / "examples" / f"{name}.jpg").convert("RGB")
    mask = Image.open(ROOT / "examples" / f"{name}.mask.png").convert("L")
    largest = min(photograph.width / width, photograph.height / height)
    while True:
        scale = largest * draw.uniform(0.7, 1.0)
        left = draw.uniform(0, photograph.width - scale * width)
        top = draw.uniform(0, photograph.height - scale * height)
        box = (left, top, left + scale * width, top + scale * height)
        part = mask.resize((width, height), Image.Resampling.NEAREST, box=box)
        if part.histogram()[255] >= LEAST_OBJECT * width * height:
            break
    resized = photograph.resize((width, height), Image.Resampling.LANCZOS, box=box)
    return Shot(encode(resized, "JPEG", quality=90), encode(part, "PNG"))


def encode(image: Image.Image, kind: str, **options: int) -> bytes:
    """The file's bytes."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def main(folder: str, plan: str, *workloads: Workload) -> None:
    """Write requests, and ``N.png`` beside each ``N.body``: what the handler answers in here."""
    from forms import read_multipart
    from handler import load_handler  # torch comes with it

    handler = load_handler()
    for workload in workloads:
        write_requests(Path(folder), workload, PLANS[plan].photographs)
        for path in sorted((Path(folder) / workload).glob("*.body")):
            path.with_suffix(".png").write_bytes(handler(read_multipart(path.read_bytes())))


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
