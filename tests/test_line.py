"""The waiting line: its places, its order and its end."""

import threading
from collections.abc import Callable

import pytest

from service.errors import NotReadyError
from service.inference.line import Place, WaitingLine

TIMEOUT = 10
Line = WaitingLine[int, int]


def join(line: Line, item: int) -> Place[int, int]:
    place = line.take_place()
    line.join(place, item)
    return place


class Next(threading.Thread):
    """Takes the next place on a thread of its own."""

    def __init__(self, line: Line) -> None:
        super().__init__(daemon=True)
        self._line = line
        self.start()

    def run(self) -> None:
        """The place."""
        self._place = self._line.next()

    def item(self) -> int | None:
        """Of the place; None where the line has ended."""
        self.join(TIMEOUT)
        assert not self.is_alive()
        return self._place and self._place.item


def test_a_place_is_held_until_its_work_starts() -> None:
    line = Line()
    line.take_place()
    join(line, 1)
    assert line.waiting == 2
    assert Next(line).item() == 1
    assert line.waiting == 1


def test_a_place_is_given_up_once() -> None:
    line = Line()
    place = join(line, 1)
    join(line, 2)
    line.leave(place)
    line.leave(place)
    assert line.waiting == 1
    assert Next(line).item() == 2


def test_what_is_ready_first_goes_first_whoever_came_first() -> None:
    line = Line()
    slow = line.take_place()
    join(line, 1)
    line.join(slow, 2)
    assert [Next(line).item() for _ in range(2)] == [1, 2]


def test_work_is_waited_for() -> None:
    line = Line()
    waiting = Next(line)
    line.take_place()
    assert waiting.is_alive()
    join(line, 1)
    assert waiting.item() == 1


def test_a_closed_line_gives_what_is_left_and_then_nothing() -> None:
    line = Line()
    join(line, 1)
    line.close()
    assert [Next(line).item() for _ in range(2)] == [1, None]


def test_whoever_waits_for_work_hears_of_the_end() -> None:
    line = Line()
    waiting = Next(line)
    line.close()
    assert waiting.item() is None


def test_a_line_that_refuses_fails_what_waits_and_what_comes() -> None:
    line = Line()
    waiting, coming = join(line, 1), line.take_place()
    refusal: Callable[[], NotReadyError] = lambda: NotReadyError("gone")  # noqa: E731
    line.refuse_all(refusal)
    assert isinstance(waiting.future.exception(TIMEOUT), NotReadyError)
    with pytest.raises(NotReadyError):
        line.join(coming, 2)
