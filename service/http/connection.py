"""The end of work whose client has gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from service.errors import ClientGoneError

Value = TypeVar("Value")


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
            raise ClientGoneError("the client closed the connection before its reply")
        return task.result()
    finally:
        gone.cancel()
        if task.cancel():
            await asyncio.wait({task})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
