"""A thread that crashes is replaced, logged, and given up in the end."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from service.inference.thread import CRASH_WINDOW_SECONDS, MAX_CRASHES, InferenceThread

TIMEOUT = 10


class Life:
    """Work that crashes so many times, at the times that ``clock`` gives; its callbacks count."""

    def __init__(
        self, crashes: int, seconds_between: float, kind: type[BaseException] = SystemExit
    ) -> None:
        self.lives: list[int] = []
        self.crashed = self.ended = 0
        self._crashes = crashes
        self._kind = kind
        self._times: Iterator[float] = (n * seconds_between for n in range(100))

    def work(self) -> None:
        self.lives.append(threading.get_ident())
        if len(self.lives) <= self._crashes:
            raise self._kind("over")

    def on_crash(self) -> None:
        self.crashed += 1

    def on_end(self) -> None:
        self.ended += 1

    def run(self, on_crash: Callable[[], None] | None = None) -> InferenceThread:
        clock = self._times.__next__
        thread = InferenceThread(self.work, on_crash or self.on_crash, self.on_end, clock)
        thread.join()
        return thread


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_whatever_a_thread_crashes_of_another_takes_its_place(kind: type[BaseException]) -> None:
    life = Life(1, 0, kind)
    assert life.run().up
    assert (len(life.lives), life.crashed, life.ended) == (2, 1, 0)


def test_a_thread_that_returns_is_done() -> None:
    life = Life(0, 0)
    assert life.run().up
    assert (len(life.lives), life.crashed, life.ended) == (1, 0, 0)


def test_too_many_crashes_in_a_minute_are_the_end() -> None:
    life = Life(100, CRASH_WINDOW_SECONDS / MAX_CRASHES)
    assert not life.run().up
    assert (len(life.lives), life.crashed, life.ended) == (MAX_CRASHES, MAX_CRASHES, 1)


def test_rare_crashes_are_never_the_end() -> None:
    life = Life(20, CRASH_WINDOW_SECONDS / (MAX_CRASHES - 1))
    assert life.run().up
    assert (len(life.lives), life.ended) == (21, 0)


def test_a_crashed_thread_is_down_until_another_works() -> None:
    crashed, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        crashed.set()
        assert go_on.wait(TIMEOUT)

    life = Life(1, 0)
    thread = InferenceThread(life.work, wait, life.on_end)
    assert crashed.wait(TIMEOUT)
    assert not thread.up
    go_on.set()
    thread.join()
    assert thread.up


def test_the_log_has_each_crash_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    Life(100, 0).run()
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.ERROR] * (MAX_CRASHES - 1) + [logging.CRITICAL]
    assert all(record.exc_info and record.exc_info[0] is SystemExit for record in caplog.records)
    assert "the service ends" in caplog.records[-1].getMessage()
