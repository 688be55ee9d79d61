"""Sets of supports, their pairs, and what networks keep of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "support_set",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("label", sa.String(200)),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_support_set"),
        sa.UniqueConstraint("name", name="uq_support_set_name"),
    )
    op.create_table(
        "support_pair",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("set_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("area", sa.Integer, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("thumbnail", sa.LargeBinary, nullable=False),
        sa.Column("image", sa.LargeBinary, nullable=False),
        sa.Column("mask", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_support_pair"),
        sa.UniqueConstraint("set_id", "position", name="uq_support_pair_set_id_position"),
        sa.ForeignKeyConstraint(
            ["set_id"], ["support_set.id"], "fk_support_pair_set_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "support_encoding",
        sa.Column("pair_id", sa.String(32), nullable=False),
        sa.Column("checkpoint_sha256", sa.String(64), nullable=False),
        sa.Column("precision", sa.String(16), nullable=False),
        sa.Column("input_side", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint(
            "pair_id",
            "checkpoint_sha256",
            "precision",
            "input_side",
            name="pk_support_encoding",
        ),
        sa.ForeignKeyConstraint(
            ["pair_id"], ["support_pair.id"], "fk_support_encoding_pair_id", ondelete="CASCADE"
        ),
    )
