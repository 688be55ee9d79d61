"""Clients that never rest, and an exact account of what became of each request they sent."""

import random
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import httpx

from pictures import one_shot_form

SECONDS = 10.0


class Crowd:
    """Half of the clients keep their connections and pause, half take a new one for each request.

    A request counts as "lost" if it was sent whole over an open connection and no byte came back,
    as "cut" if its reply broke off, and by its status otherwise. ``readiness`` has what /readyz
    answered, in order, to new connections; None is a connection that was refused or ignored.
    """

    def __init__(self, url: str, clients: int = 8, seed: int = 0) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._address = (host, int(port))
        self._over = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self.readiness: list[int | None] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(number % 2 == 0, random.Random(seed + number)))
            for number in range(clients)
        ]
        self._threads.append(threading.Thread(target=self._probe))

    def start(self) -> None:
        """Send requests until no connection is taken any more."""
        for thread in self._threads:
            thread.start()

    def wait_until_served(self) -> None:
        """Until requests of all kinds have been answered."""
        while self.outcomes.total() < len(self._threads) or not self.readiness:
            time.sleep(0.01)

    def join(self) -> None:
        """Wait for the last reply."""
        for thread in self._threads:
            thread.join()

    def _ask(self, keeps_connection: bool, chance: random.Random) -> None:
        segment = request("POST", "/segment")
        with suppress(ConnectionRefusedError, TimeoutError):
            while True:
                with self._connect() as connection:
                    while not is_closed(connection):
                        message = request("GET", "/supports") if chance.random() < 0.3 else segment
                        outcome, is_last = exchange(connection, message)
                        with self._lock:
                            self.outcomes[outcome] += 1
                        if is_last or not keeps_connection:
                            break
                        time.sleep(chance.choice((0, 0.01, 0.3)) * chance.random())

    def _probe(self) -> None:
        while True:
            try:
                with self._connect() as connection:
                    outcome, _ = exchange(connection, request("GET", "/readyz"))
            except (ConnectionRefusedError, TimeoutError):
                self.readiness.append(None)
                return
            self.readiness.append(int(outcome) if outcome.isdigit() else 0)
            time.sleep(0.01)

    def _connect(self) -> socket.socket:
        return socket.create_connection(self._address, timeout=SECONDS)


def request(method: str, path: str) -> bytes:
    """A whole request as it goes over the wire."""
    files = one_shot_form() if method == "POST" else None
    built = httpx.Request(method, f"http://localhost{path}", files=files)
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in built.headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + built.read()


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended it, so that a client takes another."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


def exchange(connection: socket.socket, message: bytes) -> tuple[str, bool]:
    """What became of a request, and whether it was the connection's last."""
    try:
        connection.sendall(message)
    except OSError:
        return "unsent", True
    received = b""
    for piece in _pieces(connection):
        received += piece
        head, end, body = received.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            return head.split(b" ", 2)[1].decode(), b"connection: close" in head.lower()
    return ("cut" if received else "lost"), True


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while piece := connection.recv(65536):
            yield piece


def _length(head: bytes) -> int:
    (line,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(line.partition(b":")[2])
