"""What the backend must remember over a restart, in one SQLite file.

What is still to be learned from, and which pair of which stored set each gave.
"""

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["annotation", "task"]
_TABLES = """
CREATE TABLE IF NOT EXISTS pending (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    studio TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS given (
    studio TEXT NOT NULL,
    annotation INTEGER NOT NULL,
    label TEXT NOT NULL,
    task INTEGER NOT NULL,
    support_set TEXT NOT NULL,
    pair TEXT NOT NULL,
    PRIMARY KEY (studio, annotation, label)
);
"""


@dataclass(frozen=True)
class Given:
    """The pair of a stored set that an annotation gave for one of its labels."""

    annotation: int
    label: str
    task: int
    support_set: str
    pair: str


@dataclass(frozen=True)
class Change:
    """An annotation that was changed, or a task that was deleted, by its number in Label Studio.

    ``newest`` counts the changes that were heard of.
    """

    kind: Kind
    subject: int
    newest: int


class Ledger:
    """The notes about one Label Studio; threads may share it. Raises sqlite3.Error."""

    def __init__(self, path: Path, studio: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._studio = studio
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(_TABLES)

    def remember(self, kind: Kind, subjects: list[int]) -> None:
        """Note that they were changed or deleted; kept until ``done``."""
        rows = [(self._studio, kind, subject) for subject in subjects]
        with self._lock:
            self._database.executemany(
                "INSERT INTO pending (studio, kind, subject) VALUES (?, ?, ?)", rows
            )

    def pending(self) -> list[Change]:
        """What was changed, each once, the one that waits longest first."""
        rows = self._ask(
            "SELECT kind, subject, MAX(number) FROM pending WHERE studio = ? "
            "GROUP BY kind, subject ORDER BY MIN(number)",
            self._studio,
        )
        return [Change(*row) for row in rows]

    def done(self, change: Change) -> None:
        """Forget a change, but none that was noted after it."""
        self._ask(
            "DELETE FROM pending WHERE studio = ? AND kind = ? AND subject = ? AND number <= ?",
            self._studio,
            change.kind,
            change.subject,
            change.newest,
        )

    def given(self, annotation: int) -> dict[str, Given]:
        """What an annotation gave, by label."""
        rows = self._ask(
            "SELECT annotation, label, task, support_set, pair FROM given "
            "WHERE studio = ? AND annotation = ?",
            self._studio,
            annotation,
        )
        return {given.label: given for given in (Given(*row) for row in rows)}

    def annotations_of(self, task: int) -> list[int]:
        """Those of a task that gave anything."""
        query = "SELECT DISTINCT annotation FROM given WHERE studio = ? AND task = ?"
        return [annotation for (annotation,) in self._ask(query, self._studio, task)]

    def give(self, given: Given) -> None:
        """Note what an annotation gave."""
        values = (given.annotation, given.label, given.task, given.support_set, given.pair)
        self._ask("INSERT OR REPLACE INTO given VALUES (?, ?, ?, ?, ?, ?)", self._studio, *values)

    def take_back(self, annotation: int, label: str) -> None:
        """Forget what an annotation gave for a label."""
        self._ask(
            "DELETE FROM given WHERE studio = ? AND annotation = ? AND label = ?",
            self._studio,
            annotation,
            label,
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _ask(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()
