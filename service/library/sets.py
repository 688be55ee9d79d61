"""Sets of supports that clients store under a name, use and delete."""

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import and_, case, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import (
    LastPairError,
    NameTakenError,
    PairChangedError,
    PairNotFoundError,
    StorageFullError,
    SupportSetNotFoundError,
    TooManyShotsError,
)
from service.library.database import Database
from service.library.records import (
    NO_LIMITS,
    EncodingKey,
    NewPair,
    PairState,
    StoredPair,
    StoredShot,
    StoreLimits,
)
from service.library.tables import ID_LENGTH, EncodingRow, PairRow, SetRow, now
from service.schemas import SupportSet, SupportSets

_ID = re.compile(f"[0-9a-f]{{{ID_LENGTH}}}")


class Library:
    """The stored sets. Every method is one transaction, for any thread in any process.

    Each may raise StorageBusyError or StorageFullError, and SupportSetNotFoundError or
    PairNotFoundError for a set or pair that does not exist.
    """

    def __init__(self, database: Database, limits: StoreLimits = NO_LIMITS) -> None:
        self._database = database
        self._limits = limits

    @classmethod
    def open(cls, url: str, limits: StoreLimits = NO_LIMITS) -> "Library":
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

    def change(self, set_id: str, name: str | None, label: str | None) -> SupportSet:
        """Give a set another name or label; what is None stays, and a blank label is none.

        Raises NameTakenError where the name is another set's.
        """
        with self._database.writing() as session:
            row = _lock(session, set_id)
            row.name = row.name if name is None else name
            row.label = row.label if label is None else label or None
            _flush_name(session, row.name)
            return SupportSet.model_validate(row)

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

    def replace_pair(
        self, set_id: str, pair_id: str, pair: NewPair, unchanged: PairState | None = None
    ) -> SupportSet:
        """Put another pair in the place of one, which keeps its id; its encodings go.

        Raises PairChangedError where the pair is no longer as it was when ``unchanged``.
        """
        with self._database.writing() as session:
            row = _lock(session, set_id)
            old = next((each for each in row.pairs if each.id == pair_id), None)
            if old is None:
                raise _no_pair(pair_id)
            if unchanged and unchanged != _state(old):
                raise PairChangedError(
                    "the pair was replaced while this request came; look at it and send again"
                )
            for name, value in pair._asdict().items():
                setattr(old, name, value)
            old.created = now()
            session.execute(delete(EncodingRow).where(EncodingRow.pair_id == pair_id))
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

    def pair(self, set_id: str, pair_id: str) -> StoredPair:
        """Both files of a pair, which belong together."""
        columns = (PairRow.id, PairRow.created, PairRow.area, PairRow.image, PairRow.mask)
        with self._database.reading() as session:
            _find(session, set_id)
            wanted = select(*columns).where(PairRow.set_id == set_id, PairRow.id == pair_id)
            row = session.execute(wanted).first() if _ID.fullmatch(pair_id) else None
            if row is None:
                raise _no_pair(pair_id)
            return StoredPair(PairState(row.id, row.created), row.area, row.image, row.mask)

    def shots(self, set_id: str, key: EncodingKey) -> tuple[SupportSet, list[StoredShot]]:
        """A set, and what a network with ``key`` needs of each of its pairs, in order."""
        missing = EncodingRow.content.is_(None)
        wanted = [getattr(EncodingRow, name) == value for name, value in key._asdict().items()]
        statement = (
            select(
                PairRow.id,
                PairRow.created,
                PairRow.area,
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
            rows = session.execute(statement).all()
            return found, [
                StoredShot(PairState(pair_id, stored), *content)
                for pair_id, stored, *content in rows
            ]

    def keep_encodings(self, key: EncodingKey, encodings: Mapping[PairState, bytes]) -> None:
        """Store encodings of pairs, but for those deleted or replaced since they were read."""
        ids = [state.pair_id for state in encodings]
        wanted = select(PairRow.id, PairRow.created).where(PairRow.id.in_(ids)).order_by(PairRow.id)
        with self._database.writing() as session:
            for row in session.execute(wanted.with_for_update()).all():
                content = encodings.get(PairState(row.id, row.created))
                if content is not None:
                    session.merge(EncodingRow(pair_id=row.id, content=content, **key._asdict()))

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


def _state(row: PairRow) -> PairState:
    return PairState(row.id, row.created)


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
