"""What becomes of schedules while their database is busy, gone, hanging, or another."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from geartrain.errors import StoreDamaged, StoreUnavailable, UsageError
from geartrain.store.batch import Batch
from geartrain.store.schedule_rows import PENDING, SUBMITTED, Fire, Owner
from geartrain.store.schedule_sql import SqlScheduleStore, open_schedules
from geartrain.store.sqlite import SqliteStore
from tests.services.availability import require
from tests.services.instance import started
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql
from tests.store.samples import FIRST, make_job
from tests.store.schedule_engines import START, due, marked, planned

# A call is refused within so many seconds, and works again so soon after the database.
REFUSED_IN = 3.0
HEALED_IN = 5.0
LONG = 600.0
KINDS = {"postgresql": Postgresql, "mariadb": Mariadb}


@pytest.fixture
def schedules(path: Path) -> Iterator[SqlScheduleStore]:
    """An open store in a file."""
    store = open_schedules(f"sqlite:///{path}")
    assert isinstance(store, SqlScheduleStore)
    store.open()
    yield store
    store.close()


# In real time, which is far past what entries are due at.
fire_once = planned(Fire(0, 1, START, due=START))


def ready(store: SqlScheduleStore, count: int = 1) -> Owner:
    """Have entries that are due, and an instance to claim them."""
    me = store.join("one", "here", LONG, "")
    store.add_all([due(f"entry-{n}") for n in range(count)], "ann")
    return me


# SQLite.


def test_server_and_schedules_share_one_file(
    sqlite: Callable[..., SqliteStore], schedules: SqlScheduleStore
) -> None:
    me = ready(schedules)
    queue = sqlite()
    assert queue.open() == 1
    queue.commit(Batch([make_job(FIRST + 1)]))
    assert len(schedules.claim(me, 10, fire_once)) == 1
    queue.close()
    assert queue.open() == 2
    assert len(list(queue.replay())) == 1
    assert len(schedules.owned(me)) == 1


def test_claims_get_their_turn_beside_a_thread_that_writes_all_the_time(
    sqlite: Callable[..., SqliteStore], schedules: SqlScheduleStore
) -> None:
    me = ready(schedules, 40)
    queue = sqlite()
    queue.open()
    numbers = iter(range(FIRST + 1, FIRST + 1_000_000))
    over = threading.Event()
    commits = 0

    def write() -> None:
        nonlocal commits
        while not over.is_set():
            queue.commit(Batch([make_job(next(numbers)) for _ in range(200)]))
            commits += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        fires = [fire for _ in range(20) for fire in schedules.claim(me, 2, fire_once)]
        for fire in fires:
            marked(schedules, me, fire, SUBMITTED)
    finally:
        over.set()
        writer.join()
    assert len(fires) == 40
    assert commits > 20


def test_claim_waits_while_another_program_writes(schedules: SqlScheduleStore, path: Path) -> None:
    me = ready(schedules)
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.rollback)
        release.start()
        assert len(schedules.claim(me, 10, fire_once)) == 1
        release.join()


def test_claim_is_given_up_while_another_program_writes_for_long(
    schedules: SqlScheduleStore, path: Path
) -> None:
    me = ready(schedules)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="locked by another program"):
            schedules.claim(me, 10, fire_once)
        assert time.monotonic() - began < REFUSED_IN
        # What only reads does not wait.
        assert schedules.fires() == []
    assert len(schedules.claim(me, 10, fire_once)) == 1


def test_file_that_was_replaced_is_not_written(schedules: SqlScheduleStore, path: Path) -> None:
    me = ready(schedules)
    aside = path.with_suffix(".aside")
    path.rename(aside)
    shutil.copy(aside, path)
    with pytest.raises(StoreUnavailable, match="is not the file that was opened"):
        schedules.claim(me, 10, fire_once)
    aside.rename(path)
    assert len(schedules.claim(me, 10, fire_once)) == 1


def test_another_program_that_closes_the_file_takes_nothing_away(
    sqlite: Callable[..., SqliteStore], path: Path
) -> None:
    """The schedules are opened later than the queue, in the same process."""
    queue = sqlite()
    queue.open()
    schedules = open_schedules(f"sqlite:///{path}")
    schedules.open()
    log = path.with_name(f"{path.name}-wal").stat().st_ino
    for _ in range(2):
        # It would check the log in and delete it, if it thought that nobody else was there.
        program = (
            "import sqlite3, sys; found = sqlite3.connect(sys.argv[1]);"
            "print(found.execute('SELECT count(*) FROM geartrain_schedules').fetchall());"
            "found.close()"
        )
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=10)
        assert path.with_name(f"{path.name}-wal").stat().st_ino == log
        assert path.with_name(f"{path.name}-shm").exists()
    queue.commit(Batch([make_job(FIRST + 1)]))
    ready(schedules)
    schedules.close()
    queue.close()


def test_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_bytes(b"hello" * 1_000)
    with pytest.raises(StoreDamaged):
        open_schedules(f"sqlite:///{path}").open()
    assert path.read_bytes() == b"hello" * 1_000
    with pytest.raises(UsageError, match="does not exist"):
        open_schedules(f"sqlite:///{path}/nowhere/queue.db").open()


def test_several_may_open_an_empty_file_at_once(path: Path) -> None:
    stores = [open_schedules(f"sqlite:///{path}") for _ in range(6)]
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            stores[number].open()
            stores[number].add(due(f"entry-{number}"), "ann")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(stores[0].schedules()) == len(stores)
    for store in stores:
        store.close()


# Servers.


@pytest.fixture(scope="module", params=list(KINDS))
def instance(request: pytest.FixtureRequest) -> Iterator[Postgresql | Mariadb]:
    """A server of each kind that may be harmed."""
    require(request.param)
    with started(KINDS[request.param]()) as server:
        yield server


@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_calls_are_refused_while_the_database_is_gone_and_work_when_it_is_back(
    instance: Postgresql | Mariadb, fault: str
) -> None:
    if instance.process is None:
        instance.start()
    store = open_schedules(instance.url(instance.new_database()))
    assert isinstance(store, SqlScheduleStore)
    store.open()
    me = ready(store, 3)
    (fire,) = store.claim(me, 1, fire_once)
    if fault == "kill":
        instance.kill()
    else:
        instance.pause()
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            store.claim(me, 1, fire_once)
        assert time.monotonic() - began < REFUSED_IN
        assert "s3cret" not in str(caught.value)
    finally:
        if fault == "kill":
            instance.start()
        else:
            instance.resume()
    deadline = time.monotonic() + HEALED_IN
    while True:
        try:
            taken = store.claim(me, 5, fire_once)
            break
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    # Whatever became of the claim that was refused: each entry has fired once.
    assert len(store.owned(me)) == 3
    assert {one.state for one in store.fires()} == {PENDING}
    assert fire.id not in [one.id for one in taken]
    store.close()


def test_instance_that_stops_in_a_transaction_keeps_nobody_waiting_for_long(
    instance: Postgresql | Mariadb,
) -> None:
    """A planner that hangs holds the locks of its entries, until the database ends it."""
    if instance.process is None:
        instance.start()
    url = instance.url(instance.new_database())
    store, other = (open_schedules(url) for _ in range(2))
    store.open()
    other.open()
    assert isinstance(store, SqlScheduleStore)
    me = ready(store, 2)
    second = other.join("two", "there", LONG, "")
    go_on = threading.Event()
    entered = threading.Event()
    refusals: list[Exception] = []

    def hangs(*given: object) -> object:
        entered.set()
        go_on.wait(15)
        return fire_once(*given)  # type: ignore[arg-type]

    def work() -> None:
        try:
            store.claim(me, 1, hangs)  # type: ignore[arg-type]
        except StoreUnavailable as error:
            refusals.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait(10)
    # The other entry is claimed meanwhile, what is locked is skipped.
    assert len(other.claim(second, 10, fire_once)) == 1
    deadline = time.monotonic() + HEALED_IN
    while not other.claim(second, 10, fire_once):
        assert time.monotonic() < deadline, "the lock was never given back"
        time.sleep(0.05)
    go_on.set()
    thread.join()
    assert len(refusals) <= 1
    assert len(other.fires()) == len({fire.schedule for fire in other.fires()}) == 2
    store.close()
    other.close()
