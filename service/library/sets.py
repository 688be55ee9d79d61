"""Sets of supports that clients store under a name, use and delete."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import and_, case, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import (
    LastPairError,
    NameTakenError,
    PairNotFoundError,
    StorageFullError,
    SupportSetNotFoundError,
    TooManyShotsError,
)
from service.library.database import Database
from service.library.tables import ID_LENGTH, EncodingRow, PairRow, SetRow
from service.schemas import SupportSet, SupportSets

_ID = re.compile(f"[0-9a-f]{{{ID_LENGTH}}}")


class NewPair(NamedTuple):
    """A pair to store: both files as uploaded, a PNG of both for lists, and the decoded size."""

    image: bytes
    mask: bytes
    thumbnail: bytes
    width: int
    height: int
    area: int


class EncodingKey(NamedTuple):
    """What an encoding depends on besides its pair."""

    checkpoint_sha256: str
    precision: str
    input_side: int


class StoredShot(NamedTuple):
    """A pair with its encoding (safetensors); where it has none yet, with its two files."""

    pair_id: str
    encoding: bytes | None
    image: bytes | None
    mask: bytes | None


class Limits(NamedTuple):
    """How much may be stored: sets, and bytes of their files."""

    sets: int
    content_bytes: int


NO_LIMITS = Limits(sys.maxsize, sys.maxsize)


class Library:
    """The stored sets. Every method is one transaction, for any thread in any process.

    Each may raise StorageBusyError or StorageFullError, and SupportSetNotFoundError or
    PairNotFoundError for a set or pair that does not exist.
    """

    def __init__(self, database: Database, limits: Limits = NO_LIMITS) -> None:
        self._database = database
        self._limits = limits

    @classmethod
    def open(cls, url: str, limits: Limits = NO_LIMITS) -> "Library":
        """The library in the database at ``url``; SettingsError where that cannot be opened."""
        return cls(Database.open(url), limits)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def create(self, name: str, label: str | None, pairs: Sequence[NewPair]) -> SupportSet:
        """Store a set of at least one pair; NameTakenError where its name is in use."""
        row = SetRow(name=name, label=label, pairs=_rows(pairs, 0))
        with self._database.writing() as session:
            session.add(row)
            _flush_name(session, name)
            self._check_room(session)
            return SupportSet.model_validate(row)

    def page(self, limit: int, offset: int) -> SupportSets:
        """Sets, the newest first, after the first ``offset``; and how many there are in all."""
        newest = select(SetRow).order_by(SetRow.created.desc(), SetRow.id)
        with self._database.reading() as session:
            rows = session.scalars(newest.limit(limit).offset(offset)).unique().all()
            total = session.scalar(select(func.count()).select_from(SetRow))
            return SupportSets.model_validate({"items": rows, "total": total})

    def read(self, set_id: str) -> SupportSet:
        """One set."""
        with self._database.reading() as session:
            return SupportSet.model_validate(_find(session, set_id))

    def add_pairs(self, set_id: str, pairs: Sequence[NewPair], max_shots: int) -> SupportSet:
        """Store further pairs; TooManyShotsError where the set would have over ``max_shots``."""
        with self._database.writing() as session:
            row = _lock(session, set_id)
            if row.shots + len(pairs) > max_shots:
                raise TooManyShotsError(
                    f"the set has {row.shots} pairs and would have {row.shots + len(pairs)}, "
                    f"the limit is {max_shots}; send fewer, or delete some",
                    field="support_image",
                )
            row.pairs.extend(_rows(pairs, row.pairs[-1].position + 1))
            session.flush()
            self._check_room(session)
            return SupportSet.model_validate(row)

    def delete(self, set_id: str) -> None:
        """Delete a set with its pairs and their encodings."""
        with self._database.writing() as session:
            _lock(session, set_id)
            session.execute(delete(SetRow).where(SetRow.id == set_id))

    def delete_pair(self, set_id: str, pair_id: str) -> None:
        """Delete a pair with its encodings; LastPairError where the set would be empty."""
        with self._database.writing() as session:
            row = _lock(session, set_id)
            if pair_id not in [pair.id for pair in row.pairs]:
                raise _no_pair(pair_id)
            if row.shots == 1:
                raise LastPairError("this is the set's last pair; delete the set, or add one first")
            session.execute(delete(PairRow).where(PairRow.id == pair_id))

    def thumbnail(self, set_id: str) -> bytes:
        """The first pair's PNG."""
        with self._database.reading() as session:
            first = _find(session, set_id).pairs[0].id
            return _file(session, PairRow.thumbnail, set_id, first)

    def image(self, set_id: str, pair_id: str) -> bytes:
        """A pair's photograph, as it was uploaded."""
        with self._database.reading() as session:
            return _file(session, PairRow.image, set_id, pair_id)

    def mask(self, set_id: str, pair_id: str) -> bytes:
        """A pair's mask, as it was uploaded."""
        with self._database.reading() as session:
            return _file(session, PairRow.mask, set_id, pair_id)

    def shots(self, set_id: str, key: EncodingKey) -> tuple[SupportSet, list[StoredShot]]:
        """A set, and what a network with ``key`` needs of each of its pairs, in order."""
        missing = EncodingRow.content.is_(None)
        wanted = [getattr(EncodingRow, name) == value for name, value in key._asdict().items()]
        statement = (
            select(
                PairRow.id,
                EncodingRow.content,
                case((missing, PairRow.image)),
                case((missing, PairRow.mask)),
            )
            .outerjoin(EncodingRow, and_(EncodingRow.pair_id == PairRow.id, *wanted))
            .where(PairRow.set_id == set_id)
            .order_by(PairRow.position)
        )
        with self._database.reading() as session:
            found = SupportSet.model_validate(_find(session, set_id))
            return found, [StoredShot(*row) for row in session.execute(statement)]

    def keep_encodings(self, key: EncodingKey, encodings: Mapping[str, bytes]) -> None:
        """Store encodings by their pair's id, but for pairs that have been deleted since."""
        wanted = select(PairRow.id).where(PairRow.id.in_(encodings)).order_by(PairRow.id)
        with self._database.writing() as session:
            for pair_id in session.scalars(wanted.with_for_update()).all():
                content = encodings[pair_id]
                session.merge(EncodingRow(pair_id=pair_id, content=content, **key._asdict()))

    def _check_room(self, session: Session) -> None:
        """Raise StorageFullError where what is flushed is more than may be stored."""
        sets = session.scalar(select(func.count()).select_from(SetRow)) or 0
        files = func.length(PairRow.image) + func.length(PairRow.mask)
        content_bytes = session.scalar(select(func.sum(files))) or 0
        if sets > self._limits.sets or content_bytes > self._limits.content_bytes:
            raise StorageFullError(
                f"the service keeps at most {self._limits.sets} sets and "
                f"{self._limits.content_bytes} bytes of files; delete some first"
            )


def _rows(pairs: Sequence[NewPair], position: int) -> list[PairRow]:
    return [
        PairRow(position=number, **pair._asdict()) for number, pair in enumerate(pairs, position)
    ]


def _find(session: Session, set_id: str) -> SetRow:
    row = session.get(SetRow, _checked(set_id))
    if row is None:
        raise _no_set(set_id)
    return row


def _lock(session: Session, set_id: str) -> SetRow:
    """Lock a set for the transaction, and return it.

    Lock first, read second: a statement that does both can read what was there before the lock.
    """
    session.execute(select(SetRow.id).where(SetRow.id == _checked(set_id)).with_for_update())
    return _find(session, set_id)


def _checked(set_id: str) -> str:
    """Refuse what cannot be an id: PostgreSQL fails at a NUL."""
    if not _ID.fullmatch(set_id):
        raise _no_set(set_id)
    return set_id


def _file(
    session: Session, column: InstrumentedAttribute[bytes], set_id: str, pair_id: str
) -> bytes:
    _find(session, set_id)
    wanted = select(column).where(PairRow.set_id == set_id, PairRow.id == pair_id)
    content = session.scalar(wanted) if _ID.fullmatch(pair_id) else None
    if content is None:
        raise _no_pair(pair_id)
    return content


def _flush_name(session: Session, name: str) -> None:
    """Write the set; the only constraint that it can break is that of its name."""
    try:
        session.flush()
    except IntegrityError as error:
        raise NameTakenError(
            f"there is a support set named {name!r} already; choose another name, "
            "or add pairs to that set",
            field="name",
        ) from error


def _no_set(set_id: str) -> SupportSetNotFoundError:
    return SupportSetNotFoundError(
        f"there is no support set {set_id[:80]!r}; GET /supports lists them"
    )


def _no_pair(pair_id: str) -> PairNotFoundError:
    return PairNotFoundError(
        f"the support set has no pair {pair_id[:80]!r}; GET the set to list them"
    )
