"""The tables of stored supports; their history is in migrations/."""

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import (
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

ID_LENGTH = 32
TEXT_LENGTH = 200


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets the time zone; PostgreSQL returns the connection's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the database gives, aware and in UTC."""
        if value is None or value.tzinfo:
            return value and value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


def new_id() -> str:
    """32 random hexadecimal characters."""
    return uuid4().hex


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class Table(DeclarativeBase):
    """Names every constraint, so that later migrations can find it."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )


class SetRow(Table):
    """A named set of supports; it has at least one pair."""

    __tablename__ = "support_set"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(TEXT_LENGTH), unique=True)
    label: Mapped[str | None] = mapped_column(String(TEXT_LENGTH))
    created: Mapped[datetime] = mapped_column(UtcTime, default=now)
    pairs: Mapped[list["PairRow"]] = relationship(
        lazy="joined",
        innerjoin=True,
        order_by="PairRow.position",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )

    @property
    def shots(self) -> int:
        """Pairs of the set."""
        return len(self.pairs)


class PairRow(Table):
    """One shot: the files as they were uploaded, and a small picture of both.

    A query that does not name the columns of bytes does not read them.
    """

    __tablename__ = "support_pair"
    __table_args__ = (UniqueConstraint("set_id", "position"),)

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    set_id: Mapped[str] = mapped_column(ForeignKey("support_set.id", ondelete="CASCADE"))
    position: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    area: Mapped[int] = mapped_column(Integer, doc="Object pixels.")
    created: Mapped[datetime] = mapped_column(UtcTime, default=now)
    thumbnail: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    image: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    mask: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)


class EncodingRow(Table):
    """What one network keeps of one pair, as safetensors; deleted with its pair."""

    __tablename__ = "support_encoding"

    pair_id: Mapped[str] = mapped_column(
        ForeignKey("support_pair.id", ondelete="CASCADE"), primary_key=True
    )
    checkpoint_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    precision: Mapped[str] = mapped_column(String(16), primary_key=True)
    input_side: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)
