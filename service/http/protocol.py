"""A client's connection: uvicorn's protocol with bounds on heads, silence and numbers.

What is refused here never reaches the app; it gets problem JSON, a count and a line in the log all
the same.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.errors import (
    HeadTooLargeError,
    HeadTooSlowError,
    MalformedRequestError,
    ReplyUnreadError,
    ServiceError,
    TooManyConnectionsError,
)
from service.http.problems import problem_outside

# Of a request's line and headers, and of what follows a chunked body: no known client sends more.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128
# From the connection, or from the first byte of a further request, to the end of the head.
HEAD_SECONDS = 10.0
# What a client has to read of a reply in ``write_seconds`` where that much is left.
LEAST_READ_BYTES = 16 * 1024
_log = logging.getLogger(__name__)


@dataclass
class Connections:
    """The open connections of this process, and their bounds.

    ``on_refused`` is told status and code of each connection that was refused or cut off.
    """

    most: int
    write_seconds: float
    on_refused: Callable[[int, str], object]
    head_seconds: float = HEAD_SECONDS
    open: int = 0
    by_address: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Count a connection; whether there is room for it. One address may hold half of all."""
        self.open += 1
        self.by_address[address] += 1
        return self.open <= self.most and self.by_address[address] <= max(1, self.most // 2)

    def leave(self, address: str) -> None:
        """Forget a connection."""
        self.open -= 1
        self.by_address[address] -= 1
        if not self.by_address[address]:
            del self.by_address[address]


class BoundedProtocol(HttpToolsProtocol):
    """One connection. An offered upgrade is ignored (RFC 9110, 7.8).

    The head has HEAD_SECONDS and MAX_HEAD_BYTES. A client that reads under LEAST_READ_BYTES of its
    reply in ``write_seconds`` is cut off.
    """

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections = connections
        self._refused = False
        self._address = ""
        self._clock: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._unread_bytes = 0
        self._head_bytes = 0
        # Bytes since the parser last came to the end of something: it keeps them all.
        self._unfinished_bytes = 0
        self._finished_something = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse it where there are too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if self._connections.enter(self._address):
            self._await_head()
        else:
            self._refuse(
                TooManyConnectionsError(
                    "there are too many connections; close some, or try again in a moment",
                    headers={"Retry-After": "1"},
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._connections.leave(self._address)
        self._stop_clock()
        self._is_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; whatever cannot be parsed, or has no end, ends the connection."""
        self._unset_keepalive_if_required()
        if self._refused:
            return
        if self._clock is None and (self.cycle is None or not self.cycle.more_body):
            self._await_head()
        self._finished_something = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(_as_problem(error))
            return
        self._unfinished_bytes = (
            0 if self._finished_something else self._unfinished_bytes + len(data)
        )
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self._refuse(_too_large())

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer of a chunked body, which nothing reads."""
        self._count_head(len(name) + len(value))
        if len(self.headers) >= MAX_HEADERS:
            raise _too_large()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole. Where it offers an upgrade it is parsed again without the offer."""
        self._finished_something = True
        self._stop_clock()
        self._is_read()
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise MalformedRequestError("the request has two Host headers; send one (RFC 9112)")
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._finished_something = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._finished_something = True
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The reply is written, but perhaps not sent."""
        super().on_response_complete()
        self._watch_reader()

    def pause_writing(self) -> None:
        """The client does not read as fast as the reply is written."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._is_read()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("CONNECT is not answered") from None
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            self._feed(head + data[offer.args[0] :])

    def _head_without_upgrade(self) -> bytes:
        """What the parser has read of the head, as it would stand without the offer."""
        request = b"%s %s HTTP/%s" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        kept = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([request, *kept, b"", b""])

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _too_large()

    def _await_head(self) -> None:
        self._stop_clock()
        seconds = self._connections.head_seconds
        self._clock = self.loop.call_later(seconds, self._head_is_late)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _head_is_late(self) -> None:
        error = HeadTooSlowError(
            f"the request's headers were not there after {self._connections.head_seconds:g} s; "
            "send them at once"
        )
        if self._unfinished_bytes:
            self._refuse(error)
        else:  # a browser's spare connection: it expects no reply
            self._tell(error)
            self.transport.close()

    def _watch_reader(self) -> None:
        if self._unread is None:
            self._unread_bytes = self.transport.get_write_buffer_size()
            seconds = self._connections.write_seconds
            self._unread = self.loop.call_later(seconds, self._look_at_reader)

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _look_at_reader(self) -> None:
        """A client that reads, however slowly, goes on."""
        self._unread = None
        left = self.transport.get_write_buffer_size()
        if left and left > self._unread_bytes - LEAST_READ_BYTES:
            error = ReplyUnreadError("the client does not read its reply, and is cut off")
            self._tell(error)
            self.transport.abort()
        elif left:
            self._watch_reader()

    def _refuse(self, error: ServiceError) -> None:
        """Say why, unless a reply is under way, and close."""
        self._refused = True
        self._stop_clock()
        self._tell(error)
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.more_body:
                self.cycle.keep_alive = False  # the reply under way is still sent
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(_as_bytes(error))
        self.transport.close()

    def _tell(self, error: ServiceError) -> None:
        self._connections.on_refused(error.status, error.code)
        _log.info("%s: %s", self._address, error, extra={"code": error.code})


def _too_large() -> HeadTooLargeError:
    return HeadTooLargeError(
        f"the request's line and headers have over {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} "
        "headers; send fewer and shorter ones"
    )


def _as_problem(error: httptools.HttpParserError) -> ServiceError:
    """What a callback has raised is the parser error's context."""
    if isinstance(error.__context__, ServiceError):
        return error.__context__
    return MalformedRequestError(f"the request is no readable HTTP ({error}); send it again")


def _as_bytes(error: ServiceError) -> bytes:
    response = problem_outside(error)
    headers = [*response.raw_headers, (b"connection", b"close")]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return STATUS_LINE[response.status_code] + lines + b"\r\n" + bytes(response.body)
