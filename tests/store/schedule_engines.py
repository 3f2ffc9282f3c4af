"""
The databases that the suite of the store of schedules runs on, and a clock that tests set.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from geartrain.store.schedule_database import ScheduleDatabase
from geartrain.store.schedule_rows import Alert, Fire, Owner, Plan, Schedule
from geartrain.store.schedule_sql import SqlScheduleStore, database_of, open_schedules
from geartrain.store.schedule_tables import SCHEDULE_TABLES
from geartrain.store.schedule_transactions import ScheduleTransactions
from tests.services.galera import shared_galera
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql

START = 1_700_000_000
# Seconds.
LEASE = 30.0


class Clock:
    """Time as a test has it."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


def sqlite_url(directory: Path) -> Callable[[], str]:
    return lambda: f"sqlite:///{directory / 'queue.db'}"


# Creating a database takes longer than most tests: they share one, and empty its tables.
@functools.cache
def postgresql_database() -> str:
    server = shared_postgresql()
    return server.url(server.new_database())


@functools.cache
def mariadb_database() -> str:
    server = shared_mariadb()
    return server.url(server.new_database())


@functools.cache
def galera_databases() -> list[str]:
    cluster = shared_galera()
    database = cluster.new_database()
    return [node.url(database) for node in cluster.nodes]


def postgresql_url(_: Path) -> Callable[[], str]:
    return postgresql_database


def mariadb_url(_: Path) -> Callable[[], str]:
    return mariadb_database


def galera_url(_: Path) -> Callable[[], str]:
    """Each store is at another node of one cluster."""
    nodes = itertools.cycle(galera_databases())
    return lambda: next(nodes)


SCHEDULE_ENGINES: dict[str, Callable[[Path], Callable[[], str]]] = {
    "sqlite": sqlite_url,
    "postgresql": postgresql_url,
    "mariadb": mariadb_url,
}
# Takes a minute more: GALERA=1 pytest tests/store -k galera
if os.environ.get("GALERA"):
    SCHEDULE_ENGINES["galera"] = galera_url


@functools.cache
def known(url: str) -> ScheduleDatabase:
    """Return a database that was opened: its connections and statements serve many tests."""
    database = database_of(url)
    database.open()
    return database


class Place:
    """
    One database, for one test.

    Attributes:
        clock: What all its stores take for the time.

    """

    def __init__(self, url: Callable[[], str]) -> None:
        self.url = url
        self.clock = Clock()
        self.made: list[SqlScheduleStore] = []

    def store(self) -> SqlScheduleStore:
        """Return another store of this place, open."""
        url = self.url()
        if url.startswith("sqlite:"):
            store = open_schedules(url, clock=self.clock)
            assert isinstance(store, SqlScheduleStore)
            store.open()
        else:
            store = SqlScheduleStore(ScheduleTransactions(known(url), self.clock))
        if not self.made:
            empty(store)
        self.made.append(store)
        return store

    def close(self) -> None:
        for store in self.made:
            if store.name.startswith("sqlite:"):
                store.close()


def empty(store: SqlScheduleStore) -> None:
    """Forget what an earlier test has left."""
    for table in SCHEDULE_TABLES:
        store._writer.run(lambda one: one.run(delete(table)))  # noqa: B023


def due(name: str = "backup", **values: Any) -> Schedule:
    """Return an entry that is due, not stored yet."""
    return replace(Schedule(name, "{}", next_fire=START), **values)


def every_minute(schedule: Schedule, now: float, *_: object) -> Plan:
    """Plan one fire of what is due, and the next a minute after it."""
    nominal = schedule.next_fire
    fire = Fire(schedule.id, schedule.generation, nominal, due=nominal)
    return Plan(nominal + 60, nominal, schedule.runs + 1, fires=[fire])


def planned(*fires: Fire, **values: Any) -> Callable[..., Plan]:
    """Return what plans some fires, whose entry is filled in."""

    def plan(schedule: Schedule, *_: object) -> Plan:
        own = [replace(fire, schedule=schedule.id) for fire in fires]
        defaults = {"next_fire": 0, "last_nominal": START, "runs": schedule.runs + len(own)}
        return Plan(**{**defaults, **values}, fires=own)

    return plan


def claimed(store: SqlScheduleStore, me: Owner, *names: str) -> list[Fire]:
    """Have entries of these names fire, and return what is claimed."""
    for name in names or ("backup",):
        store.add(due(name), "ann")
    return list(store.claim(me, 100, every_minute))


def unmerged(known: Alert | None, event: Alert) -> Alert | None:
    """Leave alerts out."""
    return None


def marked(store: SqlScheduleStore, me: Owner, fire: Fire, state: str, **values: Any) -> Fire:
    """Write a state of a fire, and return it as it is stored."""
    assert store.mark(me, [replace(fire, state=state, **values)], (), unmerged) == [fire.id]
    found = store.fire(fire.id)
    assert found is not None
    return found
