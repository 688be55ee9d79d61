"""How many bytes the bodies of all requests together may hold: one budget, asked before reading."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from service.errors import BodiesFullError

_RETRY_AFTER_SECONDS = "1"
# Of a disk, which others write to as well: the database among them, perhaps.
SPARE_DISK_BYTES = 256 * 1024 * 1024


class Budget:
    """At most ``most`` bytes are held at once. For the event loop alone.

    ``room`` tells how many more there would be a place for, whatever the budget.
    """

    def __init__(
        self, most: int, place: str, room: Callable[[], int] = lambda: sys.maxsize
    ) -> None:
        self.most, self.held = most, 0
        self._place = place
        self._room = room

    def check(self, expected: int) -> None:
        """Raise BodiesFullError where so many more bytes would not fit; nothing is held for it.

        A body that has not come yet holds nothing, so that a slow client keeps nobody else out.
        """
        if self.held + expected > self.most or expected > self._room():
            raise BodiesFullError(
                f"the bodies of other requests fill the {self._place} that this service may take; "
                "try again in a moment, or send smaller images",
                headers={"Retry-After": _RETRY_AFTER_SECONDS},
            )

    def take(self, count: int) -> None:
        """Hold bytes that have come; BodiesFullError where they do not fit."""
        self.check(count)
        self.held += count

    def give_back(self, count: int) -> None:
        """Let go of them."""
        self.held -= count


def disk_room(folder: Path | None) -> int:
    """Bytes that may be written into a folder, by default the system's temporary one."""
    return shutil.disk_usage(folder or tempfile.gettempdir()).free - SPARE_DISK_BYTES
