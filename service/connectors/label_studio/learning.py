"""The thread that follows annotations: Label Studio waits one second for its events' reply."""

import logging
import threading
from collections.abc import Callable
from typing import Self

from service.client import SegmentationError, ServiceUnreachableError, UnavailableError
from service.connectors.label_studio.ledger import Change, Ledger
from service.connectors.problems import ConnectorError, TokenRejectedError, ToolAwayError

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
_AWAY = (ToolAwayError, TokenRejectedError, ServiceUnreachableError, UnavailableError)
_log = logging.getLogger(__name__)


class Learning:
    """Calls ``follow`` for each change, one after the other, within ``with``.

    While Label Studio or the service is away, or the token is rejected, changes wait, over a
    restart as well. What can never work, such as a set that is full, is logged and left: the
    annotation stays in Label Studio.
    """

    def __init__(self, ledger: Ledger, follow: Callable[[Change], None]) -> None:
        self._ledger = ledger
        self._follow = follow
        self._woken = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="learning", daemon=True)

    def changed(self, annotations: list[int], deleted_tasks: list[int]) -> None:
        """Note that annotations were made, changed or deleted, some with their tasks.

        Returns at once.
        """
        self._ledger.remember("annotation", annotations)
        self._ledger.remember("task", deleted_tasks)
        self._woken.set()

    def __enter__(self) -> Self:
        self._woken.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._ended.is_set():
            self._woken.wait()
            self._woken.clear()
            if self._work_off():
                pause = FIRST_PAUSE_SECONDS
            else:
                self._ended.wait(pause)
                self._woken.set()
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _work_off(self) -> bool:
        """False where something was away, and some changes are to be tried again."""
        away = False
        for change in self._ledger.pending():
            if self._ended.is_set():
                break
            name = f"{change.kind} {change.subject}"
            try:
                self._follow(change)
            except _AWAY as error:
                _log.warning("%s waits: %s", name, error)
                away = True
                continue
            except (ConnectorError, SegmentationError) as error:
                _log.warning("%s is not learned from: %s", name, error)
            except Exception:
                _log.exception("%s is not learned from", name)
            else:
                _log.info("%s is learned from", name)
            self._ledger.done(change)
        return not away
