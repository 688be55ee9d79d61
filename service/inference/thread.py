"""The inference thread: replaced where it crashes, but not for ever."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

MAX_CRASHES = 3
CRASH_WINDOW_SECONDS = 60.0
_log = logging.getLogger(__name__)


class InferenceThread:
    """Runs ``work`` until it returns; whatever it raises, another thread runs it again.

    The third crash within a minute is the last. On the crashed thread ``on_crash`` is called, and
    ``on_end`` after the last.
    """

    def __init__(
        self,
        work: Callable[[], None],
        on_crash: Callable[[], object],
        on_end: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.up = True
        self._work = work
        self._on_crash = on_crash
        self._on_end = on_end
        self._clock = clock
        self._crashes: deque[float] = deque(maxlen=MAX_CRASHES)
        self._done = threading.Event()
        self._start()

    def join(self) -> None:
        """Wait until nothing works any more, and nothing will."""
        self._done.wait()

    def _start(self) -> None:
        threading.Thread(target=self._live, name="inference", daemon=True).start()

    def _live(self) -> None:
        self.up = True
        try:
            self._work()
        except BaseException:  # SystemExit out of a library too: requests wait for this thread
            self.up = False
            self._on_crash()
            if self._goes_on():
                self._start()
                return
            self._on_end()
        self._done.set()

    def _goes_on(self) -> bool:
        """Called while the exception is handled, so that the log has its traceback."""
        self._crashes.append(self._clock())
        lately = self._crashes[-1] - self._crashes[0] < CRASH_WINDOW_SECONDS
        if len(self._crashes) == MAX_CRASHES and lately:
            _log.critical(
                "the inference thread has crashed %d times within %d s; the service ends",
                MAX_CRASHES,
                CRASH_WINDOW_SECONDS,
                exc_info=True,
            )
            return False
        _log.error("the inference thread has crashed; another takes its place", exc_info=True)
        return True
