"""Schedules, their fires, who is at work on them, alerts, and the book of changes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INNODB: dict[str, Any] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
SQLITE: dict[str, Any] = {"sqlite_autoincrement": True}


def ascii_text(length: int = 100) -> Any:
    own = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    kind = sa.String(length).with_variant(own, "mysql", "mariadb")
    return kind.with_variant(sa.String(length, collation="C"), "postgresql")


def exact_text(length: int) -> Any:
    own = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(own, "mysql", "mariadb")


def any_text() -> Any:
    own = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(own, "mysql", "mariadb")


def number() -> sa.Column[Any]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", kind, primary_key=True, autoincrement=True)


def filled(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "geartrain_schedules",
        number(),
        filled("name", ascii_text()),
        filled("definition", any_text()),
        filled("kind", ascii_text(16)),
        filled("expression", any_text()),
        filled("timezone", ascii_text()),
        filled("function", any_text()),
        filled("target", ascii_text()),
        filled("source", any_text()),
        filled("generation", sa.Integer),
        filled("revision", sa.BigInteger),
        filled("enabled", sa.Boolean),
        filled("next_fire", sa.BigInteger),
        filled("last_nominal", sa.BigInteger),
        filled("since", sa.BigInteger),
        filled("runs", sa.BigInteger),
        filled("failures", sa.Integer),
        filled("paused_at", sa.Double),
        filled("paused_by", any_text()),
        filled("paused_why", any_text()),
        filled("paused_until", sa.Double),
        sa.Column("wake", sa.Double, nullable=True),
        sa.UniqueConstraint("name", name="geartrain_schedules_name"),
        **INNODB,
        **SQLITE,
    )
    op.create_table(
        "geartrain_fires",
        number(),
        filled("schedule", sa.BigInteger),
        filled("generation", sa.Integer),
        filled("nominal", sa.BigInteger),
        filled("target", ascii_text()),
        filled("previous", sa.BigInteger),
        filled("due", sa.Double),
        filled("state", ascii_text(16)),
        filled("origin", ascii_text(16)),
        filled("reason", any_text()),
        filled("count", sa.BigInteger),
        filled("attempt", sa.Integer),
        filled("owner", ascii_text()),
        filled("epoch", sa.BigInteger),
        filled("handle", any_text()),
        filled("server", any_text()),
        filled("created", sa.Double),
        filled("submitted", sa.Double),
        filled("started", sa.Double),
        filled("ended", sa.Double),
        filled("result", sa.LargeBinary(2**24 - 1)),
        sa.Column("stage", sa.SmallInteger, nullable=True),
        filled("batch", sa.BigInteger),
        sa.UniqueConstraint(
            "schedule", "generation", "nominal", "target", name="geartrain_fires_key"
        ),
        **INNODB,
        **SQLITE,
    )
    op.create_table(
        "geartrain_instances",
        sa.Column("name", ascii_text(), primary_key=True),
        filled("epoch", sa.BigInteger),
        filled("host", any_text()),
        filled("expires", sa.Double),
        filled("skew", sa.Double),
        filled("tzdata", ascii_text()),
        filled("started", sa.Double),
        filled("writes", sa.BigInteger),
        **INNODB,
    )
    op.create_table(
        "geartrain_agents",
        sa.Column("name", ascii_text(), primary_key=True),
        filled("tags", any_text()),
        filled("expires", sa.Double),
        filled("since", sa.Double),
        filled("table_revision", sa.BigInteger),
        filled("version", any_text()),
        **INNODB,
    )
    op.create_table(
        "geartrain_alerts",
        number(),
        filled("rule", ascii_text(64)),
        filled("subject", exact_text(200)),
        filled("group_name", any_text()),
        filled("message", any_text()),
        filled("firing", sa.Boolean),
        filled("count", sa.BigInteger),
        filled("since", sa.Double),
        filled("last", sa.Double),
        filled("said", sa.BigInteger),
        filled("said_at", sa.Double),
        filled("messages", sa.BigInteger),
        filled("due", sa.Double),
        filled("changes", any_text()),
        filled("acknowledged_by", any_text()),
        sa.UniqueConstraint("rule", "subject", name="geartrain_alerts_key"),
        **INNODB,
        **SQLITE,
    )
    op.create_table(
        "geartrain_messages",
        number(),
        filled("channel", any_text()),
        filled("title", any_text()),
        filled("body", any_text()),
        filled("created", sa.Double),
        filled("due", sa.Double),
        filled("attempts", sa.Integer),
        filled("error", any_text()),
        filled("sent", sa.Double),
        filled("owner", ascii_text()),
        filled("epoch", sa.BigInteger),
        **INNODB,
        **SQLITE,
    )
    op.create_table(
        "geartrain_audit",
        number(),
        filled("at", sa.Double),
        filled("who", any_text()),
        filled("action", ascii_text(64)),
        filled("subject", any_text()),
        filled("old_value", any_text()),
        filled("new_value", any_text()),
        **INNODB,
        **SQLITE,
    )
    op.create_table(
        "geartrain_schedule_revision",
        sa.Column("one", sa.SmallInteger, primary_key=True, autoincrement=False),
        filled("number", sa.BigInteger),
        **INNODB,
    )
    op.create_index(
        "geartrain_schedules_wake",
        "geartrain_schedules",
        ["wake"],
        sqlite_where=sa.text("wake IS NOT NULL"),
        postgresql_where=sa.text("wake IS NOT NULL"),
    )
    op.create_index(
        "geartrain_fires_open",
        "geartrain_fires",
        ["stage", "schedule"],
        sqlite_where=sa.text("stage IS NOT NULL"),
        postgresql_where=sa.text("stage IS NOT NULL"),
    )
    op.create_index(
        "geartrain_fires_owner",
        "geartrain_fires",
        ["owner", "state", "due"],
        sqlite_where=sa.text("stage IS NOT NULL"),
        postgresql_where=sa.text("stage IS NOT NULL"),
    )
    op.create_index("geartrain_schedules_kind", "geartrain_schedules", ["kind"])
    op.create_index("geartrain_alerts_due", "geartrain_alerts", ["due"])
    op.create_index("geartrain_messages_due", "geartrain_messages", ["sent", "due"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("geartrain_schedule_revision")
    op.drop_table("geartrain_audit")
    op.drop_table("geartrain_messages")
    op.drop_table("geartrain_alerts")
    op.drop_table("geartrain_agents")
    op.drop_table("geartrain_instances")
    op.drop_table("geartrain_fires")
    op.drop_table("geartrain_schedules")
