from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geartrain.store.queue_store import QueueStore
from geartrain.store.schedule_rows import Owner
from geartrain.store.schedule_sql import SqlScheduleStore
from geartrain.store.sqlite import SqliteStore
from tests.store.engines import ENGINES, Engine
from tests.store.schedule_engines import LEASE, SCHEDULE_ENGINES, Place


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Each durable engine in its turn."""
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def store(engine: Engine) -> Iterator[QueueStore]:
    """A store of the engine that was opened for the first time."""
    store = engine.store()
    store.open()
    yield store
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where SQLite's file is to be; it does not exist yet."""
    return tmp_path / "queue.db"


@pytest.fixture
def sqlite(path: Path) -> Iterator[Callable[..., SqliteStore]]:
    """Makes stores of SQLite's file, not opened, and closes them at the end."""
    made: list[SqliteStore] = []

    def make(table: str = "gearman_queue") -> SqliteStore:
        made.append(SqliteStore(str(path), handle_prefix=b"H:test:import", table=table))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture(params=list(SCHEDULE_ENGINES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database for schedules, each kind in its turn."""
    place = Place(SCHEDULE_ENGINES[request.param](tmp_path))
    yield place
    place.close()


@pytest.fixture
def schedules(place: Place) -> SqlScheduleStore:
    """A store of schedules that was opened for the first time."""
    return place.store()


@pytest.fixture
def me(schedules: SqlScheduleStore) -> Owner:
    """An instance of the scheduler."""
    return schedules.join("one", "here", LEASE, "2025b")
