"""A connector's app under uvicorn, until Ctrl-C or SIGTERM."""

import logging
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.metrics.logs import TextLines


def log_to_standard_error() -> None:
    """Send the records of this process to standard error, but httpx's of each request."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)


def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve, then exit with code 0; where the address is taken, uvicorn says so, and it is 1."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # uvicorn raises its signal again at its end
    uvicorn.run(app, host=host, port=port, server_header=False, log_config=None)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
