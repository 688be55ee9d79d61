"""One process that serves: socket, signals, uvicorn, exit code."""

import logging
import signal
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from service.errors import SettingsError
from service.logs import configure_logging
from service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

_log = logging.getLogger(__name__)
_BACKLOG = 2048
# For accepted requests to finish; a client that uploads for ever is cut off after it.
_GRACE_SECONDS = 20


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is accepted and leave with exit code 0.

    Where inference has crashed for good, leave with exit code 1: whoever runs the service starts
    it again.

    Raises SettingsError where the address is taken or the database cannot be opened, and what
    Engine.load raises: all before anything listens.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    configure_logging(settings)
    with _bind(settings) as listener:
        _log.debug("loading %s", settings.checkpoint)
        from service.app import create_app  # torch comes with it, and takes seconds
        from service.engine import Engine
        from service.library import Library

        app = create_app(settings, Engine.load(settings), Library.open(settings.database_url))
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            backlog=_BACKLOG,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        host, port = listener.getsockname()[:2]
        _log.info("listening on http://%s:%d as soon as the network is warm", host, port)
        server = _Server(config, app)
        app.state.on_end = server.give_up
        server.run(sockets=[listener])
    if server.failed:
        sys.exit(1)


class _Server(uvicorn.Server):
    """uvicorn, whose first signal turns readiness off before it stops listening."""

    def __init__(self, config: uvicorn.Config, app: "FastAPI") -> None:
        super().__init__(config)
        self.failed = False
        self._app = app

    def give_up(self) -> None:
        """End as after a signal, but as a failure. For any thread."""
        self.failed = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        runtime = self._app.state.runtime
        if runtime is not None:
            runtime.scheduler.drain()
        super().handle_exit(sig, frame)


def _leave(number: int, frame: FrameType | None) -> None:
    """Before uvicorn runs, stop at once; after it, it repeats the signal it has obeyed."""
    sys.exit(0)


def _bind(settings: Settings) -> socket.socket:
    """Take the address before the checkpoint is loaded: a wrong port is known at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _no_address(settings, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _no_address(settings, error) from error
    return listener


def _no_address(settings: Settings, error: OSError) -> SettingsError:
    return SettingsError(
        f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
        "choose another with --host and --port, or stop the program that has it"
    )
