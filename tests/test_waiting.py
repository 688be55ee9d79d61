"""The waiting line: its batches, its window, and the measured rate."""

import threading
import time
from collections.abc import Callable

import pytest

from service.errors import NotReadyError
from service.inference.line import Place, Rate, WaitingLine

LONG = 60.0  # seconds, which no test waits for
TIMEOUT = 10
Line = WaitingLine[int, int]


def join(line: Line, item: int) -> Place[int, int]:
    place = line.take_place()
    assert place
    place.item = item
    line.join(place)
    return place


class NextBatch(threading.Thread):
    """Takes one batch on a thread of its own."""

    def __init__(self, line: Line) -> None:
        super().__init__(daemon=True)
        self._line = line
        self.start()

    def run(self) -> None:
        """Items of the batch."""
        self._items = [place.item for place in self._line.next_batch()]

    def items(self) -> list[int]:
        self.join(TIMEOUT)
        assert not self.is_alive()
        return self._items


def test_there_are_no_more_places_than_the_limit() -> None:
    line = Line(2, max_batch=1, window_seconds=0)
    first, second = line.take_place(), line.take_place()
    assert first and second
    assert line.take_place() is None
    line.leave(first)
    assert line.take_place()


def test_a_place_is_given_up_once() -> None:
    line = Line(2, max_batch=1, window_seconds=0)
    place = join(line, 1)
    line.leave(place)
    line.leave(place)
    assert line.waiting == line.ready == 0


def test_without_a_window_nothing_is_waited_for() -> None:
    line = Line(8, max_batch=4, window_seconds=0)
    line.take_place()
    join(line, 1)
    assert NextBatch(line).items() == [1]


def test_an_item_that_is_alone_goes_at_once() -> None:
    line = Line(8, max_batch=4, window_seconds=LONG)
    batch = NextBatch(line)
    join(line, 1)
    assert batch.items() == [1]


def test_those_that_are_on_their_way_are_waited_for() -> None:
    line = Line(8, max_batch=4, window_seconds=LONG)
    second, third = line.take_place(), line.take_place()
    assert second and third
    batch = NextBatch(line)
    join(line, 1)
    second.item, third.item = 2, 3
    line.join(third)
    assert batch.is_alive()
    line.join(second)
    assert batch.items() == [1, 3, 2]


def test_a_full_batch_goes_at_once() -> None:
    line = Line(8, max_batch=2, window_seconds=LONG)
    line.take_place()
    batch = NextBatch(line)
    join(line, 1)
    join(line, 2)
    assert batch.items() == [1, 2]


def test_a_place_that_is_given_up_is_waited_for_no_longer() -> None:
    line = Line(8, max_batch=4, window_seconds=LONG)
    other = line.take_place()
    assert other
    batch = NextBatch(line)
    join(line, 1)
    line.leave(other)
    assert batch.items() == [1]


def test_the_window_ends() -> None:
    line = Line(8, max_batch=4, window_seconds=0.05)
    line.take_place()
    started = time.perf_counter()
    join(line, 1)
    assert NextBatch(line).items() == [1]
    assert time.perf_counter() - started >= 0.05


def test_what_leaves_during_the_window_is_not_in_the_batch() -> None:
    line = Line(8, max_batch=2, window_seconds=LONG)
    other = line.take_place()
    assert other
    batch = NextBatch(line)
    leaving = join(line, 1)
    line.leave(leaving)
    assert batch.is_alive()
    other.item = 2
    line.join(other)
    assert batch.items() == [2]


@pytest.mark.parametrize("window_seconds", [0.0, LONG])
def test_a_closed_line_gives_what_is_left_and_then_nothing(window_seconds: float) -> None:
    line = Line(8, max_batch=4, window_seconds=window_seconds)
    line.take_place()
    batch = NextBatch(line)
    line.close()
    assert batch.items() == []
    join(line, 1)
    assert NextBatch(line).items() == [1]
    assert NextBatch(line).items() == []


def test_a_line_that_refuses_fails_what_waits_and_what_comes() -> None:
    line = Line(8, max_batch=4, window_seconds=0)
    waiting, coming = join(line, 1), line.take_place()
    assert coming
    refusal: Callable[[], NotReadyError] = lambda: NotReadyError("gone")  # noqa: E731
    line.refuse_all(refusal)
    assert isinstance(waiting.future.exception(TIMEOUT), NotReadyError)
    with pytest.raises(NotReadyError):
        line.join(coming)


@pytest.mark.parametrize(
    ("batches", "items", "seconds"),
    [
        ([], 32, 1),
        ([(0.4, 1)], 7, 3),
        ([(0.4, 1)], 1, 1),
        ([(0.4, 4)], 32, 4),
        ([(1.0, 1), (2.0, 1)], 10, 12),
        ([(2.0, 1)], 2, 4),
    ],
    ids=["unmeasured", "rounded up", "at least one", "batch", "newest share", "whole"],
)
def test_what_items_will_take_follows_the_measured_rate(
    batches: list[tuple[float, int]], items: int, seconds: int
) -> None:
    rate = Rate()
    for taken, count in batches:
        rate.measure(taken, count)
    assert rate.whole_seconds(items) == seconds
