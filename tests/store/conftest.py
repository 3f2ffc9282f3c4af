from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geartrain.store.queue_store import QueueStore
from geartrain.store.sqlite import SqliteStore
from tests.store.engines import ENGINES, Engine


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
