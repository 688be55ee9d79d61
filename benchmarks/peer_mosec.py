"""mosec: a server written in Rust in front of Python workers."""

import os
from typing import Any

import mosec

from forms import read_multipart
from handler import Form, load_handler


class Segment(mosec.Worker):
    """mosec hands over the body as it came."""

    resp_mime_type = "image/png"

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.handler = load_handler()

    def deserialize(self, data: bytes) -> Form:
        """Multipart to files."""
        return read_multipart(data)

    def forward(self, data: Form) -> bytes:
        """The whole way."""
        return self.handler(data)

    def serialize(self, data: bytes) -> bytes:
        """As it is."""
        return data


if __name__ == "__main__":
    server: Any = mosec.Server()  # type: ignore[no-untyped-call]
    server.append_worker(Segment, num=int(os.environ["BENCH_WORKERS"]), route="/segment")
    server.run()
