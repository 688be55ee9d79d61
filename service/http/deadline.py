"""When work for a request ends early: its client has gone, or its time is over."""

import asyncio
import re
from collections.abc import AsyncIterator, Container, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ClientGoneError, DeadlineExceededError, InvalidRequestError
from service.http.layout import Fragment
from service.http.problems import problem_response

HEADER = "X-Request-Timeout"
TIMEOUT: Fragment = {
    "name": HEADER,
    "in": "header",
    "description": (
        "Seconds that the client waits, from the request's headers on, at most "
        "`request_timeout_ms` of `/info`; for many queries, seconds of each. Without it "
        "`request_timeout_ms` counts from the end of the body."
    ),
    "schema": {"type": "number", "exclusiveMinimum": 0, "examples": [2.5]},
}
"""The header in a description of the API."""
Value = TypeVar("Value")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Cancel the block after ``seconds`` and raise DeadlineExceededError."""
    try:
        async with asyncio.timeout(seconds) as timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise _too_late(seconds) from None
        raise


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Value]) -> Value:
    """Await ``work``, but cancel it and raise ClientGoneError once the client disconnects.

    It returns when cancelled work has released what it held. Read the body first: the message that
    an ASGI server sends after it is the disconnect.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        gone.cancel()
        if task.cancel():
            await asyncio.wait({task})


class Deadlines:
    """ASGI middleware: cancels a request below ``prefix`` at its deadline, and answers 504.

    X-Request-Timeout counts from the request's headers. Without it ``timeout_ms`` counts from the
    end of the body, since a slow line is not the service's delay; Guard bounds that. A reply that
    has begun is finished. On the paths ``per_item`` the client's limit applies to each item, and
    the service's to what comes before them. Routes read ``request.state.timeout_seconds``.
    """

    def __init__(
        self, app: ASGIApp, timeout_ms: int, prefix: str, per_item: Container[str] = ()
    ) -> None:
        self.app = app
        self.most_seconds = timeout_ms / 1e3
        self.prefix = prefix
        self.per_item = per_item

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
            return
        try:
            asked = _asked_seconds(scope, self.most_seconds)
        except InvalidRequestError as error:
            await self.app(scope, _raising(error), send)
            return
        scope["state"]["timeout_seconds"] = asked or self.most_seconds
        if scope["path"] in self.per_item:
            asked = None
        seconds = asked or self.most_seconds
        timed = _Timed(receive, send, seconds, counts_from_headers=asked is not None)
        if await timed.is_late(self.app, scope):
            await problem_response(scope, _too_late(seconds))(scope, receive, send)


class _Timed:
    """One request and its reply. Their clock starts at the headers, or at the end of the body."""

    def __init__(
        self, receive: Receive, send: Send, seconds: float, counts_from_headers: bool
    ) -> None:
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._counting = counts_from_headers
        self._timeout = asyncio.timeout(seconds if counts_from_headers else None)
        self._replied = False

    async def is_late(self, app: ASGIApp, scope: Scope) -> bool:
        """Run ``app``. True if the deadline cancelled it before it had replied."""
        try:
            async with self._timeout:
                await app(scope, self._receive_body, self._send_reply)
        except TimeoutError:
            if not self._timeout.expired():
                raise
        return self._timeout.expired()

    async def _receive_body(self) -> Message:
        message = await self._receive()
        if not (self._counting or self._replied or message.get("more_body", False)):
            self._counting = True
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)
        return message

    async def _send_reply(self, message: Message) -> None:
        """Drop what comes after the deadline: the 504 is the reply."""
        if not self._replied and not self._timeout.expired():
            self._replied = True
            self._timeout.reschedule(None)
        if self._replied:
            await self._send(message)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _raising(error: Exception) -> Receive:
    """Make reading the body fail, so that the route's error handler answers."""

    async def receive() -> Message:
        raise error

    return receive


def _asked_seconds(scope: Scope, most_seconds: float) -> float | None:
    text = Headers(scope=scope).get(HEADER)
    if text is None:
        return None
    if not _SECONDS.fullmatch(text) or float(text) == 0:
        raise InvalidRequestError(
            f"{HEADER} is {text[:80]!r}; send seconds above 0, such as 2.5, or leave it out",
            field=HEADER,
        )
    return min(float(text), most_seconds)


def _too_late(seconds: float) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"there is no result after {seconds:g} s; try again when the service is less busy, "
        f"or allow more in {HEADER}, up to the service's limit"
    )
