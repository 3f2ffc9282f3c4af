"""Jobs that gearmand left in its table, and the view that takes the table's place."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from geartrain.broker.job import Job
from geartrain.errors import UsageError
from geartrain.store.batch import Batch
from geartrain.store.rows import row_of
from geartrain.store.sqlite import SqliteStore
from tests.acceptance.connection import JOB_CREATED, Connection
from tests.acceptance.job_server import JobServer
from tests.services.availability import require
from tests.store.samples import FIRST, damaged, make_job, make_jobs, rows

MakeStore = Callable[..., SqliteStore]

SUBMIT_JOB_BG = 18
SUBMIT_JOB_HIGH_BG = 32
SUBMIT_JOB_LOW_BG = 34
SUBMIT_JOB_EPOCH = 36

# As gearmand creates it.
TABLE = (
    "CREATE TABLE {} ( unique_key TEXT, function_name TEXT, priority INTEGER, data BLOB, "
    "when_to_run INTEGER, PRIMARY KEY (unique_key, function_name))"
)


class Gearmand(JobServer):
    """Debian's gearmand with its queue in an SQLite file."""

    def command(self) -> list[str]:
        path = str(self.directory / "queue.db")
        return [*super().command(), "-q", "libsqlite3", "--libsqlite3-db", path]


@pytest.fixture
def left_by_gearmand(path: Path) -> Path:
    """A file in which a real gearmand left jobs of every kind when it was killed."""
    require("gearmand")
    server = Gearmand("gearmand", path.parent)
    try:
        with Connection(server.port) as client:
            client.submit(SUBMIT_JOB_BG, b"resize", b"photo-1", b"a.jpg")
            client.submit(SUBMIT_JOB_HIGH_BG, b"resize", b"photo-2", b"\0\xff binary")
            client.submit(SUBMIT_JOB_LOW_BG, b"gr\xc3\xb6\xc3\x9fe", b"\xff\xfe", b"b.jpg")
            client.submit(SUBMIT_JOB_BG, b"resize", b"", b"without a key")
            client.submit(SUBMIT_JOB_BG, b"empty", b"photo-3", b"")
            client.send(SUBMIT_JOB_EPOCH, b"later", b"photo-4", b"1999999999", b"c.jpg")
            assert client.receive()[0] == JOB_CREATED
    finally:
        server.stop()
    return path


def as_submitted(jobs: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return function, unique, workload, priority and epoch."""
    return [row[2:7] for row in jobs]


def test_file_of_a_real_gearmand_is_taken_over(sqlite: MakeStore, left_by_gearmand: Path) -> None:
    store = sqlite()
    generation = store.open()
    imported = store.imported
    assert imported is not None
    assert (imported.jobs, imported.damaged) == (6, [])
    assert imported.table == "gearman_queue_imported"
    found = rows(store.replay())
    assert as_submitted(found) == [
        (b"resize", b"photo-1", b"a.jpg", 1, 0),
        (b"resize", b"photo-2", b"\0\xff binary", 0, 0),
        (b"gr\xc3\xb6\xc3\x9fe", b"\xff\xfe", b"b.jpg", 2, 0),
        (b"resize", b"", b"without a key", 1, 0),
        (b"empty", b"photo-3", b"", 1, 0),
        (b"later", b"photo-4", b"c.jpg", 1, 1999999999),
    ]
    assert [row[1] for row in found] == [f"H:test:import:0{row[0]}".encode() for row in found]
    # A generation of their own, before the one that starts now.
    assert {row[0] >> 40 for row in found if isinstance(row[0], int)} == {generation - 1}


def test_import_happens_once(sqlite: MakeStore, left_by_gearmand: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch(dones=[row[0] for row in rows(store.replay())[:2]]))  # type: ignore[misc]
    store.close()
    again = sqlite()
    again.open()
    assert again.imported is None
    assert len(rows(again.replay())) == 4


def test_table_of_gearmand_is_kept_under_another_name(
    sqlite: MakeStore, left_by_gearmand: Path
) -> None:
    sqlite().open()
    with closing(sqlite3.connect(left_by_gearmand)) as other:
        count = "SELECT count(*) FROM gearman_queue_imported"
        assert other.execute(count).fetchone() == (6,)


def test_script_that_counts_gearmands_rows_goes_on_working(
    sqlite: MakeStore, left_by_gearmand: Path
) -> None:
    store = sqlite()
    generation = store.open()
    store.commit(Batch(make_jobs(2, generation << 40 | 1)))
    with closing(sqlite3.connect(left_by_gearmand)) as other:
        assert other.execute("SELECT count(*) FROM gearman_queue").fetchone() == (8,)
        by_name = "SELECT count(*) FROM gearman_queue WHERE function_name = 'resize'"
        assert other.execute(by_name).fetchone() == (5,)
        due = "SELECT unique_key, data FROM gearman_queue WHERE when_to_run > 0"
        assert other.execute(due).fetchall() == [("photo-4", b"c.jpg")]
        by_priority = "SELECT priority, count(*) FROM gearman_queue GROUP BY 1 ORDER BY 1"
        assert other.execute(by_priority).fetchall() == [(0, 1), (1, 6), (2, 1)]


# Tables written by hand.


def write_table(path: Path, *values: tuple[object, ...], name: str = "gearman_queue") -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE.format(name))
        connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?)", values)


def test_texts_and_nulls_are_read_as_what_they_mean(sqlite: MakeStore, path: Path) -> None:
    write_table(
        path,
        ("key", "resize", 1, "text as data", 0),
        (None, "resize", 2, None, None),
        (b"binary key", b"binary\xff", "0", b"", "12"),
    )
    store = sqlite()
    store.open()
    assert as_submitted(rows(store.replay())) == [
        (b"resize", b"key", b"text as data", 1, 0),
        (b"resize", b"", b"", 2, 0),
        (b"binary\xff", b"binary key", b"", 0, 12),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("k", None, 1, b"", 0), "function_name is no name"),
        (("k", "", 1, b"", 0), "function_name is no name"),
        (("k", "resize", None, b"", 0), "priority is not 0, 1 or 2"),
        (("k", "resize", "high", b"", 0), "priority is not 0, 1 or 2"),
        (("k", "resize", 3, b"", 0), "priority is not 0, 1 or 2"),
        (("k", "resize", 1, 5, 0), "data is neither binary nor text"),
        (("k", "resize", 1, b"", "soon"), "when_to_run is no time"),
        (("k", "resize", 1, b"", -1), "when_to_run is no time"),
    ],
)
def test_row_that_is_no_job_stays_in_the_table(
    sqlite: MakeStore, path: Path, row: tuple[object, ...], reason: str
) -> None:
    write_table(path, ("good-1", "resize", 1, b"", 0), row, ("good-2", "resize", 1, b"", 0))
    store = sqlite()
    store.open()
    assert store.imported is not None
    assert store.imported.jobs == 2
    assert [vars(found) for found in store.imported.damaged] == [
        {"row": "rowid 2 of gearman_queue_imported", "reason": reason}
    ]
    assert len(rows(store.replay())) == 2


def test_table_from_before_jobs_had_a_time(sqlite: MakeStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE gearman_queue (unique_key TEXT, function_name TEXT, "
            "priority INTEGER, data BLOB, PRIMARY KEY (unique_key, function_name))"
        )
        connection.execute("INSERT INTO gearman_queue VALUES ('k', 'resize', 1, 'a.jpg')")
    store = sqlite()
    store.open()
    assert as_submitted(rows(store.replay())) == [(b"resize", b"k", b"a.jpg", 1, 0)]


def test_table_under_another_name(sqlite: MakeStore, path: Path) -> None:
    write_table(path, ("k", "resize", 1, b"", 0), name="MyQueue")
    store = sqlite("myqueue")
    store.open()
    assert store.imported is not None
    assert store.imported.table == "myqueue_imported"
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM MyQueue").fetchone() == (1,)


def test_second_table_is_imported_beside_the_first(sqlite: MakeStore, path: Path) -> None:
    tables = []
    for data in (b"first", b"second", b"third"):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP VIEW IF EXISTS gearman_queue")
        write_table(path, ("k", "resize", 1, data, 0))
        store = sqlite()
        store.open()
        assert store.imported is not None
        tables.append(store.imported.table)
        workloads = [row[4] for row in rows(store.replay())]
        store.close()
    assert tables == [
        "gearman_queue_imported",
        "gearman_queue_imported_2",
        "gearman_queue_imported_3",
    ]
    assert workloads == [b"first", b"second", b"third"]


def test_import_that_is_cut_off_is_repeated_as_a_whole(
    sqlite: MakeStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(path, *((f"k{n}", "resize", 1, b"", 0) for n in range(2500)))
    store = sqlite()
    run = store._mapper.run
    batches = []

    def run_and_stop(*args: object) -> None:
        batches.append(args)
        if len(batches) == 2:
            raise sqlite3.OperationalError("cut off")
        run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store._mapper, "run", run_and_stop)
    with pytest.raises(sqlite3.OperationalError, match="cut off"):
        store.open()
    assert store.imported is None
    again = sqlite()
    again.open()
    assert again.imported is not None
    assert again.imported.jobs == 2500
    handles = {job.handle for job in again.replay() if isinstance(job, Job)}
    assert len(handles) == 2500


def test_large_table(sqlite: MakeStore, path: Path) -> None:
    write_table(path, *((f"k{n}", "resize", n % 3, b"x" * 64, 0) for n in range(20_000)))
    store = sqlite()
    store.open()
    found = rows(store.replay())
    assert [row[3] for row in found] == [b"k%d" % n for n in range(20_000)]


# The view.


def test_view_shows_hostile_names_to_who_asks_for_bytes(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    job = make_job(FIRST + 1, function=b"\xff\0", unique=b"' --", workload=b"\0", epoch=5)
    store.commit(Batch([job]))
    with closing(sqlite3.connect(path)) as other:
        other.text_factory = bytes
        assert other.execute("SELECT * FROM gearman_queue").fetchall() == [
            (b"' --", b"\xff\0", 1, b"\0", 5)
        ]


def test_something_else_of_the_name_is_not_touched(sqlite: MakeStore, path: Path) -> None:
    for create in (
        "CREATE TABLE gearman_queue (id INTEGER)",
        "CREATE VIEW gearman_queue AS SELECT 1",
        "CREATE INDEX gearman_queue ON other (id)",
    ):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE other (id INTEGER)")
            connection.execute(create)
        with pytest.raises(UsageError, match="is not gearmand's: choose another table name"):
            sqlite().open()
        with closing(sqlite3.connect(path)) as connection:
            kept = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'gearman_queue'")
            assert kept.fetchone() == (create,)


def test_view_of_an_earlier_release_is_replaced(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch([make_job(FIRST + 1)]))
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP VIEW gearman_queue")
        connection.execute("CREATE VIEW gearman_queue AS SELECT number FROM geartrain_jobs")
    store.open()
    with closing(sqlite3.connect(path)) as other:
        found = other.execute("SELECT function_name FROM gearman_queue").fetchall()
        assert found == [("resize",)]
    assert damaged(store) == []
    assert rows(store.replay()) == [row_of(make_job(FIRST + 1))]
