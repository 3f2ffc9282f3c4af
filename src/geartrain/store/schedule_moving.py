"""
Carries schedules along when a queue is moved, copied or brought back.

Rows keep their numbers, so carrying them twice changes nothing. What belongs to a moment is left
behind: instances of the scheduler, agents, and who owned a fire. Only SQL databases keep schedules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Table, delete, func, insert, select, text, update

from geartrain.errors import UsageError
from geartrain.store.queue_store import QueueStore
from geartrain.store.schedule_database import MysqlSchedules, PostgresqlSchedules, SqliteSchedules
from geartrain.store.schedule_tables import (
    agents,
    alerts,
    audit,
    fires,
    instances,
    messages,
    schedule_revision,
    schedules,
)
from geartrain.store.schedule_transactions import LONG, ScheduleTransactions, Transaction
from geartrain.store.shared_sql import SharedSqlStore
from geartrain.store.sqlite import SqliteStore

__all__ = [
    "carry_schedules",
    "check_no_scheduler",
    "check_takes_schedules",
    "count_schedules",
    "empty_schedules",
    "holds_schedules",
]

PAGE: Final = 500
# Each has a number for its key; fires after the entries they are of.
CARRIED: Final[dict[str, Table]] = {
    "schedules": schedules,
    "fires": fires,
    "alerts": alerts,
    "messages": messages,
    "audit": audit,
}
LEFT_BEHIND: Final = (agents, instances, schedule_revision)


@contextmanager
def schedules_of(store: QueueStore) -> Iterator[ScheduleTransactions | None]:
    """Open the schedules beside a queue that is open; None where its engine keeps none."""
    database = database_beside(store)
    if database is None:
        yield None
        return
    database.open()
    transactions = ScheduleTransactions(database, None)
    try:
        yield transactions
    finally:
        transactions.close()


def database_beside(
    store: QueueStore,
) -> SqliteSchedules | PostgresqlSchedules | MysqlSchedules | None:
    """Return the database that a queue's store is in, None where it is no SQL database."""
    if isinstance(store, SqliteStore):
        return SqliteSchedules(store.path)
    if not isinstance(store, SharedSqlStore):
        return None
    if store.database.name.startswith("postgres"):
        from geartrain.store.postgresql import PostgresqlDatabase

        assert isinstance(store.database, PostgresqlDatabase)
        return PostgresqlSchedules(store.database)
    from geartrain.store.mysql import MysqlDatabase

    assert isinstance(store.database, MysqlDatabase)
    return MysqlSchedules(store.database)


def check_no_scheduler(store: QueueStore) -> None:
    """Raise UsageError where a scheduler is at work."""

    def alive(one: Transaction) -> Sequence[Any]:
        return one.rows(select(instances.c.name).where(instances.c.expires > one.now))

    with schedules_of(store) as there:
        names = [row[0] for row in there.read(alive)] if there is not None else []
    if names:
        raise UsageError(
            f"{store.name} is in use by the schedulers {', '.join(names)}: stop them first, or, "
            "where one was killed, wait half a minute"
        )


def count_schedules(store: QueueStore) -> dict[str, int]:
    """Return how many rows there are of each kind."""
    with schedules_of(store) as there:
        return {} if there is None else there.read(counted)


def holds_schedules(store: QueueStore) -> bool:
    """Return whether there are entries, or fires of entries that were removed."""
    counts = count_schedules(store)
    return bool(counts.get("schedules") or counts.get("fires"))


def counted(one: Transaction) -> dict[str, int]:
    """Return how many rows there are of each kind."""
    return {
        name: one.rows(select(func.count()).select_from(table))[0][0]
        for name, table in CARRIED.items()
    }


def check_takes_schedules(source: QueueStore, target: QueueStore) -> None:
    """Raise UsageError where there are entries and the target is of an engine that keeps none."""
    if database_beside(target) is None and (count := count_schedules(source).get("schedules")):
        raise UsageError(
            f"{target.name} keeps no schedules, and there are {count} entries in {source.name}: "
            "name an SQL database, or remove them first"
        )


def carry_schedules(source: QueueStore, target: QueueStore) -> dict[str, int]:
    """Copy everything from one store to another, and return how many rows of each kind."""
    with schedules_of(source) as there, schedules_of(target) as new:
        if there is None or new is None:
            return {}
        for table in CARRIED.values():
            for rows in pages(there, table):
                insert_page(new, table, rows)
        number = there.read(lambda one: one.rows(select(schedule_revision.c.number)))
        new.run(
            lambda one: settle(one, number[0][0] if number else 0),
            again=True,
            durable=True,
            patience=LONG,
        )
        return there.read(counted)


def insert_page(new: ScheduleTransactions, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that are not there already."""
    new.run(lambda one: one.insert_new(table, rows), again=True, durable=True, patience=LONG)


def pages(there: ScheduleTransactions, table: Table) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a table in the order of their numbers, owned by nobody."""
    after = 0
    while True:
        query = select(table).where(table.c.id > after).order_by(table.c.id).limit(PAGE)
        found = there.read(lambda one: one.rows(query))  # noqa: B023
        if not found:
            return
        yield [unowned(dict(row._mapping)) for row in found]
        after = found[-1].id


def unowned(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the instance that was at work on it."""
    return {**row, "owner": "", "epoch": 0} if "owner" in row else row


def settle(one: Transaction, number: int) -> None:
    """Have numbers that come later be larger than those that were carried."""
    found = one.rows(select(schedule_revision.c.number))
    after = max([number, *(row[0] for row in found)]) + 1
    if found:
        one.run(update(schedule_revision).values(number=after))
    else:
        one.run(insert(schedule_revision), {"one": 1, "number": after})
    if one.dialect == "postgresql":
        # The others look at what was inserted by themselves.
        for table in CARRIED.values():
            one.rows(NEXT_NUMBER, {"name": table.name, "highest": highest(one, table)})


def highest(one: Transaction, table: Table) -> int:
    """Return the largest number of a table, 1 where it is empty."""
    return int(one.rows(select(func.max(table.c.id)))[0][0] or 1)


NEXT_NUMBER: Final = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :highest)")


def empty_schedules(store: QueueStore) -> None:
    """Remove everything that was carried, and what was left behind."""
    with schedules_of(store) as there:
        if there is None:
            return
        for table in (*CARRIED.values(), *LEFT_BEHIND):
            there.run(lambda one: one.run(delete(table)), again=True, durable=True, patience=LONG)  # noqa: B023
