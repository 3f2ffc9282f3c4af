"""
The store of schedules in an SQL database, and which one a URL names.

SQLite's is the file of the queue itself. Importing this file imports SQLAlchemy, so it is imported
where there are schedules and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import select

from geartrain.errors import UsageError
from geartrain.store.mark import MARK, check_mark, mark_of
from geartrain.store.schedule_alerts import Alerts
from geartrain.store.schedule_claims import Claims
from geartrain.store.schedule_database import (
    MysqlSchedules,
    PostgresqlSchedules,
    ScheduleDatabase,
    SqliteSchedules,
)
from geartrain.store.schedule_entries import Entries
from geartrain.store.schedule_fires import Fires
from geartrain.store.schedule_store import ScheduleStore
from geartrain.store.schedule_transactions import ScheduleTransactions
from geartrain.store.secret import masked_url
from geartrain.store.tables import results
from geartrain.store.url import DATABASES, database, sqlite_path, unknown

__all__ = ["SqlScheduleStore", "open_schedules"]

# Stores of queues that keep no schedules.
OTHERS = ("memcached", "memory", "redis", "rediss", "valkey", "valkeys")


class SqlScheduleStore(Entries, Claims, Fires, Alerts):
    """A store of schedules in an SQL database; see ``ScheduleStore``."""

    @property
    def name(self) -> str:
        """The database's URL, without a password."""
        return self._writer.database.name

    def open(self) -> None:
        """Create or migrate the tables; see ``ScheduleStore``."""
        self._writer.database.open()
        for data in self._writer.read(lambda one: one.rows(MOVING)):
            check_mark(self.name, mark_of(bytes(data[0])))

    def close(self) -> None:
        """Disconnect. Safe to call twice."""
        self._writer.close()
        self._reader.close()

    def now(self) -> float:
        """Return the database's time, in seconds since 1970."""
        return self._writer.read(lambda one: one.now)


MOVING: Final = select(results.c.data).where(results.c.handle == MARK, results.c.expires > 0)


def open_schedules(
    url: str, *, reader: str = "", clock: Callable[[], float] | None = None
) -> ScheduleStore:
    """
    Return the store of schedules that a URL names, not connected yet.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``postgresql://`` and
            ``mysql://`` or ``mariadb://`` as the queue's store has them.
        reader: URL of a copy of the database that listings are read from; none by default.
        clock: The time instead of the database's, for tests.

    Raises:
        UsageError: The URL names no store of schedules.

    """
    writer = ScheduleTransactions(database_of(url), clock)
    return SqlScheduleStore(
        writer, ScheduleTransactions(database_of(reader), clock) if reader else None
    )


def database_of(url: str) -> ScheduleDatabase:
    """Return the database that a URL names."""
    scheme, colon, rest = url.partition(":")
    kind = scheme.lower().partition("+")[0]
    if colon and kind == "sqlite":
        return SqliteSchedules(sqlite_path(rest))
    if colon and kind in DATABASES:
        return shared(url, kind)
    if colon and kind in OTHERS:
        raise UsageError(
            f"{masked_url(url)} keeps no schedules: give the scheduler a database of its own, such "
            "as sqlite:///schedules.db or postgresql://USER@HOST/DATABASE"
        )
    raise UsageError(unknown(kind, url))


def shared(url: str, kind: str) -> ScheduleDatabase:
    """Return a database that several machines can share."""
    if kind in ("postgres", "postgresql"):
        from geartrain.store.postgresql import PostgresqlDatabase

        found = database(url)
        assert isinstance(found, PostgresqlDatabase)
        return PostgresqlSchedules(found)
    from geartrain.store.mysql import MysqlDatabase

    other = database(url)
    assert isinstance(other, MysqlDatabase)
    return MysqlSchedules(other)
