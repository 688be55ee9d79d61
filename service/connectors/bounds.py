"""What every request to a connector meets: it comes from a tool, and holds no more than it may."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.connectors.problems import ConnectorError, PageError, TooLargeError, respond


class Bounds:
    """ASGI middleware: refuse web pages, which send an Origin, and bodies over ``max_bytes``.

    A page would use the token that the connector holds: its own site's, or another's through a name
    that leads here.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(Headers(scope=scope))
            body = await self._body(receive)
        except ConnectorError as error:
            await respond(error)(scope, receive, send)
            return
        await self.app(scope, body, send)

    def _check(self, headers: Headers) -> None:
        if "origin" in headers:
            raise PageError("this address is for the annotation tool itself, not for web pages")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_bytes:
            raise self._too_large()

    async def _body(self, receive: Receive) -> Receive:
        """Read it all, then give it on as one message."""
        content, more = bytearray(), True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
            if len(content) > self.max_bytes:
                raise self._too_large()
        whole: Message = {"type": "http.request", "body": bytes(content), "more_body": False}
        waiting = [whole]

        async def give_on() -> Message:
            return waiting.pop() if waiting else await receive()

        return give_on

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the request has more than {self.max_bytes} bytes; send less")
