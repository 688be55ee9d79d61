"""The load generator: a process of its own that reads one order a line and answers each with one.

Closed loops and Poisson arrivals with a record of every request, of which those of known tools
(wrk, hey, locust) give only summaries; aiohttp sends prebuilt bodies, so that little CPU goes here.
"""

import asyncio
import gc
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from masks import Judge
from photographs import CONTENT_TYPE

# Of a reply that did not come: the connection failed, or the client hung up at its deadline.
NO_CONNECTION, GAVE_UP = 0, -1
# Before a client tries again: one that is refused at once would take the server's cores.
REFUSED_PAUSE_S = 0.05


@dataclass(frozen=True)
class Order:
    """``clients`` in a closed loop, or else ``rate`` arrivals a second.

    ``first`` is the number of the first request; they go round the workload's bodies. With
    ``until_refused`` a client ends at its first reply that is not 200.
    """

    url: str
    folder: str
    seconds: float
    clients: int = 0
    rate: float = 0.0
    deadline_s: float = 0.0
    timeout_s: float = 60.0
    first: int = 0
    limit: int = 0
    until_refused: bool = False


@dataclass
class Record:
    """Times are seconds of the machine's monotonic clock; ``due`` is when it should be sent."""

    number: int
    due: float
    end: float = 0.0
    status: int = NO_CONNECTION
    iou: float | None = None
    server_ms: dict[str, float] = field(default_factory=dict)


class Run:
    """One order at work: sends, keeps each reply's record and body."""

    def __init__(self, order: Order, bodies: list[bytes]) -> None:
        self.order, self.bodies = order, bodies
        self.records: list[Record] = []
        self.replies: list[tuple[Record, bytes]] = []
        self.numbers = count(order.first)
        self.headers = {"Content-Type": CONTENT_TYPE}
        if order.deadline_s:
            self.headers["X-Request-Timeout"] = f"{order.deadline_s:g}"

    async def run(self) -> None:
        """Until every request that was sent in time has its reply."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            begun = time.monotonic()
            if self.order.clients:
                clients = (self._client(session, begun) for _ in range(self.order.clients))
                await asyncio.gather(*clients)
            else:
                await self._arrivals(session, begun)

    async def _client(self, session: aiohttp.ClientSession, begun: float) -> None:
        while time.monotonic() < begun + self.order.seconds:
            number = next(self.numbers)
            if self.order.limit and number - self.order.first >= self.order.limit:
                return
            record = await self._send(session, number, time.monotonic())
            if record.status != 200:
                if self.order.until_refused:
                    return
                await asyncio.sleep(REFUSED_PAUSE_S)

    async def _arrivals(self, session: aiohttp.ClientSession, begun: float) -> None:
        """Poisson from the first on, which is sent at once.

        The moments are the same for every peer, whose ``first`` is the same.
        """
        draw, due = random.Random(self.order.first), begun
        async with asyncio.TaskGroup() as tasks:
            while due < begun + self.order.seconds:
                await asyncio.sleep(due - time.monotonic())
                tasks.create_task(self._send(session, next(self.numbers), due))
                due += draw.expovariate(self.order.rate)

    async def _send(self, session: aiohttp.ClientSession, number: int, due: float) -> Record:
        record = Record(number, due)
        self.records.append(record)
        body = self.bodies[number % len(self.bodies)]
        try:
            async with asyncio.timeout(self.order.timeout_s):
                async with session.post(self.order.url, data=body, headers=self.headers) as reply:
                    content = await reply.read()
            record.status = reply.status
            record.server_ms = server_timing(reply.headers.get("Server-Timing", ""))
            if reply.status == 200:
                self.replies.append((record, content))
        except TimeoutError:
            record.status = GAVE_UP
        except (aiohttp.ClientError, OSError):
            record.status = NO_CONNECTION
        record.end = time.monotonic()
        return record


def server_timing(header: str) -> dict[str, float]:
    """``decode;dur=1.5, queue;dur=0.1`` -> milliseconds by stage."""
    pairs = (entry.strip().split(";dur=") for entry in header.split(",") if ";dur=" in entry)
    return {name: float(milliseconds) for name, milliseconds in pairs}


def fulfil(order: Order, judges: dict[str, Judge]) -> dict[str, Any]:
    """Run an order; its replies are judged once it is over, so that the server has the cores."""
    judge = judges.setdefault(order.folder, Judge(Path(order.folder)))
    run = Run(order, judge.bodies)
    gc.collect()
    gc.disable()
    wall, cpu = time.monotonic(), time.process_time()
    asyncio.run(run.run())
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    gc.enable()
    for record, content in run.replies:
        record.iou = judge.iou(record.number, content)
    return {"wall_s": wall, "cpu_s": cpu, "records": [asdict(record) for record in run.records]}


def main() -> None:
    """One JSON order a line in, one JSON result a line out."""
    judges: dict[str, Judge] = {}
    for line in sys.stdin:
        print(json.dumps(fulfil(Order(**json.loads(line)), judges)), flush=True)


if __name__ == "__main__":
    main()
