"""Ray Serve on one machine: a proxy in front of replicas."""

import asyncio
import os
import signal
import sys
import threading
from typing import Any

import ray
from ray import serve
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from handler import load_handler

# Requests that a replica holds at a time; the default of 5 would serialise eight clients' forms.
ONGOING = 32
OBJECT_STORE_BYTES = 128 * 1024 * 1024


@serve.deployment(max_ongoing_requests=ONGOING, ray_actor_options={"num_cpus": 1})
class Segment:
    """Form files in, PNG out, off the replica's event loop."""

    def __init__(self) -> None:
        self.handler = load_handler()

    async def __call__(self, request: Request) -> Response:
        """The readiness probe, or a form."""
        if request.method == "GET":
            return Response("ready")
        async with request.form() as parts:
            form = {name: [await _content(part) for part in parts.getlist(name)] for name in parts}
        return Response(await asyncio.to_thread(self.handler, form), media_type="image/png")


async def _content(part: UploadFile | str) -> bytes:
    return part.encode() if isinstance(part, str) else await part.read()


def main(port: int) -> None:
    """Serve until SIGTERM, then drain as ``serve run`` does on Ctrl-C."""
    stopped = threading.Event()
    workers = int(os.environ["BENCH_WORKERS"])
    ray.init(
        num_cpus=max(2, workers),
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
    )
    serve.start(
        http_options={
            "host": "127.0.0.1",
            "port": port,
            "request_timeout_s": float(os.environ["BENCH_TIMEOUT_S"]),
        }
    )
    deployment: Any = Segment
    serve.run(deployment.options(num_replicas=workers).bind(), route_prefix="/segment")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
