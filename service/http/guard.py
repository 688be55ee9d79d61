"""Limits on a request's body, and the security headers of every reply."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import PayloadTooLargeError, UnsupportedMediaTypeError, UploadTooSlowError
from service.http.budget import Budget

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A client that is answered early still sends. If the connection were closed at once, its reset
# could overtake the reply; so the service goes on reading, and drops what it reads, for this long.
LINGER_SECONDS = 2.0
# A quarter of a megabit a second. An upload that moves may take its time, but a slower one only
# holds memory.
SLOWEST_BYTES_A_SECOND = 32 * 1024


class Guard:
    """ASGI middleware: takes at most ``max_upload_bytes`` of body, and adds security headers.

    Paths in ``max_bytes_of`` have limits of their own, and their bodies are kept on disk. Together
    all bodies in memory stay within ``memory``, and all on disk within ``disk``. A body may pause
    for ``patience_ms``. In all it may take ``patience_ms`` and a second for each
    SLOWEST_BYTES_A_SECOND that have arrived.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_upload_bytes: int,
        max_bytes_of: Mapping[str, int],
        patience_ms: int,
        memory: Budget,
        disk: Budget,
    ) -> None:
        self.app = app
        self.memory, self.disk = memory, disk
        self.max_upload_bytes = max_upload_bytes
        self.max_bytes_of = max_bytes_of
        self.patience_seconds = patience_ms / 1e3

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        budget = self.disk if scope["path"] in self.max_bytes_of else self.memory
        max_bytes = self.max_bytes_of.get(scope["path"], self.max_upload_bytes)
        guarded = _Guarded(scope, receive, send, max_bytes, budget, self.patience_seconds)
        try:
            await self.app(scope, guarded.receive, guarded.send)
        finally:
            guarded.let_go()


class _Guarded:
    """One request and its reply. Reading raises PayloadTooLargeError and UploadTooSlowError.

    A reply that goes out before the whole body is in closes the connection: the rest may have no
    end.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        max_bytes: int,
        budget: Budget,
        patience_seconds: float,
    ) -> None:
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._budget = budget
        self._patience_seconds = patience_seconds
        self._started = asyncio.get_running_loop().time()
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        self._declared_bytes = int(declared) if declared.isdecimal() else 0
        self._encoding = headers.get("content-encoding", "identity")
        self._received_bytes = self._held_bytes = 0
        self._unread = self._declared_bytes > 0 or "transfer-encoding" in headers

    async def receive(self) -> Message:
        if self._unread:
            self._check_rest()
        message = await self._receive_in_time()
        self._unread = message.get("more_body", False)
        count = len(message.get("body", b""))
        self._received_bytes += count
        if self._received_bytes > self._max_bytes:
            raise self._too_large()
        self._budget.take(count)
        self._held_bytes += count
        return message

    def let_go(self) -> None:
        """The request is done with."""
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0

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

    def _check_rest(self) -> None:
        """Raise what makes it needless to read on."""
        if self._encoding.lower() != "identity":
            raise UnsupportedMediaTypeError(
                f"Content-Encoding {self._encoding[:40]} is not taken; send the body plain"
            )
        if self._declared_bytes > self._max_bytes:
            raise self._too_large()
        self._budget.check(max(0, self._declared_bytes - self._received_bytes))

    async def _receive_in_time(self) -> Message:
        """Only the body is timed: what comes after it is the disconnect, whenever that is."""
        if not self._unread:
            return await self._receive()
        whole = self._patience_seconds + self._received_bytes / SLOWEST_BYTES_A_SECOND
        left = self._started + whole - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(left, self._patience_seconds)):
                return await self._receive()
        except TimeoutError:
            raise UploadTooSlowError(
                f"after {self._received_bytes} bytes the body stopped, or came under "
                f"{SLOWEST_BYTES_A_SECOND} bytes a second; send smaller images, or try again"
            ) from None

    def _too_large(self) -> PayloadTooLargeError:
        return PayloadTooLargeError(
            f"the request has over {self._max_bytes} bytes; send smaller or fewer images"
        )

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self._unread:
                    self._unread = (await self._receive()).get("more_body", False)
