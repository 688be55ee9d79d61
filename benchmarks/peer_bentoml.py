"""BentoML: a service of file inputs; its blocking method runs on a thread of the worker's pool."""

import os
from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType

from handler import load_handler

# Enough threads that one request is decoded while another is in the network.
THREADS = 4


@bentoml.service(
    workers=int(os.environ["BENCH_WORKERS"]),
    threads=THREADS,
    traffic={"timeout": float(os.environ["BENCH_TIMEOUT_S"])},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Segment:
    """Form files in, PNG out."""

    def __init__(self) -> None:
        self.handler = load_handler()

    @bentoml.api(route="/segment")  # type: ignore[untyped-decorator]
    def segment(
        self, support_image: list[Path], support_mask: list[Path], query_image: Path
    ) -> Annotated[bytes, ContentType("image/png")]:
        """BentoML hands files over as paths, which it deletes after the reply."""
        form = {
            "support_image": [path.read_bytes() for path in support_image],
            "support_mask": [path.read_bytes() for path in support_mask],
            "query_image": [query_image.read_bytes()],
        }
        return self.handler(form)
