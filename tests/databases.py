"""Real databases for the tests: a SQLite file, and a PostgreSQL server of their own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.library.database import Database


def sqlite_url(folder: Path) -> str:
    """A new file in ``folder``."""
    return f"sqlite:///{folder}/sgone.sqlite3"


def impatient(url: str) -> str:
    """The same SQLite file for a service that waits for no lock as long as users do."""
    return f"{url}?timeout=0.2"


def limit_pages(database: Database, pages: int) -> None:
    """Let a SQLite file grow to ``pages``: those it has, or more.

    Of all connections that the pool holds: one, where transactions come one by one.
    """
    with database.reading() as session:
        connection = session.connection()
        used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {max(pages, used)}")


class PostgresServer:
    """A private server that listens on a socket in its own folder; it refuses to run as root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._databases = 0
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "--auth=trust", "--username=sgone", "--no-sync")

    def start(self) -> None:
        """Returns once it answers."""
        flags = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}'"
        self._run("pg_ctl", "start", "--wait", f"--log={self._folder}/log", f"--options={flags}")

    def stop(self) -> None:
        """Connections are cut off."""
        self._run("pg_ctl", "stop", "--wait", "--mode=fast")

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"sgone{self._databases}"
        self._run("createdb", f"--host={self._folder}", "--username=sgone", name)
        return f"postgresql+psycopg://sgone@/{name}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        data = [] if program == "createdb" else [f"--pgdata={self._folder}/data"]
        subprocess.run(
            [str(self._programs / program), *data, *arguments],
            user=self._user,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server runs
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=300,
        )


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server; skips the test where PostgreSQL is not installed.

    Its folder is not pytest's, which only one user may enter, and whose names are too long for
    a socket.
    """
    with tempfile.TemporaryDirectory(prefix="sgone") as name:
        server = PostgresServer(_programs(), Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs() -> Path:
    """The folder of the newest PostgreSQL, of those on the path and where Debian keeps them."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    if on_path := shutil.which("pg_ctl"):
        found.append(Path(on_path).resolve())
    if not found:
        pytest.skip("PostgreSQL (initdb, pg_ctl) is not installed")
    return max(found).parent
