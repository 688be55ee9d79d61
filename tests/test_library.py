"""The library of stored supports, the same on SQLite and on a real PostgreSQL."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from databases import PostgresServer, impatient, limit_pages, postgres_server, sqlite_url
from service.errors import (
    LastPairError,
    NameTakenError,
    PairChangedError,
    PairNotFoundError,
    SettingsError,
    StorageBusyError,
    StorageDamagedError,
    StorageFullError,
    SupportSetNotFoundError,
    TooManyShotsError,
)
from service.library.database import SCHEMA_VERSION, Database
from service.library.migrate import migration_config
from service.library.records import EncodingKey, NewPair, PairState, StoreLimits
from service.library.sets import Library
from service.library.tables import Table

KEY = EncodingKey("a" * 64, "float32", 321)
NOBODY = "0" * 32


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def library(url: str) -> Iterator[Library]:
    library = Library.open(url)
    yield library
    library.close()


def pair(number: int = 0, size: int = 10) -> NewPair:
    """A pair whose bytes tell its number."""
    content = bytes([number % 256]) * size
    return NewPair(b"image" + content, b"mask" + content, b"small" + content, 64, 48, number + 1)


def state(stored: Any) -> PairState:
    """A pair of a set as it is described."""
    return PairState(stored.id, stored.created)


def names(library: Library, **page: int) -> list[str]:
    found = library.page(**{"limit": 50, "offset": 0, **page})
    return [item.name for item in found.items]


# Sets and pairs


def test_a_set_is_read_as_it_was_created(library: Library) -> None:
    created = library.create("Mugs", "mug", [pair(0), pair(1)])
    assert library.read(created.id) == created
    assert (created.name, created.label, created.shots) == ("Mugs", "mug", 2)
    assert [(p.width, p.height, p.area) for p in created.pairs] == [(64, 48, 1), (64, 48, 2)]
    assert re.fullmatch("[0-9a-f]{32}", created.id)
    assert datetime.now(UTC) - created.created < timedelta(minutes=1)
    assert created.created.utcoffset() == created.pairs[0].created.utcoffset() == timedelta(0)


def test_a_set_is_there_after_the_database_is_opened_again(library: Library, url: str) -> None:
    created = library.create("Mugs", None, [pair()])
    library.close()
    again = Library.open(url)
    assert again.read(created.id) == created
    again.close()


def test_the_files_come_back_byte_for_byte(library: Library) -> None:
    every_byte = bytes(range(256)) * 3
    stored = pair()._replace(image=every_byte, mask=every_byte[::-1])
    created = library.create("Mugs", None, [stored, pair(1)])
    first, second = (p.id for p in created.pairs)
    assert library.image(created.id, first) == every_byte
    assert library.mask(created.id, first) == every_byte[::-1]
    assert library.mask(created.id, second) == pair(1).mask
    assert library.thumbnail(created.id) == pair(0).thumbnail


def test_a_name_belongs_to_one_set(library: Library) -> None:
    library.create("Mugs", None, [pair()])
    with pytest.raises(NameTakenError, match="'Mugs' already"):
        library.create("Mugs", None, [pair()])
    assert library.page(50, 0).total == 1


def test_a_name_is_free_again_once_its_set_is_deleted(library: Library) -> None:
    library.delete(library.create("Mugs", None, [pair()]).id)
    assert library.create("Mugs", None, [pair()]).shots == 1


def test_sets_are_listed_from_the_newest_on_in_pages(library: Library) -> None:
    for number in range(5):
        library.create(f"set {number}", None, [pair(), pair()])
    assert names(library) == ["set 4", "set 3", "set 2", "set 1", "set 0"]
    assert names(library, limit=2, offset=1) == ["set 3", "set 2"]
    page = library.page(limit=2, offset=4)
    assert ([item.shots for item in page.items], page.total) == ([2], 5)


def test_pairs_are_added_behind_those_that_are_there(library: Library) -> None:
    created = library.create("Mugs", None, [pair(0), pair(1)])
    library.delete_pair(created.id, created.pairs[0].id)
    changed = library.add_pairs(created.id, [pair(2), pair(3)], max_shots=10)
    assert [p.area for p in changed.pairs] == [2, 3, 4]
    assert library.read(created.id) == changed
    assert library.thumbnail(created.id) == pair(1).thumbnail


def test_a_set_grows_to_the_limit_and_no_further(library: Library) -> None:
    created = library.create("Mugs", None, [pair()])
    assert library.add_pairs(created.id, [pair(), pair()], max_shots=3).shots == 3
    with pytest.raises(TooManyShotsError, match="has 3 pairs and would have 4, the limit is 3"):
        library.add_pairs(created.id, [pair()], max_shots=3)
    assert library.read(created.id).shots == 3


def test_the_last_pair_stays(library: Library) -> None:
    created = library.create("Mugs", None, [pair(), pair()])
    library.delete_pair(created.id, created.pairs[1].id)
    with pytest.raises(LastPairError, match="delete the set"):
        library.delete_pair(created.id, created.pairs[0].id)
    assert library.read(created.id).shots == 1


def test_a_set_changes_its_name_and_label_one_by_one(library: Library) -> None:
    created = library.create("Mugs", "mug", [pair()])
    assert library.change(created.id, "Cups", None).name == "Cups"
    changed = library.change(created.id, None, "cup")
    assert (changed.name, changed.label, changed.pairs) == ("Cups", "cup", created.pairs)
    assert library.change(created.id, "Cups", "").label is None
    assert library.read(created.id).label is None
    assert library.create("Mugs", None, [pair()]).shots == 1


def test_a_name_is_not_taken_from_another_set(library: Library) -> None:
    library.create("Mugs", None, [pair()])
    other = library.create("Cups", None, [pair()])
    with pytest.raises(NameTakenError, match="'Mugs' already"):
        library.change(other.id, "Mugs", "cup")
    assert library.read(other.id) == other


def test_a_replaced_pair_keeps_its_id_and_place_and_loses_its_encodings(library: Library) -> None:
    created = library.create("Mugs", None, [pair(0), pair(1), pair(2)])
    first, second, third = map(state, created.pairs)
    library.keep_encodings(KEY, dict.fromkeys((first, second, third), b"encoding"))
    changed = library.replace_pair(created.id, second.pair_id, pair(7))
    assert [(p.id, p.area) for p in changed.pairs] == [
        (first.pair_id, 1), (second.pair_id, 8), (third.pair_id, 3)
    ]  # fmt: skip
    assert library.read(created.id) == changed
    assert library.pair(created.id, second.pair_id)[1:] == (8, pair(7).image, pair(7).mask)
    encodings = [shot.encoding for shot in library.shots(created.id, KEY)[1]]
    assert encodings == [b"encoding", None, b"encoding"]
    library.replace_pair(created.id, first.pair_id, pair(8))
    assert library.thumbnail(created.id) == pair(8).thumbnail


def test_an_encoding_of_what_a_pair_was_is_not_kept(library: Library) -> None:
    created = library.create("Mugs", None, [pair()])
    before = state(created.pairs[0])
    after = state(library.replace_pair(created.id, before.pair_id, pair(1)).pairs[0])
    library.keep_encodings(KEY, {before: b"old"})
    assert library.shots(created.id, KEY)[1][0].encoding is None
    library.keep_encodings(KEY, {after: b"new"})
    assert library.shots(created.id, KEY)[1][0].encoding == b"new"


def test_a_pair_that_was_replaced_meanwhile_is_not_replaced_by_half(library: Library) -> None:
    created = library.create("Mugs", None, [pair()])
    before = library.pair(created.id, created.pairs[0].id).state
    library.replace_pair(created.id, before.pair_id, pair(1), before)
    with pytest.raises(PairChangedError, match="send again"):
        library.replace_pair(created.id, before.pair_id, pair(2), before)
    assert library.image(created.id, before.pair_id) == pair(1).image


def test_a_deleted_set_leaves_nothing(library: Library, url: str) -> None:
    created = library.create("Mugs", None, [pair(), pair()])
    library.keep_encodings(KEY, {state(created.pairs[0]): b"encoding"})
    library.delete(created.id)
    engine = create_engine(url)
    with engine.connect() as connection:
        for table in ("support_set", "support_pair", "support_encoding"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    engine.dispose()


@pytest.mark.parametrize("set_id", [NOBODY, "", "a\0b", "%", "ü" * 1000])
def test_a_set_that_does_not_exist_is_told_by_every_method(library: Library, set_id: str) -> None:
    calls: list[Any] = [
        lambda: library.read(set_id),
        lambda: library.thumbnail(set_id),
        lambda: library.image(set_id, NOBODY),
        lambda: library.mask(set_id, NOBODY),
        lambda: library.pair(set_id, NOBODY),
        lambda: library.change(set_id, "name", None),
        lambda: library.replace_pair(set_id, NOBODY, pair()),
        lambda: library.add_pairs(set_id, [pair()], 10),
        lambda: library.delete(set_id),
        lambda: library.delete_pair(set_id, NOBODY),
        lambda: library.shots(set_id, KEY),
    ]
    for call in calls:
        with pytest.raises(SupportSetNotFoundError):
            call()


def test_a_pair_is_found_in_its_own_set_only(library: Library) -> None:
    mine = library.create("mine", None, [pair(), pair()])
    other = library.create("other", None, [pair(), pair()]).pairs[0].id
    for pair_id in (other, NOBODY, "a\0b"):
        for method in (library.image, library.mask, library.pair, library.delete_pair):
            with pytest.raises(PairNotFoundError):
                method(mine.id, pair_id)
        with pytest.raises(PairNotFoundError):
            library.replace_pair(mine.id, pair_id, pair(1))


# Encodings


def test_a_pair_without_an_encoding_comes_with_its_files(library: Library) -> None:
    created = library.create("Mugs", None, [pair(0), pair(1)])
    first, second = map(state, created.pairs)
    library.keep_encodings(KEY, {second: b"encoding"})
    description, shots = library.shots(created.id, KEY)
    assert description == created
    assert shots == [
        (first, 1, None, pair(0).image, pair(0).mask),
        (second, 2, b"encoding", None, None),
    ]


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(checkpoint_sha256="b" * 64),
        KEY._replace(precision="bfloat16"),
        KEY._replace(input_side=129),
    ],
)
def test_an_encoding_of_another_network_is_not_taken(library: Library, other: EncodingKey) -> None:
    created = library.create("Mugs", None, [pair()])
    library.keep_encodings(other, {state(created.pairs[0]): b"other"})
    assert library.shots(created.id, KEY)[1][0].encoding is None
    library.keep_encodings(KEY, {state(created.pairs[0]): b"mine"})
    assert library.shots(created.id, KEY)[1][0].encoding == b"mine"
    assert library.shots(created.id, other)[1][0].encoding == b"other"


def test_encodings_of_deleted_pairs_are_left_out(library: Library) -> None:
    created = library.create("Mugs", None, [pair(), pair()])
    first, second = map(state, created.pairs)
    library.delete_pair(created.id, first.pair_id)
    library.keep_encodings(KEY, {first: b"gone", second: b"kept"})
    assert [shot.encoding for shot in library.shots(created.id, KEY)[1]] == [b"kept"]


def test_encodings_that_are_stored_twice_do_no_harm(library: Library) -> None:
    created = library.create("Mugs", None, [pair(n) for n in range(4)])
    encodings = {state(p): b"encoding" for p in created.pairs}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: library.keep_encodings(KEY, encodings), range(16)))
    assert {shot.encoding for shot in library.shots(created.id, KEY)[1]} == {b"encoding"}


# At once


def test_of_many_that_create_a_name_at_once_one_has_it(library: Library) -> None:
    def create(_: int) -> int:
        try:
            library.create("Mugs", None, [pair()])
        except NameTakenError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(create, range(16))) == 1


def test_many_that_add_at_once_stay_within_the_limit(library: Library) -> None:
    created = library.create("Mugs", None, [pair()])

    def add(_: int) -> None:
        with suppress(TooManyShotsError):
            library.add_pairs(created.id, [pair()], max_shots=5)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(16)))
    assert library.read(created.id).shots == 5


def test_many_that_delete_at_once_leave_one_pair(library: Library) -> None:
    created = library.create("Mugs", None, [pair() for _ in range(8)])

    def delete(stored: Any) -> int:
        try:
            library.delete_pair(created.id, stored.id)
        except LastPairError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(delete, created.pairs)) == 7
    assert library.read(created.id).shots == 1


# Opening


OPEN = "import sys; from service.library.sets import Library; Library.open(sys.argv[1]).close()"


def test_several_processes_may_open_a_new_database_at_once(url: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, url]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    library = Library.open(url)
    assert library.page(1, 0).total == 0
    library.close()


def test_the_migrations_make_exactly_the_tables_of_the_code(library: Library, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_the_version_that_needs_no_migration_is_the_newest() -> None:
    assert ScriptDirectory.from_config(migration_config()).get_current_head() == SCHEMA_VERSION


def test_a_database_that_is_up_to_date_is_opened_without_alembic(
    library: Library, url: str
) -> None:
    code = f"{OPEN}; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, url], check=False).returncode == 0


def test_a_database_of_a_newer_release_is_refused(library: Library, url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SettingsError, match=r"cannot be opened .*9999"):
        Library.open(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////nowhere/at/all.sqlite3", "unable to open database file"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://user:secret@host/name", "only sqlite:///FILE"),
        ("user:secret@host", "Could not parse"),
        ("postgresql://user:secret@/name?host=/nowhere", "No such file"),
        ("postgresql+psycopg://user:secret@127.0.0.1:1/name", "connection failed"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_sentence(url: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Library.open(url)
    sentence = str(caught.value)
    assert reason in sentence
    assert "mend SGONE_DATABASE_URL or --database-url" in sentence
    assert "\n" not in sentence
    assert "secret" not in sentence


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sgone.sqlite3").write_bytes(b"no database " * 100)
    with pytest.raises(SettingsError, match="file is not a database"):
        Library.open(sqlite_url(tmp_path))


def test_sqlite_is_safe_against_power_failure_and_checks_its_keys(tmp_path: Path) -> None:
    database = Database.open(sqlite_url(tmp_path))
    with database.reading() as session:
        values = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()
    full = 2
    assert values == {
        "journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "busy_timeout": 5000
    }  # fmt: skip


# Trouble


def test_a_full_sqlite_file_is_told_and_taken_up_again(tmp_path: Path) -> None:
    database = Database.open(impatient(sqlite_url(tmp_path)))
    library = Library(database)
    kept = library.create("kept", None, [pair()])
    limit_pages(database, 40)
    with pytest.raises(StorageFullError, match="delete some"):
        library.create("large", None, [pair(size=200_000)])
    with pytest.raises(StorageFullError):
        library.add_pairs(kept.id, [pair(size=200_000)], 10)
    assert names(library) == ["kept"]
    assert library.read(kept.id) == kept
    limit_pages(database, 10_000)
    assert library.create("large", None, [pair(size=200_000)]).shots == 1
    library.close()


def test_a_full_disk_is_told_and_taken_up_again(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        library = Library.open(impatient(sqlite_url(disk)))
        kept = library.create("kept", None, [pair(size=1000)])
        with pytest.raises(StorageFullError):
            library.create("large", None, [pair(size=2_000_000)])
        assert library.read(kept.id) == kept
        filler = disk / "filler"
        filler.write_bytes(b"")
        assert library.create("small", None, [pair(size=1000)]).shots == 1
        library.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_sets_can_be_deleted_from_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        library = Library.open(impatient(sqlite_url(disk)))
        kept = [library.create(f"set {n}", None, [pair(n, 300_000)] * 2) for n in range(3)]
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        with pytest.raises(StorageFullError):
            library.create("large", None, [pair(size=2_000_000)])
        library.delete_pair(kept[0].id, kept[0].pairs[0].id)
        library.delete(kept[1].id)
        library.delete(kept[2].id)
        assert names(library) == ["set 0"]
        assert library.create("new", None, [pair(size=200_000)]).shots == 1
        library.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_sets_and_bytes_are_bounded_and_deleting_makes_room(url: str) -> None:
    library = Library.open(url, StoreLimits(sets=2, content_bytes=10_000))
    first = library.create("first", None, [pair()])
    with pytest.raises(StorageFullError, match="delete some"):
        library.create("large", None, [pair(size=6000)])
    with pytest.raises(StorageFullError, match="delete some"):
        library.add_pairs(first.id, [pair(size=6000)], 10)
    with pytest.raises(StorageFullError, match="delete some"):
        library.replace_pair(first.id, first.pairs[0].id, pair(size=6000))
    library.create("second", None, [pair()])
    with pytest.raises(StorageFullError, match="at most 2 sets"):
        library.create("third", None, [pair()])
    assert names(library) == ["second", "first"]
    assert library.read(first.id) == first
    library.delete(first.id)
    library.create("third", None, [pair()])
    library.close()


def test_damaged_pages_are_told_as_such(tmp_path: Path) -> None:
    library = Library.open(sqlite_url(tmp_path))
    created = library.create("Mugs", None, [pair(size=100_000)])
    library.close()
    file = tmp_path / "sgone.sqlite3"
    content = bytearray(file.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    file.write_bytes(content)
    library = Library(Database(create_engine(sqlite_url(tmp_path))))
    with pytest.raises(StorageDamagedError, match="damaged"):
        library.image(created.id, created.pairs[0].id)
    with pytest.raises(StorageDamagedError):
        library.create("more", None, [pair()])
    library.close()


def test_a_locked_sqlite_file_is_told_and_taken_up_again(tmp_path: Path) -> None:
    library = Library.open(impatient(sqlite_url(tmp_path)))
    kept = library.create("kept", None, [pair()])
    other = sqlite3.connect(tmp_path / "sgone.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for write in (
        lambda: library.create("new", None, [pair()]),
        lambda: library.add_pairs(kept.id, [pair()], 10),
        lambda: library.delete(kept.id),
        lambda: library.keep_encodings(KEY, {state(kept.pairs[0]): b"encoding"}),
    ):
        with pytest.raises(StorageBusyError) as caught:
            write()
        assert caught.value.headers == {"Retry-After": "5"}
    assert library.read(kept.id) == kept
    other.execute("COMMIT")
    other.close()
    library.create("new", None, [pair()])
    assert names(library) == ["new", "kept"]
    library.close()


def test_a_postgresql_that_is_away_is_told_and_taken_up_again() -> None:
    with postgres_server() as server:
        library = Library.open(server.new_database())
        kept = library.create("kept", None, [pair()])
        server.stop()
        with pytest.raises(StorageBusyError) as caught:
            library.read(kept.id)
        assert caught.value.headers == {"Retry-After": "5"}
        with pytest.raises(StorageBusyError):
            library.create("new", None, [pair()])
        server.start()
        library.create("new", None, [pair()])
        assert names(library) == ["new", "kept"]
        library.close()


WRITE = """
import itertools, sys
from service.library.records import EncodingKey, NewPair, PairState
from service.library.sets import Library

url, start = sys.argv[1], int(sys.argv[2])
library = Library.open(url)
for number in itertools.count(start):
    content = b"%d " % number * 20_000
    pairs = [NewPair(content, content, content, 1, 1, 1)] * 3
    created = library.create(str(number), None, pairs)
    library.add_pairs(created.id, pairs[:1], 10)
    encodings = {PairState(p.id, p.created): content for p in created.pairs}
    library.keep_encodings(EncodingKey("c", "p", 1), encodings)
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_acknowledged_and_leaves_nothing_half(url: str) -> None:
    acknowledged: list[int] = []
    for kill, seconds in enumerate((0, 0.002, 0.01, 0.04, 0.15)):
        acknowledged += _killed(url, 1000 * kill, seconds)
    library = Library.open(url)
    stored = library.page(200, 0).items
    assert {str(number) for number in acknowledged} <= {item.name for item in stored}
    assert len(acknowledged) >= 10
    for item in stored:
        content = item.name.encode() + b" "
        whole = item.name in map(str, acknowledged)
        assert item.shots == 4 if whole else item.shots in (3, 4)
        for stored_pair in item.pairs:
            assert library.image(item.id, stored_pair.id) == content * 20_000
            assert library.mask(item.id, stored_pair.id) == content * 20_000
        encoded = [shot.encoding for shot in library.shots(item.id, EncodingKey("c", "p", 1))[1]]
        assert not whole or encoded[:3] == [content * 20_000] * 3
    library.close()


def _killed(url: str, start: int, seconds: float) -> list[int]:
    """What a process that stores sets has acknowledged when it is killed soon after its second."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, url, str(start)], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    lines += process.stdout.readlines()
    process.stdout.close()
    return [int(line) for line in lines if line.endswith("\n")]
