"""Work for a client lasts as long as its connection."""

import asyncio
from typing import Any

import pytest

from service.errors import ClientGoneError
from service.http.deadline import while_connected


class Client:
    """An ASGI ``receive``: silent until the client leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}


class Work:
    """Work that takes for ever, and knows whether it was cancelled."""

    cancelled = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def answer() -> int:
    return 42


async def fail() -> int:
    raise ValueError("bad")


def test_work_gives_its_result_to_a_client_that_stays() -> None:
    async def body() -> int:
        return await while_connected(Client(), answer())

    assert asyncio.run(body()) == 42


def test_work_gives_its_error_to_a_client_that_stays() -> None:
    async def body() -> int:
        return await while_connected(Client(), fail())

    with pytest.raises(ValueError, match="bad"):
        asyncio.run(body())


def test_work_for_a_client_that_leaves_is_cancelled() -> None:
    async def body() -> bool:
        client, work = Client(), Work()
        asyncio.get_running_loop().call_later(0.02, client.left.set)
        with pytest.raises(ClientGoneError):
            await while_connected(client, work.run())
        await asyncio.sleep(0)
        return work.cancelled

    assert asyncio.run(body())


def test_work_is_cancelled_with_the_request_that_waits_for_it() -> None:
    async def body() -> bool:
        work = Work()
        request = asyncio.create_task(while_connected(Client(), work.run()))
        await asyncio.sleep(0.02)
        request.cancel()
        await asyncio.wait([request])
        await asyncio.sleep(0)
        return work.cancelled

    assert asyncio.run(body())
