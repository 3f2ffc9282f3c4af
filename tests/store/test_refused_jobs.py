"""
A job that the store can't take is refused alone, on each engine, and nobody else's with it.

The writer thread is the server's; the engines are real. A job is too large for what the engine
was configured with, or the engine has something against it that nobody foresaw.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import geartrain.store.sqlite as sqlite_module
from geartrain.broker.job import Job
from geartrain.errors import StoreError
from geartrain.server.committer import Committer
from geartrain.store.batch import Batch, Coalesced, Result
from geartrain.store.queue_store import QueueStore
from geartrain.store.redis import RedisStore
from geartrain.store.shared_sql import SharedSqlStore
from tests.services.availability import require
from tests.services.key_value import MemcachedServer
from tests.store.engines import ENGINES, Engine, Memcached, Sqlite
from tests.store.samples import FIRST, make_job, make_jobs, numbers

DEADLINE = 15.0


class Written:
    """
    What became of one batch that the writer thread was given.

    Attributes:
        stored: Numbers of the jobs that are acknowledged.
        refused: Why, by the numbers of the others.

    """

    def __init__(self, store: QueueStore, jobs: Sequence[Job]) -> None:
        self.stored: set[int] = set()
        self.refused: dict[int, str] = {}
        self.left = len(jobs)
        self.settled = threading.Event()
        for job in jobs:
            job.obligation = True
        committer = Committer(store, self.answer)
        committer.put(Batch(jobs))
        committer.start()
        assert self.settled.wait(DEADLINE), f"{self.left} jobs without an answer"
        assert committer.close(DEADLINE)

    def answer(self, jobs: list[Job], error: StoreError | None, _: Sequence[Coalesced]) -> None:
        for job in jobs:
            if error is None:
                self.stored.add(job.number)
            else:
                self.refused[job.number] = str(error)
        self.left -= len(jobs)
        if self.left <= 0:
            self.settled.set()


def limit(store: QueueStore, monkeypatch: pytest.MonkeyPatch) -> int:
    """Have a store take jobs of less than a megabyte, or so; return how much is too much."""
    if isinstance(store, RedisStore):
        store._largest = 1 << 20
    elif isinstance(store, SharedSqlStore):
        store.database.room = 1 << 20
    else:
        monkeypatch.setattr(sqlite_module, "MAX_WORKLOAD", 1 << 20)
    return (1 << 20) + 1


@pytest.fixture
def small(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[QueueStore, int]]:
    """An open store that does not take large jobs, and what is too large."""
    if isinstance(engine, Memcached):
        require("memcached")
        engine.server = MemcachedServer(tmp_path, "-M", "-m", "16")
        engine.server.start()
    with closing(engine.store()) as store:
        store.open()
        yield store, (2 << 20) + 1 if isinstance(engine, Memcached) else limit(store, monkeypatch)
    if isinstance(engine, Memcached):
        engine.server.kill()


def test_jobs_that_are_too_large_are_refused_alone(small: tuple[QueueStore, int]) -> None:
    store, size = small
    jobs = make_jobs(300)
    for place in (0, 17, 18, 299):
        jobs[place] = make_job(jobs[place].number, workload=b"x" * size)
    large = {jobs[place].number for place in (0, 17, 18, 299)}
    written = Written(store, jobs)
    assert set(written.refused) == large
    assert all("bytes)" in why and "lower max_packet" in why for why in written.refused.values())
    assert written.stored == {job.number for job in jobs} - large
    assert set(numbers(store)) == written.stored


def forbid_poison(engine: Any) -> None:
    """Have the database refuse jobs of one function, which no store foresees."""
    if isinstance(engine, Sqlite):
        with closing(sqlite3.connect(engine.path)) as connection:
            connection.execute(
                "CREATE TRIGGER forbid BEFORE INSERT ON geartrain_jobs "
                "WHEN NEW.function_name = CAST('poison' AS BLOB) "
                "BEGIN SELECT RAISE(ABORT, 'it is poison'); END"
            )
        return
    with engine.server.connect(engine.database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE geartrain_jobs ADD CONSTRAINT healthy CHECK (function_name <> 'poison')"
        )


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb"])
def test_one_row_that_the_database_does_not_take_is_found_among_others(
    name: str, tmp_path: Path
) -> None:
    engine = ENGINES[name](tmp_path)
    with closing(engine.store()) as store:
        store.open()
        forbid_poison(engine)
        jobs = make_jobs(1000)
        for place in (3, 500, 501):
            jobs[place] = make_job(jobs[place].number, function=b"poison")
        written = Written(store, jobs)
        assert sorted(written.refused) == [jobs[place].number for place in (3, 500, 501)]
        assert len(written.stored) == 997
        assert set(numbers(store)) == written.stored


def test_taken_number_refuses_no_other_job(engine: Engine) -> None:
    with closing(engine.store()) as store:
        store.open()
        store.commit(Batch([make_job(FIRST + 7, handle=b"H:of-somebody-else")]))
        written = Written(store, make_jobs(20))
        assert list(written.refused) == [FIRST + 7]
        assert "is taken" in written.refused[FIRST + 7]
        assert len(numbers(store)) == 20


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[QueueStore]:
    """An open store in a memcached of 16 MB that drops nothing."""
    require("memcached")
    engine = Memcached(tmp_path)
    engine.server = MemcachedServer(tmp_path, "-M", "-m", "16")
    engine.server.start()
    try:
        with closing(engine.store()) as store:
            store.open()
            yield store
    finally:
        engine.server.kill()


def test_full_memcached_takes_what_there_is_room_for(tight: QueueStore) -> None:
    written = Written(tight, make_jobs(2000, workload=b"x" * 20_000))
    assert written.stored
    assert written.refused
    assert set(numbers(tight)) == written.stored


def test_jobs_of_a_full_memcached_end_although_there_is_no_room_for_their_results(
    tight: QueueStore,
) -> None:
    written = Written(tight, make_jobs(2000, workload=b"x" * 20_000))
    ended = sorted(written.stored)
    results = [
        Result(b"H:%d" % number, number, b"resize", 0, b"y" * 200_000, 0.0, time.time() + 600)
        for number in ended
    ]
    tight.commit(Batch(dones=ended, results=results))
    assert numbers(tight) == []
    more = make_jobs(100, FIRST + 5000, workload=b"x" * 20_000)
    assert len(Written(tight, more).stored) == 100


def test_large_jobs_that_ended_leave_nothing_in_memcached(tight: QueueStore) -> None:
    """Their pieces go with them; else forty of them would fill it for good."""
    for n in range(40):
        job = make_job(FIRST + n, workload=b"x" * 1_900_000)
        tight.commit(Batch([job]))
        tight.commit(Batch(dones=[job.number]))
    assert numbers(tight) == []
