"""Jobs, and how many generations were started."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "geartrain_generation",
        sa.Column("started", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "geartrain_jobs",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("handle", sa.LargeBinary(63), nullable=False),
        sa.Column("function_name", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("unique_key", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("workload", sa.LargeBinary(2**32 - 1), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("reducer", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("submitted", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("geartrain_jobs")
    op.drop_table("geartrain_generation")
