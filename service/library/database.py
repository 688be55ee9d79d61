"""The database of stored supports, SQLite or PostgreSQL; its failures become replies."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from service.errors import SettingsError, StorageBusyError, StorageDamagedError, StorageFullError

_log = logging.getLogger(__name__)

# How long a request waits for a lock, a connection or a server before it is answered 503.
WAIT_SECONDS = 5
RETRY_AFTER_SECONDS = 5
# The newest of service/library/migrations. A database of this version needs no migration.
SCHEMA_VERSION = "0001"
# Processes that start at once migrate one after the other. Any number will do that is not taken.
_MIGRATION_LOCK = 0x560_0E
_POSTGRES_DISK_FULL = "53100"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# FULL: what a client was told is stored survives a power failure, not only a kill.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
_POSTGRES_OPTIONS = {
    "connect_timeout": str(WAIT_SECONDS),
    "tcp_user_timeout": str(WAIT_SECONDS * 1000),
    "options": f"-c lock_timeout={WAIT_SECONDS}s",
}


class Database:
    """A pool of connections for any thread. ``reading`` and ``writing`` are one transaction each.

    Both raise StorageBusyError where the database is locked or away, StorageFullError where its
    disk is full, and StorageDamagedError where it cannot be read; the transaction is undone then.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")

    @classmethod
    def open(cls, url: str) -> "Database":
        """Connect and bring the tables up to date. Raises SettingsError, in one sentence."""
        try:
            with ExitStack() as after_failure:
                database = cls(_create_engine(_supported(make_url(url))))
                after_failure.callback(database.close)
                database._migrate()
                after_failure.pop_all()
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise SettingsError(_cannot_open(url, error)) from error
        return database

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that changes nothing; in SQLite it waits for no writer."""
        with _storage_errors(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is committed at the end; in SQLite one at a time."""
        with _storage_errors(), Session(self._writer) as session, session.begin():
            yield session
        self._checkpoint()

    def _checkpoint(self) -> None:
        """Move SQLite's log into its file: on a full disk the log's room serves what deletes."""
        if self._engine.dialect.name == "sqlite":
            with suppress(SQLAlchemyError), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def _migrate(self) -> None:
        """Migrate if the version is old. Alembic is imported only then: that takes 0.2 s."""
        with self._engine.connect() as connection:
            if _is_current(connection):
                return
        from service.library.migrate import upgrade

        with self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                lock = text("SELECT pg_advisory_xact_lock(:number)")
                connection.execute(lock, {"number": _MIGRATION_LOCK})
            upgrade(connection)


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    versions = connection.scalars(text("SELECT version_num FROM alembic_version"))
    return list(versions) == [SCHEMA_VERSION]


def _supported(url: URL) -> URL:
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError("only sqlite:///FILE and postgresql+psycopg://HOST/NAME are known")
    if url.database in (None, "", ":memory:"):
        raise ValueError("it names no file, and in memory all would be lost")
    return url


def _create_engine(url: URL) -> Engine:
    """What the operator says in the URL wins."""
    if url.get_backend_name() == "postgresql":
        url = url.set(query=_POSTGRES_OPTIONS | dict(url.query))
        return create_engine(url, pool_pre_ping=True, pool_timeout=WAIT_SECONDS)
    url = url.set(query={"timeout": str(WAIT_SECONDS)} | dict(url.query))
    engine = create_engine(url, pool_timeout=WAIT_SECONDS)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Turn off sqlite3's own transactions: they begin late, and leave out changes of tables."""
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: SQLite lets no reader wait until it may write."""
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        _log.warning("stored supports: %s", _reason(error))
        if isinstance(error, DBAPIError) and _is_full(error):
            raise StorageFullError(
                "the disk of stored supports is full; delete some, or ask the operator for room"
            ) from error
        raise StorageBusyError(
            f"stored supports are locked or away; try again in {RETRY_AFTER_SECONDS} s",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        ) from error

    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", None) not in _DAMAGED:
            raise
        _log.error("stored supports: %s", _reason(error))
        raise StorageDamagedError(
            "the file of stored supports is damaged; the operator has to restore it from a copy"
        ) from error


def _is_full(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL or (
        getattr(error.orig, "sqlstate", None) == _POSTGRES_DISK_FULL
    )


def _cannot_open(url: str, error: Exception) -> str:
    return (
        f"database {_shown(url)} cannot be opened ({_reason(error)}); "
        "mend SGONE_DATABASE_URL or --database-url"
    )


def _reason(error: Exception) -> str:
    """The error on one line, without the statement and its values."""
    told = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(told).split()).rstrip(".")


def _shown(url: str) -> str:
    """The URL without its password. A text that is no URL may hold one: show nothing of it."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "URL"
