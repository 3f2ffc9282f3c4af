"""What becomes of jobs when a database fails: refused in time, never half kept, soon well again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pymysql
import pytest

from geartrain.broker.job import Job
from geartrain.errors import LeaseLost, StoreDamaged, StoreError, StoreUnavailable
from geartrain.store.batch import Batch
from geartrain.store.rows import row_of
from geartrain.store.shared_sql import SharedSqlStore
from geartrain.store.url import open_store
from tests.services.availability import require
from tests.services.instance import started
from tests.services.mariadb import PASSWORD, Mariadb
from tests.services.postgresql import Postgresql, Replica, cluster_url
from tests.store.samples import make_job, make_jobs, numbers, rows

# A submission is refused within a second, and a store works again so soon after the database.
REFUSED_IN = 1.0
HEALED_IN = 5.0
KINDS = {"postgresql": Postgresql, "mariadb": Mariadb}

MakeStore = Callable[..., SharedSqlStore]
Database = Postgresql | Mariadb


@pytest.fixture(scope="module", params=list(KINDS))
def instance(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A server of each kind that may be harmed."""
    require(request.param)
    with started(KINDS[request.param]()) as server:
        yield server


@pytest.fixture
def database(instance: Database) -> Database:
    """The server, running."""
    if instance.process is None:
        instance.start()
    return instance


@pytest.fixture
def make(database: Database) -> Iterator[MakeStore]:
    """Make open stores in one new database, and close them at the end."""
    name = database.new_database()
    made: list[SharedSqlStore] = []

    def make_store(server: str = "one", url: str = "", **options: Any) -> SharedSqlStore:
        store = open_store(
            url or database.url(name),
            handle_prefix=b"H:%b" % server.encode(),
            server=server,
            address=server,
            **options,
        )
        assert isinstance(store, SharedSqlStore)
        made.append(store)
        store.open()
        return store

    yield make_store
    for store in made:
        store.close()


def refused(store: SharedSqlStore, *jobs: Job) -> StoreError:
    """Return why jobs were refused; they have to be, within a second."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        store.commit(Batch(jobs))
    assert time.monotonic() - began < REFUSED_IN
    assert "s3cret" not in str(caught.value)
    return caught.value


def healed(store: SharedSqlStore, job: Job) -> None:
    """Keep a job as soon as the store takes it; that has to be soon."""
    deadline = time.monotonic() + HEALED_IN
    while True:
        try:
            store.commit(Batch([job]))
            return
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the store does not work again"
            time.sleep(0.05)


# Servers that are gone, or seem to be there.


@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_jobs_are_refused_while_the_database_is_down_and_kept_when_it_is_back(
    database: Database, make: MakeStore, fault: str
) -> None:
    store = make()
    kept, lost, later = make_jobs(3)
    store.commit(Batch([kept]))
    getattr(database, fault)()
    # On a connection that is lost, and where none can be made.
    for _ in range(2):
        refused(store, lost)
    with pytest.raises(StoreUnavailable):
        store.renew()
    database.start()
    healed(store, later)
    assert rows(store.replay()) == [row_of(kept), row_of(later)]


def test_jobs_are_refused_while_the_database_hangs(database: Database, make: MakeStore) -> None:
    store = make()
    kept, lost, later = make_jobs(3)
    store.commit(Batch([kept]))
    database.pause()
    try:
        for _ in range(2):
            refused(store, lost)
    finally:
        database.resume()
    healed(store, later)
    assert rows(store.replay()) == [row_of(kept), row_of(later)]


def test_connection_that_was_cut_while_nothing_happened_is_made_again(
    database: Database, make: MakeStore
) -> None:
    store = make()
    jobs = make_jobs(2)
    store.commit(Batch(jobs[:1]))
    database.kill()
    database.start()
    store.commit(Batch(jobs[1:]))
    assert rows(store.replay()) == [row_of(job) for job in jobs]


def test_store_does_not_open_where_there_is_no_database(
    database: Database, make: MakeStore
) -> None:
    url = database.url("nowhere")
    with pytest.raises(StoreUnavailable) as caught:
        make(url=url)
    assert "nowhere" in str(caught.value)
    with pytest.raises(StoreUnavailable) as caught:
        make(url=url.replace("s3cret", "sesame"))
    assert "sesame" not in str(caught.value)


def test_tables_that_are_gone_are_for_a_person_to_look_for(
    database: Database, make: MakeStore
) -> None:
    store = make()
    execute(database, store, "DROP TABLE geartrain_jobs")
    with pytest.raises(StoreDamaged, match="geartrain_jobs"):
        store.commit(Batch(make_jobs(1)))


def test_server_whose_row_is_gone_has_lost_its_lease(database: Database, make: MakeStore) -> None:
    store = make()
    execute(database, store, "DELETE FROM geartrain_servers")
    with pytest.raises(LeaseLost):
        store.commit(Batch(make_jobs(1)))


# Others in the way.


def execute(database: Database, store: SharedSqlStore, *statements: str) -> None:
    """Run statements in the store's database, as a person would."""
    with database.connect(store.name.rpartition("/")[2]) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "lock",
    ["SELECT * FROM geartrain_servers FOR UPDATE", "SELECT * FROM geartrain_jobs FOR UPDATE"],
)
def test_jobs_are_refused_while_somebody_locks_their_rows(
    database: Database, make: MakeStore, lock: str
) -> None:
    store = make()
    first, second, third = make_jobs(3)
    store.commit(Batch([first]))
    other: Any = database.connect(store.name.rpartition("/")[2])
    other.cursor().execute("BEGIN")
    other.cursor().execute(lock)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store.commit(Batch([second], dones=[first.number]))
    assert time.monotonic() - began < REFUSED_IN
    other.close()
    healed(store, third)
    assert numbers(store) == [first.number, third.number]


def test_server_that_hangs_in_a_transaction_does_not_keep_others_from_taking_over(
    make: MakeStore,
) -> None:
    one, two = make("one", lease=0.1), make("two")
    one.commit(Batch(make_jobs(1)))
    # It was stopped after its first statement.
    assert one._writer._link is not None
    one._writer._begin(one._writer._link, True).run(())
    deadline = time.monotonic() + HEALED_IN
    while True:
        try:
            if two.adopt():
                break
        except StoreUnavailable:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(LeaseLost):
        one.commit(Batch(make_jobs(2)))
    assert len(numbers(two)) == 1


def test_database_that_may_only_be_read_refuses_jobs(database: Database, make: MakeStore) -> None:
    if isinstance(database, Postgresql):
        on = "ALTER SYSTEM SET default_transaction_read_only = on"
        off = "ALTER SYSTEM SET default_transaction_read_only = off"
        user, reload = "gear", ["SELECT pg_reload_conf()"]
    else:
        on, off, user, reload = "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0", "plain", []
    store = make()
    if user == "plain":
        # A user who may do no more than a store has to.
        name = store.name.rpartition("/")[2]
        execute(
            database,
            store,
            f"CREATE OR REPLACE USER plain@'%' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX ON {name}.* TO plain@'%'",
        )
        store = make(url=database.url(name).replace("gear:", "plain:"))
    first, second, third = make_jobs(3)
    store.commit(Batch([first]))
    execute(database, store, on, *reload)
    try:
        deadline = time.monotonic() + HEALED_IN
        while True:
            # PostgreSQL's processes hear of the change when they have nothing to do.
            try:
                store.commit(Batch([first]))
            except StoreUnavailable:
                break
            assert time.monotonic() < deadline
        refused(store, second)
    finally:
        writable = "SET default_transaction_read_only = off"
        execute(database, store, *([writable, off] if reload else [off]), *reload)
    healed(store, third)
    assert numbers(store) == [first.number, third.number]


# MariaDB ends when its files may not grow.
@pytest.mark.parametrize("instance", ["postgresql"], indirect=True)
def test_full_disk_refuses_jobs(database: Database, make: MakeStore) -> None:
    """Files that may not grow stand for a disk that is full."""
    store = make()
    size = 20 * 1024 * 1024
    first, second = (
        make_job((1 << 40) + n, workload=random.Random(n).randbytes(size)) for n in (1, 2)
    )
    store.commit(Batch([first]))
    database.stop()
    database.before = ("prlimit", f"--fsize={size * 3 // 2}:unlimited")
    database.start()
    with pytest.raises(StoreUnavailable, match="could not"):
        store.commit(Batch([second]))
    store.renew()
    database.stop()
    database.before = ()
    database.start()
    healed(store, second)
    assert rows(store.replay()) == [row_of(first), row_of(second)]


# Commits of unknown outcome.


def break_commit(
    store: SharedSqlStore, monkeypatch: pytest.MonkeyPatch, *, after: bool, times: int = 1
) -> None:
    """Let the connection break before or after the database has carried the commit out."""
    left = [times]

    def connect(original: Callable[[], Any] = store.database.connect) -> Any:
        link = original()
        commit = link.commit

        def broken() -> None:
            if not left[0]:
                return commit()
            left[0] -= 1
            if after:
                commit()
            link._connection.close()
            raise (
                psycopg.OperationalError("gone")
                if "postgresql" in store.name
                else (pymysql.OperationalError(2013, "gone"))
            )

        monkeypatch.setattr(link, "commit", broken)
        return link

    store._writer.drop()
    monkeypatch.setattr(store._writer._connector, "_connect", connect)


@pytest.mark.parametrize("after", [True, False])
def test_commit_whose_answer_got_lost_is_asked_for(
    make: MakeStore, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    store = make()
    first, second = make_jobs(2, unique=b"k")
    store.commit(Batch([first]))
    break_commit(store, monkeypatch, after=after)
    # Done twice, it would meet itself.
    assert not store.commit(Batch([second], dones=[first.number]))
    assert numbers(store) == [second.number]


@pytest.mark.parametrize("after", [True, False])
def test_jobs_of_a_commit_that_nobody_can_ask_for_are_taken_out(
    database: Database, make: MakeStore, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    store = make()
    kept, lost, later = make_jobs(3)
    store.commit(Batch([kept]))
    with monkeypatch.context() as context:
        break_commit(store, context, after=after)
        original = store._writer._connector._connect

        def connect_once() -> Any:
            context.setattr(store._writer._connector, "_connect", fail)
            return original()

        def fail() -> Any:
            raise OSError("no route to host")

        context.setattr(store._writer._connector, "_connect", connect_once)
        refused(store, lost)
        refused(store, lost)
    assert len(numbers_of(database, store)) == 1 + after
    # So the server names it until a commit gets through.
    assert not store.commit(Batch([later], refused=[lost.number]))
    assert numbers(store) == [kept.number, later.number]


def numbers_of(database: Database, store: SharedSqlStore) -> list[object]:
    """Return the numbers of all jobs there are, past the store."""
    with database.connect(store.name.rpartition("/")[2]) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT number FROM geartrain_jobs")
        return list(cursor.fetchall())


# Sizes.


@pytest.mark.parametrize("instance", ["mariadb"], indirect=True)
def test_job_that_is_too_large_for_a_statement_is_refused_and_says_why(make: MakeStore) -> None:
    store = make()
    with pytest.raises(StoreUnavailable, match=r"more than max_allowed_packet \(67108864 bytes\)"):
        store.commit(Batch([make_job((1 << 40) + 1, workload=bytes(33 * 1024 * 1024))]))
    fits = make_job((1 << 40) + 2, workload=bytes(31 * 1024 * 1024))
    store.commit(Batch([fits]))
    assert rows(store.replay()) == [row_of(fits)]


def test_many_jobs_of_some_size_go_in_several_statements(make: MakeStore) -> None:
    store = make()
    jobs = make_jobs(1000, workload=b"x" * 60_000)
    store.commit(Batch(jobs))
    assert numbers(store) == [job.number for job in jobs]


# A primary and its replica.


def test_promoted_replica_has_every_job_that_was_kept() -> None:
    require("postgresql")
    with started(Postgresql()) as primary, started(Replica(primary)) as replica:
        name = primary.new_database()
        store = open_store(
            cluster_url(primary, replica, database=name), handle_prefix=b"H:one", server="one"
        )
        generation = store.open()
        kept = [make_job((generation << 40) + n) for n in range(1, 200)]
        for job in kept:
            store.commit(Batch([job]))
        primary.kill()
        with pytest.raises(StoreUnavailable):
            store.commit(Batch([make_job((generation << 40) + 500)]))
        replica.promote()
        assert isinstance(store, SharedSqlStore)
        healed(store, later := make_job((generation << 40) + 501))
        assert rows(store.replay()) == [row_of(job) for job in [*kept, later]]
        store.close()


# Settings.


def test_setting_that_weakens_the_promise_is_warned_about(
    database: Database, make: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    make("before")
    assert caplog.messages == []
    if isinstance(database, Postgresql):
        database.settings["full_page_writes"] = "off"
        database.stop()
        database.start()
        said = "full_page_writes is off"
    else:
        with database.connect() as connection:
            connection.cursor().execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        said = "innodb_flush_log_at_trx_commit is 2, not 1"
    try:
        make("after")
    finally:
        database.settings.pop("full_page_writes", None)
        database.stop()
        database.start()
    (message,) = caplog.messages
    assert said in message
    assert "s3cret" not in message


@pytest.mark.parametrize("instance", ["postgresql"], indirect=True)
def test_commits_are_synced_where_the_database_would_not(
    database: Database, make: MakeStore
) -> None:
    with database.connect() as connection:
        connection.cursor().execute("ALTER ROLE gear SET synchronous_commit = off")
    try:
        store = make()
        assert store._writer.run(lambda one: one.read("SHOW synchronous_commit")) == [("on",)]
    finally:
        with database.connect() as connection:
            connection.cursor().execute("ALTER ROLE gear RESET synchronous_commit")


def test_copy_of_the_database_is_asked_for_counts_only(database: Database, make: MakeStore) -> None:
    one = make("one")
    one.commit(Batch(make_jobs(3)))
    gone = one.database.url.replace(str(database.port), "1")  # type: ignore[attr-defined]
    two = make("two", url=one.database.url, reader=gone)  # type: ignore[attr-defined]
    two.commit(Batch([make_job(2 << 40 | 1)]))
    assert two.find(b"H:one:1") is not None
    with pytest.raises(StoreUnavailable):
        two.members()
    three = make("three", url=one.database.url, reader=one.database.url)  # type: ignore[attr-defined]
    assert [member.jobs for member in three.members()] == [3, 1, 0]
