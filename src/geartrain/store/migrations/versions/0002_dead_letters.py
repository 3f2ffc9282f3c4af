"""Dead letters, and results of background jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARBINARY

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    handle = sa.LargeBinary(63).with_variant(VARBINARY(63), "mysql", "mariadb")
    op.create_table(
        "geartrain_dead_letters",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("handle", handle, nullable=False),
        sa.Column("function_name", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("unique_key", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("workload", sa.LargeBinary(2**32 - 1), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("reducer", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("submitted", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("died", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("geartrain_dead_letters_handle", "geartrain_dead_letters", ["handle"])
    op.create_table(
        "geartrain_results",
        sa.Column("handle", handle, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("function_name", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(2**32 - 1), nullable=False),
        sa.Column("ended", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("handle"),
    )
    op.create_index("geartrain_results_expires", "geartrain_results", ["expires"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("geartrain_results")
    op.drop_table("geartrain_dead_letters")
