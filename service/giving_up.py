"""Work that nobody waits for any more, which ends at its next step: no thread can be ended."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


class GivenUpError(Exception):
    """Ends the work. Nobody hears of it, since nobody waits."""


@contextmanager
def until(given_up: threading.Event) -> Iterator[None]:
    """Let the block end at its next ``go_on`` once the event is set."""
    token = _given_up.set(given_up)
    try:
        yield
    finally:
        _given_up.reset(token)


def go_on() -> None:
    """Between two steps of work: raise GivenUpError where it is given up."""
    given_up = _given_up.get()
    if given_up is not None and given_up.is_set():
        raise GivenUpError
