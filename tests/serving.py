"""The real app over real HTTP, in a thread of the test's own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.inference.engine import Engine
from service.settings import read_settings


@contextmanager
def served_checkpoint(checkpoint: Path, folder: Path) -> Iterator[str]:
    """Serve a checkpoint on the CPU with a database of its own in ``folder``; gives its URL."""
    settings = read_settings(
        checkpoint=checkpoint,
        device="cpu",
        precision="float32",
        database_url=f"sqlite:///{folder}/sgone.sqlite3",
    )
    with served(create_app(settings, Engine.load(settings))) as url:
        yield url


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve the app on a free port; gives its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
