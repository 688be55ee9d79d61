"""One process that serves: loads, runs the app under uvicorn, and ends in order."""

import asyncio
import logging
import math
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from service.checkpoints.named import of_default
from service.http.protocol import BoundedProtocol, Connections
from service.serve.hangup import on_hangup
from service.serve.listener import browser_url, has_unread_bytes, turn_newcomers_away
from service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn.server import Protocols

    from service.inference.engine import Engine

_log = logging.getLogger(__name__)
_BACKLOG = 2048
# Longer than most round trips: a handshake ends in it, and a request follows its connection.
SETTLE_SECONDS = 0.25
# The event loop reads what has arrived in it, and so begins the request.
_READ_SECONDS = 0.05
_CLOSE = (b"connection", b"close")
# Beyond the drain and the grace, before a process that still computes is ended.
SPARE_SECONDS = 1.5
# Open files beside connections: the network, the database, uploads of batches, decoders.
_SPARE_FILES = 128


def run(
    settings: Settings,
    listener: socket.socket,
    on_ready: Callable[["Engine"], None] = lambda engine: None,
    gives_up_address: Callable[[], bool] = lambda: True,
    on_reload: Callable[[], object] = lambda: None,
) -> None:
    """Load, serve until SIGTERM or SIGINT, finish accepted requests and exit with code 0.

    SIGHUP, which is held until then, reloads changed models. Exit with code 1 after the last crash
    of inference. If ``gives_up_address`` returns False at the end, other processes go on with the
    listener. ``on_reload`` is called where a client has reloaded a model here. Before it listens it
    raises what Engine.load and Library.open raise.
    """
    own = of_default(settings)
    _log.debug("loading %s", own.checkpoint)
    from service.app import create_app, open_library  # takes a second
    from service.inference.engine import Engine

    engine = Engine.load(own)
    app = create_app(settings, engine, open_library(settings))
    config = uvicorn.Config(
        app,
        http=partial(BoundedProtocol, connections=_connections(settings, app)),  # type: ignore[arg-type]
        access_log=False,
        log_config=None,
        backlog=_BACKLOG,
        server_header=False,
        timeout_graceful_shutdown=grace_seconds(settings),
    )
    _log.info("listening on %s as soon as the network is warm", browser_url(listener))
    server = _Server(
        config, app, settings.drain_ms / 1e3, gives_up_address, lambda: on_ready(engine)
    )
    app.state.on_end = server.give_up
    app.state.on_reload = on_reload
    server.run(sockets=[listener])
    if server.failed:
        sys.exit(1)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """End the process once what is inside has served, or raised SystemExit.

    Python would wait for threads whose work nobody needs any more, such as a graph that OpenVINO
    compiles: half a minute on a busy machine. Other errors go on.
    """
    code = 0
    try:
        yield
    except SystemExit as end:
        code = int(end.code or 0)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _connections(settings: Settings, app: "FastAPI") -> Connections:
    """As many as the settings and the process's limit of open files allow."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Connections(
        min(settings.max_connections, max(2, files - _SPARE_FILES)),
        settings.request_timeout_ms / 1e3,
        app.state.telemetry.count_refused,
    )


def grace_seconds(settings: Settings) -> int:
    """How long accepted requests may go on: as long as one may take. A longer batch is cut off."""
    return math.ceil(settings.request_timeout_ms / 1e3)


def leave_on_signals() -> None:
    """Exit with code 0 on a signal before uvicorn runs, and when it raises its signal again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


class _Server(uvicorn.Server):
    """uvicorn, which at its end answers every open connection before it closes it."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: "FastAPI",
        drain_seconds: float,
        gives_up_address: Callable[[], bool],
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.failed = False
        self._reloads: set[asyncio.Future[None]] = set()
        self._last_resort: threading.Timer | None = None
        self._app = app
        self._drain_seconds = drain_seconds
        self._gives_up_address = gives_up_address
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        on_hangup(self._look_again, partial(self.handle_exit, signal.SIGTERM, None))
        self._on_ready()

    def _look_again(self) -> None:
        runtime = self._app.state.runtime
        if runtime is not None and not self.should_exit:
            _log.info("looking at the models' files again")
            task = asyncio.ensure_future(runtime.models.reload_changed())
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

    def give_up(self) -> None:
        """End as after a signal, but with a failure's exit code. For any thread."""
        self.failed = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._refuse_work()
        self._end_in_time()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer newcomers 503 for a while, then give up the address, then end.

        uvicorn closes at once, and so resets connections and requests that have arrived unread.
        """
        self._refuse_work()  # again: during the warm-up a signal finds no runtime yet
        self._end_in_time()  # where it ends without a signal
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        if self._gives_up_address():
            await self._pause(self._drain_seconds)
            for listener in sockets or []:
                turn_newcomers_away(listener)
            await self._pause(SETTLE_SECONDS)
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self._pause(SETTLE_SECONDS)
        for connection in self._silent_connections():
            connection.shutdown()
        await self._pause(_READ_SECONDS)
        await super().shutdown(sockets)

    def _end_in_time(self) -> None:
        """A thread at work on a picture cannot be stopped, and Python would wait for it."""
        if self._last_resort is None:
            grace = self.config.timeout_graceful_shutdown or 0
            seconds = self._drain_seconds + grace + SPARE_SECONDS
            self._last_resort = threading.Timer(seconds, self._leave_work)
            self._last_resort.daemon = True
            self._last_resort.start()

    def _leave_work(self) -> None:
        _log.warning("what still computes is given up")
        logging.shutdown()
        os._exit(1 if self.failed else 0)

    def _refuse_work(self) -> None:
        runtime = self._app.state.runtime
        if runtime is not None:
            runtime.queue.drain()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless a second Ctrl-C has asked to end at once."""
        if not self.force_exit:
            await asyncio.sleep(seconds)

    def _silent_connections(self) -> Iterator["Protocols"]:
        """Yield connections without unread bytes: closing the others would reset them."""
        for connection in list(self.server_state.connections):
            transport = connection.transport
            if not transport.is_closing() and not has_unread_bytes(
                transport.get_extra_info("socket").fileno()
            ):
                yield connection
