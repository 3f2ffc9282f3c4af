"""
The databases that the suite of the store of schedules runs on, and a clock that tests set.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

from geartrain.store.schedule_rows import Fire, Plan, Schedule
from geartrain.store.schedule_sql import SqlScheduleStore, open_schedules
from tests.services.galera import shared_galera
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql

START = 1_700_000_000


class Clock:
    """Time as a test has it."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


def sqlite_url(directory: Path) -> Callable[[], str]:
    return lambda: f"sqlite:///{directory / 'queue.db'}"


def postgresql_url(_: Path) -> Callable[[], str]:
    server = shared_postgresql()
    url = server.url(server.new_database())
    return lambda: url


def mariadb_url(_: Path) -> Callable[[], str]:
    server = shared_mariadb()
    url = server.url(server.new_database())
    return lambda: url


def galera_url(_: Path) -> Callable[[], str]:
    """Each store is at another node of one cluster."""
    cluster = shared_galera()
    database = cluster.new_database()
    nodes = itertools.cycle(cluster.nodes)
    return lambda: next(nodes).url(database)


SCHEDULE_ENGINES: dict[str, Callable[[Path], Callable[[], str]]] = {
    "sqlite": sqlite_url,
    "postgresql": postgresql_url,
    "mariadb": mariadb_url,
}
# Takes a minute more: GALERA=1 pytest tests/store -k galera
if os.environ.get("GALERA"):
    SCHEDULE_ENGINES["galera"] = galera_url


class Place:
    """
    One database, for one test.

    Attributes:
        clock: What all its stores take for the time.

    """

    def __init__(self, url: Callable[[], str]) -> None:
        self.url = url
        self.clock = Clock()
        self.opened: list[SqlScheduleStore] = []

    def store(self) -> SqlScheduleStore:
        """Return another store of this place, open."""
        store = open_schedules(self.url(), clock=self.clock)
        assert isinstance(store, SqlScheduleStore)
        store.open()
        self.opened.append(store)
        return store

    def close(self) -> None:
        for store in self.opened:
            store.close()


def every_minute(schedule: Schedule, now: float, *_: object) -> Plan:
    """Plan one fire of what is due, and the next a minute after it."""
    nominal = schedule.next_fire
    fire = Fire(schedule.id, schedule.generation, nominal, due=nominal)
    return Plan(nominal + 60, nominal, schedule.runs + 1, fires=[fire])
