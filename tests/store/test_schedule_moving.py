"""Schedules are moved, copied and brought back with the queue beside them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from geartrain.errors import UsageError
from geartrain.store.mark import Mark, mark
from geartrain.store.migrations import upgrade
from geartrain.store.moving import back_up, count, move, restore
from geartrain.store.queue_store import QueueStore
from geartrain.store.schedule_rows import DONE, Alert, Fire, Schedule
from geartrain.store.schedule_sql import SqlScheduleStore, open_schedules
from geartrain.store.schedule_tables import SCHEDULE_TABLES
from geartrain.store.shared_tables import shared_metadata
from geartrain.store.sqlite_statements import HEAD
from geartrain.store.tables import version
from geartrain.store.url import open_store
from tests.services.key_value import shared_redis
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql
from tests.store.schedule_engines import due, every_minute, marked

SERVERS: dict[str, Callable[[], Any]] = {
    "postgresql": shared_postgresql,
    "mariadb": shared_mariadb,
}


@pytest.fixture(params=list(SERVERS))
def shared_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    server = SERVERS[request.param]()
    return str(server.url(server.new_database()))


@pytest.fixture
def file_url(path: Path) -> str:
    return f"sqlite:///{path}"


def queue(url: str) -> QueueStore:
    return open_store(url, handle_prefix=b"H:x")


class Opened:
    """A store of schedules, for as long as one looks at it."""

    def __init__(self, url: str) -> None:
        store = open_schedules(url)
        assert isinstance(store, SqlScheduleStore)
        self.store = store

    def __enter__(self) -> SqlScheduleStore:
        self.store.open()
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()


def fill(url: str) -> None:
    """Store entries, a fire that is running and one that has ended, and an alert."""
    with Opened(url) as store:
        me = store.join("one", "here", 60.0, "")
        store.add_all([due(f"entry-{n}", definition="größer") for n in range(3)], "ann")
        store.remove("entry-0", "ann")
        running, done = store.claim(me, 10, every_minute)
        marked(store, me, running, "submitted", handle="H:one:1")
        marked(store, me, done, DONE, result=b"\0\xff")
        store.report([alarm()], lambda _, event: event)
        store.leave(me)


def alarm() -> Alert:
    return Alert("failed", "entry-1", message="größer", last=5.0, due=7.0, changes=(1.0, 2.5))


def held(url: str) -> tuple[list[Any], ...]:
    """Return all that is carried."""
    with Opened(url) as store:
        fires = [replace(fire, owner="", epoch=0) for fire in store.fires()]
        return list(store.schedules()), fires, list(store.alerts()), list(store.audit())


@pytest.fixture
def filled(file_url: str) -> str:
    """A file that holds something of everything."""
    fill(file_url)
    return file_url


def test_schedules_move_to_a_database_and_back(
    filled: str, shared_url: str, tmp_path: Path
) -> None:
    before = held(filled)
    carried = move(queue(filled), queue(shared_url))
    assert (carried.schedules, carried.fires, carried.alerts) == (2, 2, 1)
    assert held(shared_url) == before
    assert held(filled) == ([], [], [], [])
    again = f"sqlite:///{tmp_path / 'again.db'}"
    move(queue(shared_url), queue(again))
    assert held(again) == before
    assert held(shared_url) == ([], [], [], [])


def test_what_was_moved_goes_on(filled: str, shared_url: str) -> None:
    with Opened(filled) as store:
        revision = store.revision()
        (first, *_) = store.schedules()
    move(queue(filled), queue(shared_url))
    with Opened(shared_url) as store:
        me = store.join("two", "there", 60.0, "")
        assert [fire.handle for fire in store.take(me, 10)] == ["H:one:1"]
        # Numbers go on behind those that were carried.
        assert store.add(due("new"), "ann").id > first.id + 1
        assert store.revision() > revision
        assert len(store.insert([Fire(first.id, 1, 5)], "ann")) == 1
        store.report([replace(alarm(), subject="new")], lambda _, event: event)
        assert len(store.claim(me, 10, every_minute)) == 3
        store.leave(me)


def test_backup_is_restored_into_a_database(filled: str, shared_url: str, tmp_path: Path) -> None:
    before = held(filled)
    file = tmp_path / "backup.db"
    assert back_up(queue(filled), str(file)).schedules == 2
    assert held(filled) == before
    assert count(queue(filled)).fires == 2
    restore(str(file), queue(shared_url))
    assert held(shared_url) == before


def test_store_with_entries_is_not_empty(filled: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    fill(other)
    with pytest.raises(UsageError, match="is not empty"):
        move(queue(filled), queue(other))
    assert len(held(filled)[0]) == len(held(other)[0]) == 2


def test_entries_are_not_moved_where_none_are_kept(filled: str) -> None:
    with pytest.raises(UsageError, match="keeps no schedules, and there are 2 entries"):
        move(queue(filled), queue(shared_redis().url("schedules")))
    assert len(held(filled)[0]) == 2


def test_store_in_use_by_a_scheduler_is_not_moved(filled: str, tmp_path: Path) -> None:
    with Opened(filled) as store:
        me = store.join("one", "here", 60.0, "")
        with pytest.raises(UsageError, match="in use by the schedulers one"):
            back_up(queue(filled), str(tmp_path / "backup.db"))
        store.leave(me)
    back_up(queue(filled), str(tmp_path / "backup.db"))


def test_no_scheduler_opens_a_store_that_is_being_moved(filled: str) -> None:
    store = queue(filled)
    store.open()
    mark(store, Mark("source", "elsewhere"))
    store.close()
    with pytest.raises(UsageError, match="is being moved to elsewhere"), Opened(filled):
        pass


# Databases of the release before.


def test_shared_database_of_an_earlier_release_is_migrated(shared_url: str) -> None:
    with closing(queue(shared_url)) as store:
        store.open()
    kind, _, rest = shared_url.partition(":")
    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[kind]
    engine = create_engine(f"{driver}:{rest}")
    with engine.begin() as connection:
        go_back(connection)
    with Opened(shared_url) as schedules:
        assert schedules.add(Schedule("x", "{}"), "ann").id
    with engine.connect() as connection:
        opts = {"version_table": version.name, "compare_type": kind == "postgresql"}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, shared_metadata) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()


def go_back(connection: Any) -> None:
    """Make a database one of the release before: without the tables of schedules."""
    for table in reversed(SCHEDULE_TABLES):
        connection.execute(text(f"DROP TABLE {table.name}"))
    connection.execute(text("UPDATE geartrain_version SET version_num = '0002'"))


def test_file_of_an_earlier_release_is_migrated_by_whoever_opens_it_first(
    path: Path, file_url: str
) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, "0002")
    engine.dispose()
    with Opened(file_url) as schedules:
        assert schedules.add(Schedule("x", "{}"), "ann").id
    with closing(queue(file_url)) as store:
        assert store.open() == 1
