"""SIGHUP: a service looks at its models' files again; where its terminal is gone, it ends."""

import asyncio
import os
import signal
from collections.abc import Callable

Action = Callable[[], object]


def hold_hangups() -> None:
    """Let SIGHUP, which would end the process, wait for ``on_hangup``.

    Threads and processes that are started meanwhile leave it to this thread for good.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])


def release_hangups() -> None:
    """Take those that have waited, and those to come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])


def on_hangup(look_again: Action, end: Action) -> None:
    """In the running event loop: call one of them at each SIGHUP, those that have waited too."""
    react = reaction(look_again, end)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, react)
    release_hangups()


def reaction(look_again: Action, end: Action) -> Action:
    """``look_again``, or ``end`` where the terminal that the process had is gone."""
    had_terminal = _has_terminal()
    return lambda: end() if had_terminal and not _has_terminal() else look_again()


def _has_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False
