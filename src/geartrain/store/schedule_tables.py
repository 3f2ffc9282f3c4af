"""
The tables of schedules, for SQLAlchemy; the same in every database.

Names and states are ASCII, and all text is compared byte by byte: MySQL would fold its case.
Importing this file imports SQLAlchemy, see ``tables``.

``geartrain_fires`` grows with history, while what is on the way stays small. So what is looked
for has an index of its own, in which ended rows do not stand: ``stage`` is 0 on the way, 1 after
the end until its consequences are drawn, and NULL from then on.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from geartrain.store.tables import INNODB, metadata

__all__ = [
    "ENDED",
    "OPEN",
    "SCHEDULE_TABLES",
    "agents",
    "alerts",
    "audit",
    "fires",
    "instances",
    "messages",
    "schedule_revision",
    "schedules",
]

# Values of ``stage``.
OPEN: Final = 0
ENDED: Final = 1

# Bytes of a name: of an entry, an agent, an instance; of a target.
NAME: Final = 100
SQLITE: Final[dict[str, Any]] = {"sqlite_autoincrement": True}


def ascii_text(length: int = NAME) -> TypeEngine[str]:
    """Return the type of a short name, compared byte by byte."""
    kind: TypeEngine[str] = String(length)
    own = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return kind.with_variant(own, "mysql", "mariadb").with_variant(
        String(length, collation="C"), "postgresql"
    )


def exact_text(length: int) -> TypeEngine[str]:
    """Return the type of a short text that may be of any language, and of a key."""
    kind: TypeEngine[str] = String(length)
    own = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return kind.with_variant(own, "mysql", "mariadb")


def any_text() -> TypeEngine[str]:
    """Return the type of what people write, up to 16 MiB."""
    kind: TypeEngine[str] = Text()
    own = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return kind.with_variant(own, "mysql", "mariadb")


def number() -> Column[int]:
    """Return a key that the database gives out, and never again to another row."""
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Column("id", kind, primary_key=True, autoincrement=True)


def filled(name: str, kind: Any) -> Column[Any]:
    """Return a column that is never NULL."""
    return Column(name, kind, nullable=False)


schedules = Table(
    "geartrain_schedules",
    metadata,
    number(),
    filled("name", ascii_text()),
    filled("definition", any_text()),
    filled("kind", ascii_text(16)),
    filled("expression", any_text()),
    filled("timezone", ascii_text()),
    filled("function", any_text()),
    filled("target", ascii_text()),
    filled("source", any_text()),
    filled("generation", Integer),
    filled("revision", BigInteger),
    filled("enabled", Boolean),
    filled("next_fire", BigInteger),
    filled("last_nominal", BigInteger),
    filled("since", BigInteger),
    filled("runs", BigInteger),
    filled("failures", Integer),
    filled("paused_at", Double),
    filled("paused_by", any_text()),
    filled("paused_why", any_text()),
    filled("paused_until", Double),
    # When it is to be looked at: ``next_fire``, or the end of its pause where that is later;
    # NULL while it can't fire. What is disabled or paused doesn't stand in the index's way.
    Column("wake", Double, nullable=True),
    UniqueConstraint("name", name="geartrain_schedules_name"),
    Index("geartrain_schedules_kind", "kind"),
    **INNODB,
    **SQLITE,
)
Index(
    "geartrain_schedules_wake",
    schedules.c.wake,
    sqlite_where=schedules.c.wake.is_not(None),
    postgresql_where=schedules.c.wake.is_not(None),
)

fires = Table(
    "geartrain_fires",
    metadata,
    number(),
    filled("schedule", BigInteger),
    filled("generation", Integer),
    filled("nominal", BigInteger),
    filled("target", ascii_text()),
    filled("previous", BigInteger),
    filled("due", Double),
    filled("state", ascii_text(16)),
    filled("origin", ascii_text(16)),
    filled("reason", any_text()),
    filled("count", BigInteger),
    filled("attempt", Integer),
    filled("owner", ascii_text()),
    filled("epoch", BigInteger),
    filled("handle", any_text()),
    filled("server", any_text()),
    filled("created", Double),
    filled("submitted", Double),
    filled("started", Double),
    filled("ended", Double),
    filled("result", LargeBinary(2**24 - 1)),
    Column("stage", SmallInteger, nullable=True),
    # Which insertion it came with: tells what is new from what was there. Once it was taken over,
    # minus the second of that, until its new owner has written it.
    filled("batch", BigInteger),
    UniqueConstraint("schedule", "generation", "nominal", "target", name="geartrain_fires_key"),
    **INNODB,
    **SQLITE,
)
Index(
    "geartrain_fires_open",
    fires.c.stage,
    fires.c.schedule,
    sqlite_where=fires.c.stage.is_not(None),
    postgresql_where=fires.c.stage.is_not(None),
)
Index(
    "geartrain_fires_owner",
    fires.c.owner,
    fires.c.state,
    fires.c.due,
    sqlite_where=fires.c.stage.is_not(None),
    postgresql_where=fires.c.stage.is_not(None),
)

instances = Table(
    "geartrain_instances",
    metadata,
    Column("name", ascii_text(), primary_key=True),
    filled("epoch", BigInteger),
    filled("host", any_text()),
    filled("expires", Double),
    filled("skew", Double),
    filled("tzdata", ascii_text()),
    filled("started", Double),
    # How often it was written: each transaction of an instance writes its row first, so that
    # it and whoever fences it wait for each other, or one of the two is undone.
    filled("writes", BigInteger),
    **INNODB,
)

agents = Table(
    "geartrain_agents",
    metadata,
    Column("name", ascii_text(), primary_key=True),
    filled("tags", any_text()),
    filled("expires", Double),
    filled("since", Double),
    filled("table_revision", BigInteger),
    filled("version", any_text()),
    **INNODB,
)

alerts = Table(
    "geartrain_alerts",
    metadata,
    number(),
    filled("rule", ascii_text(64)),
    filled("subject", exact_text(200)),
    filled("group_name", any_text()),
    filled("message", any_text()),
    filled("firing", Boolean),
    filled("count", BigInteger),
    filled("since", Double),
    filled("last", Double),
    filled("said", BigInteger),
    filled("said_at", Double),
    filled("messages", BigInteger),
    filled("due", Double),
    filled("changes", any_text()),
    filled("acknowledged_by", any_text()),
    UniqueConstraint("rule", "subject", name="geartrain_alerts_key"),
    Index("geartrain_alerts_due", "due"),
    **INNODB,
    **SQLITE,
)

messages = Table(
    "geartrain_messages",
    metadata,
    number(),
    filled("channel", any_text()),
    filled("title", any_text()),
    filled("body", any_text()),
    filled("created", Double),
    filled("due", Double),
    filled("attempts", Integer),
    filled("error", any_text()),
    # 0 until a channel has taken it.
    filled("sent", Double),
    filled("owner", ascii_text()),
    filled("epoch", BigInteger),
    Index("geartrain_messages_due", "sent", "due"),
    **INNODB,
    **SQLITE,
)

audit = Table(
    "geartrain_audit",
    metadata,
    number(),
    filled("at", Double),
    filled("who", any_text()),
    filled("action", ascii_text(64)),
    filled("subject", any_text()),
    filled("old_value", any_text()),
    filled("new_value", any_text()),
    **INNODB,
    **SQLITE,
)

# One row at most: how often a person has changed an entry.
schedule_revision = Table(
    "geartrain_schedule_revision",
    metadata,
    Column("one", SmallInteger, primary_key=True, autoincrement=False),
    filled("number", BigInteger),
    **INNODB,
)

SCHEDULE_TABLES: Final = (
    schedules,
    fires,
    instances,
    agents,
    alerts,
    messages,
    audit,
    schedule_revision,
)
