"""What every request passes before it is read, and every reply before it is sent."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import PayloadTooLargeError

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A client that is answered early is still sending. Closing at once would reset the connection, and
# the reset can overtake the reply; so what it sends is read and dropped for this long.
LINGER_SECONDS = 2.0


class Guard:
    """ASGI middleware: at most ``max_upload_bytes`` of body, and security headers on replies.

    ``max_bytes_of`` has the paths with a limit of their own.
    """

    def __init__(
        self, app: ASGIApp, max_upload_bytes: int, max_bytes_of: Mapping[str, int]
    ) -> None:
        self.app = app
        self.max_upload_bytes = max_upload_bytes
        self.max_bytes_of = max_bytes_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_bytes = self.max_bytes_of.get(scope["path"], self.max_upload_bytes)
        exchange = _Exchange(scope, receive, send, max_bytes)
        await self.app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its reply; whoever reads too much body meets PayloadTooLargeError.

    A reply that goes out before the whole body is in closes the connection: the rest of the body
    may have no end.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        self._declared_bytes = int(declared) if declared.isdecimal() else 0
        self._received_bytes = 0
        self._unread = self._declared_bytes > 0 or "transfer-encoding" in headers

    async def receive(self) -> Message:
        if self._declared_bytes > self._max_bytes:
            raise self._too_large()
        message = await self._receive()
        self._unread = message.get("more_body", False)
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > self._max_bytes:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._unread:
                headers["Connection"] = "close"
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    def _too_large(self) -> PayloadTooLargeError:
        return PayloadTooLargeError(
            f"the request has over {self._max_bytes} bytes; send smaller or fewer images"
        )

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self._unread:
                    self._unread = (await self._receive()).get("more_body", False)
