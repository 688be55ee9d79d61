"""LitServe: one API process and the inference workers, joined by its fast (ZeroMQ) queue."""

import os
import sys
from typing import Any

import litserve
from fastapi import Request, Response

from handler import Form, Handler, load_handler


class SegmentAPI(litserve.LitAPI):  # type: ignore[misc]
    """Form files in, PNG out."""

    handler: Handler

    def setup(self, device: str) -> None:
        """In each worker process."""
        self.handler = load_handler()

    def decode_request(self, request: Request) -> Form:
        """LitServe hands over the parsed form."""
        form: Any = request
        return {name: [part.file.read() for part in form.getlist(name)] for name in form}

    def predict(self, form: Form) -> bytes:
        """The whole way."""
        return self.handler(form)

    def encode_response(self, png: bytes) -> Response:
        """As it is."""
        return Response(png, media_type="image/png")


if __name__ == "__main__":
    server = litserve.LitServer(
        SegmentAPI(api_path="/segment"),
        accelerator="cpu",
        workers_per_device=int(os.environ["BENCH_WORKERS"]),
        timeout=float(os.environ["BENCH_TIMEOUT_S"]),
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        access_log=False,
    )
