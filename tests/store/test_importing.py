"""What gearmand left in each of its queues becomes jobs, each once, whoever dies in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis as library

from geartrain.broker.job import Job
from geartrain.errors import StoreUnavailable, UsageError
from geartrain.store import importing
from geartrain.store.batch import Batch
from geartrain.store.gearmand_source import GearmandSource, open_source
from geartrain.store.importing import Report, import_jobs, look_through
from geartrain.store.queue_store import QueueStore
from geartrain.store.sqlite import SqliteStore
from tests.services.availability import require
from tests.services.gearmand import LATER, LEFT, leave_jobs
from tests.services.key_value import RedisServer, shared_redis
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql
from tests.store.samples import numbers

PREFIX = b"H:test:import"


def left_in_sqlite(directory: Path) -> str:
    """Return the URL of a file in which a gearmand left jobs."""
    path = directory / "gearmand.db"
    leave_jobs(directory, "-q", "libsqlite3", "--libsqlite3-db", str(path))
    return f"sqlite:///{path}"


def left_in_redis(directory: Path) -> str:
    """Return the URL of a database, of a Redis of its own, in which a gearmand left jobs."""
    server = shared_redis()
    leave_jobs(
        directory,
        *("-q", "redis", "--redis-server", "127.0.0.1", "--redis-port", str(server.port)),
        later=False,
    )
    return f"redis://127.0.0.1:{server.port}/0"


def left_in_mysql(directory: Path) -> str:
    """Return the URL of a database of MariaDB's in which a gearmand left jobs."""
    server = shared_mariadb()
    url = server.url(server.new_database())
    parts = urlsplit(url)
    leave_jobs(
        directory,
        *("-q", "mysql", "--mysql-host", str(parts.hostname), "--mysql-port", str(parts.port)),
        *("--mysql-user", str(parts.username), "--mysql-password", str(parts.password)),
        *("--mysql-db", parts.path.strip("/")),
    )
    return url


def left_in_postgres(directory: Path) -> str:
    """Return the URL of a database of PostgreSQL's in which a gearmand left jobs."""
    server = shared_postgresql()
    url = server.url(server.new_database())
    leave_jobs(directory, "-q", "postgres", "--libpq-conninfo", url)
    return url


LEAVERS: dict[str, Callable[[Path], str]] = {
    "sqlite": left_in_sqlite,
    "redis": left_in_redis,
    "mysql": left_in_mysql,
    "postgres": left_in_postgres,
}


@pytest.fixture(params=list(LEAVERS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GearmandSource]:
    """A queue of each kind in which a real gearmand left jobs."""
    require("gearmand")
    url = LEAVERS[request.param](tmp_path)
    yield open_source(request.param, url)
    if request.param == "redis":
        with library.Redis(port=shared_redis().port) as client:
            for key in client.scan_iter("_gear_*"):
                client.delete(key)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "queue.db"), handle_prefix=PREFIX)


def imported(source: GearmandSource, store: QueueStore) -> Report:
    generation = store.open()
    with closing(store):
        return import_jobs(source, store, generation=generation, handle_prefix=PREFIX, now=1e9)


def kept(store: QueueStore) -> set[tuple[object, ...]]:
    store.open()
    with closing(store):
        jobs = [job for job in store.replay() if isinstance(job, Job)]
        assert len({job.handle for job in jobs}) == len(jobs)
        assert {job.submitted for job in jobs} <= {1e9}
        return {(one.function, one.unique, one.workload, one.priority, one.epoch) for one in jobs}


def test_everything_a_real_gearmand_left_is_imported_once(
    source: GearmandSource, store: SqliteStore
) -> None:
    everything = LEFT if "redis" in source.name else LEFT | {LATER}
    assert source.is_there()
    seen = look_through(source)
    assert (seen.found, seen.imported, seen.damaged) == (len(everything), len(everything), [])
    first = imported(source, store)
    assert (first.found, first.imported, first.already) == (len(everything), len(everything), 0)
    assert kept(store) == everything
    # Half of them run; no row of theirs comes back.
    store.open()
    store.commit(Batch(dones=numbers(store)[::2]))
    left = len(numbers(store))
    store.close()
    second = imported(source, store)
    assert (second.imported, second.already) == (0, len(everything))
    assert len(kept(store)) == left


def test_queue_that_was_put_away_is_not_found_again(
    source: GearmandSource, store: SqliteStore
) -> None:
    imported(source, store)
    assert "imported" in source.put_away()
    assert not source.is_there()


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("fatal", [1, 2, 4])
def test_import_that_was_killed_goes_on_where_it_was(
    source: GearmandSource, store: SqliteStore, fatal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PAGE", 2)
    commit, commits = SqliteStore.commit, [0]

    def fragile(self: SqliteStore, batch: Batch) -> Any:
        commits[0] += 1
        # Half of them end before, half of them after it is on disk.
        if commits[0] == fatal and fatal % 2:
            raise Killed
        done = commit(self, batch)
        if commits[0] == fatal:
            raise Killed
        return done

    monkeypatch.setattr(SqliteStore, "commit", fragile)
    try:
        imported(source, store)
    except Killed:
        store.close()
    monkeypatch.setattr(SqliteStore, "commit", commit)
    report = imported(source, store)
    everything = LEFT if "redis" in source.name else LEFT | {LATER}
    assert report.imported + report.already == len(everything)
    assert kept(store) == everything


# Rows that no gearmand wrote.


def test_hostile_rows_are_set_aside_and_the_others_imported(
    tmp_path: Path, store: SqliteStore
) -> None:
    path = tmp_path / "gearmand.db"
    rows = [
        ("u1", "f", 1, b"w", 0),
        ("u2", None, 1, b"w", 0),
        ("u3", "f", "urgent", b"w", 0),
        ("u4", "f", 3, b"w", 0),
        ("u5", "f", 1, 1.5, 0),
        (6, "f", 1, b"w", 0),
        ("u7", "f", 1, b"w", -1),
        ("u8", "' OR 'a'='a", 2, None, None),
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE odd_1 (unique_key, function_name, priority, data, when_to_run)"
        )
        connection.executemany("INSERT INTO odd_1 VALUES (?, ?, ?, ?, ?)", rows)
    source = open_source("sqlite", f"sqlite:///{path}", table="odd_1")
    report = imported(source, store)
    assert (report.found, report.imported) == (8, 2)
    assert [one.reason for one in report.damaged] == [
        "function_name is no name",
        "priority is not 0, 1 or 2",
        "priority is not 0, 1 or 2",
        "data is neither binary nor text",
        "unique_key is no text",
        "when_to_run is no time",
    ]
    assert kept(store) == {(b"f", b"u1", b"w", 1, 0), (b"' OR 'a'='a", b"u8", b"", 2, 0)}
    # The source is as it was.
    assert source.is_there()


def test_rows_that_are_alike_are_as_many_jobs(tmp_path: Path, store: SqliteStore) -> None:
    path = tmp_path / "gearmand.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE gearman_queue (unique_key, function_name, priority, data, when_to_run)"
        )
        connection.executemany("INSERT INTO gearman_queue VALUES (NULL, 'f', 1, 'w', 0)", [()] * 3)
    source = open_source("sqlite", f"sqlite:///{path}")
    assert imported(source, store).imported == 3
    again = imported(source, store)
    assert (again.imported, again.already) == (0, 3)


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[library.Redis]:
    """A Redis of the test's own."""
    require("redis")
    server = RedisServer(tmp_path)
    server.start()
    with library.Redis(port=server.port) as client:
        yield client
    server.kill()


def redis_source(keys: library.Redis, *functions: str) -> GearmandSource:
    port = keys.connection_pool.connection_kwargs["port"]
    return open_source("redis", f"redis://127.0.0.1:{port}", functions=functions)


def test_keys_of_every_gearmand_are_read(keys: library.Redis, store: SqliteStore) -> None:
    # gearmand 2.0 writes function and unique key, whatever the key has for them.
    mapping = {"data": b"1\x002", "priority": "2", "function": "a-b", "unique": "c-d"}
    keys.hset("_gear_-a-b-c-d", mapping=mapping)
    # 1.1 leaves the key to be cut.
    keys.hset("_gear_-resize-photo-1", mapping={"data": "x", "priority": "0"})
    keys.hset("_gear_-re-size-photo-2", mapping={"data": "y", "priority": "1"})
    # An early one kept the workload alone.
    keys.set("_gear_-old-photo-3", b"z")
    keys.hset("_gear_other:jobs", "1", "not a job of gearmand's")
    assert imported(redis_source(keys, "re", "re-size"), store).imported == 4
    assert kept(store) == {
        (b"a-b", b"c-d", b"1\x002", 2, 0),
        (b"resize", b"photo-1", b"x", 0, 0),
        (b"re-size", b"photo-2", b"y", 1, 0),
        (b"old", b"photo-3", b"z", 1, 0),
    }


def test_hostile_keys_are_set_aside(keys: library.Redis, store: SqliteStore) -> None:
    keys.hset("_gear_-f-1", mapping={"data": "x", "priority": "7"})
    keys.hset("_gear_-f-2", mapping={"data": "x", "priority": "soon"})
    keys.hset("_gear_-f-3", mapping={"priority": "1"})
    keys.rpush("_gear_-f-4", "a")
    keys.hset("_gear_--u", mapping={"data": "x", "priority": "1"})
    keys.hset("_gear_-\xff-6", mapping={"data": "x", "priority": "1"})
    report = imported(redis_source(keys), store)
    assert (report.found, report.imported, len(report.damaged)) == (6, 1, 5)


def test_signs_in_a_prefix_are_no_pattern(keys: library.Redis) -> None:
    keys.set("a-f-1", "x")
    port = keys.connection_pool.connection_kwargs["port"]
    for prefix in ("*", "[a]", "?"):
        source = open_source("redis", f"redis://127.0.0.1:{port}/0?prefix={prefix}")
        assert not source.is_there()


# Words.


@pytest.mark.parametrize(
    ("kind", "url", "says"),
    [
        ("sqlite", "redis://h", "gearmand-sqlite takes a URL like sqlite:"),
        ("redis", "h:6379", "gearmand-redis takes a URL like redis:"),
        ("mysql", "mysql://h", "names no host or no database"),
        ("mysql", "mysql://h:x/d", "no valid port"),
        ("mysql", "mysql://h/d?x=1", "takes .charset= and nothing else"),
        ("postgres", "mysql://h/d", "gearmand-postgres takes a URL like postgresql:"),
    ],
)
def test_url_of_no_source_says_what_to_write(kind: str, url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_source(kind, url)


def test_passwords_are_not_repeated() -> None:
    for kind, url in (
        ("mysql", "mysql://u:secret@127.0.0.1:1/d"),
        ("postgres", "postgresql://u:secret@127.0.0.1:1/d"),
        ("redis", "redis://u:secret@127.0.0.1:1/0"),
    ):
        source = open_source(kind, url)
        assert "secret" not in source.name
        with pytest.raises(StoreUnavailable, match="can't be read") as caught:
            source.is_there()
        assert "secret" not in str(caught.value)


def test_file_that_is_missing_is_said_so_and_not_made(tmp_path: Path) -> None:
    source = open_source("sqlite", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(UsageError, match="there is no file"):
        source.is_there()
    assert list(tmp_path.iterdir()) == []
