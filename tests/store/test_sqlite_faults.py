"""SQLite's store on a disk that is locked, full, broken or gone, and after it is back."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from geartrain.broker.job import Job
from geartrain.errors import StoreDamaged, StoreUnavailable, UsageError
from geartrain.store import sqlite as module
from geartrain.store.batch import Batch
from geartrain.store.sqlite import SqliteStore
from tests.store.samples import FIRST, make_job, make_jobs, numbers

MakeStore = Callable[..., SqliteStore]

PRAGMAS = ("journal_mode", "synchronous", "trusted_schema")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@contextmanager
def full_disk(path: Path, room: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond the size that the store's log has now."""
    limit = os.path.getsize(f"{path}-wal") + room
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Locked.


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_commit_on_a_locked_database_is_refused_within_a_second(
    sqlite: MakeStore, path: Path, kind: str
) -> None:
    store = sqlite()
    store.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {kind}")
        for n in range(3):
            with within(1), pytest.raises(StoreUnavailable, match="is locked by another program"):
                store.commit(Batch(make_jobs(20, FIRST + 100 * n)))
        other.execute("ROLLBACK")
    store.commit(Batch([make_job(FIRST + 1)]))
    assert numbers(store) == [FIRST + 1]


def test_single_statement_on_a_locked_database_is_refused_too(
    sqlite: MakeStore, path: Path
) -> None:
    store = sqlite()
    store.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with within(1), pytest.raises(StoreUnavailable, match="locked"):
            store.commit(Batch([make_job(FIRST + 1)]))
        other.execute("ROLLBACK")
    assert numbers(store) == []


def test_commit_waits_for_a_short_lock(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.1, other.execute, ("COMMIT",))
        timer.start()
        store.commit(Batch([make_job(FIRST + 1)]))
        timer.join()
    assert numbers(store) == [FIRST + 1]


def test_start_on_a_locked_database_is_refused_within_a_second(
    sqlite: MakeStore, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with within(1), pytest.raises(StoreUnavailable, match="locked"):
            sqlite().open()
        other.execute("ROLLBACK")
    assert sqlite().open() == 1


def test_reader_disturbs_nobody(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch(make_jobs(3)))
    with closing(sqlite3.connect(path)) as other:
        cursor = other.execute("SELECT * FROM gearman_queue")
        cursor.fetchone()
        store.commit(Batch(make_jobs(300, FIRST + 10), dones=[FIRST + 1]))
    assert len(numbers(store)) == 302


# Full, broken.


def test_full_disk_refuses_and_heals(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch([make_job(FIRST + 1)]))
    for n in range(3):
        jobs = make_jobs(100, FIRST + 1000 + n * 1000)
        with full_disk(path), within(1), pytest.raises(StoreUnavailable, match="can't be written"):
            store.commit(Batch(jobs, dones=[FIRST + 1]))
        store.commit(Batch([make_job(FIRST + 2 + n)]))
    assert numbers(store) == [FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4]


def test_disk_that_fills_up_in_the_middle_of_a_commit(sqlite: MakeStore, path: Path) -> None:
    """Wherever writing ends, the commit is there as a whole or not at all."""
    store = sqlite()
    store.open()
    for n in range(20):
        jobs = make_jobs(40, FIRST + 1000 * n, workload=b"x" * 3000)
        store.commit(Batch([make_job(FIRST + 1000 * n + 500)], dones=numbers(store)))
        with full_disk(path, room=7001 * n):
            try:
                store.commit(Batch(jobs, dones=[FIRST + 1000 * n + 500]))
                expected = [job.number for job in jobs]
            except StoreUnavailable:
                expected = [FIRST + 1000 * n + 500]
        assert numbers(store) == expected


def test_database_that_reached_its_size_is_full(sqlite: MakeStore) -> None:
    store = sqlite()
    store.open()
    store._connection.execute("PRAGMA max_page_count = 30")  # type: ignore[union-attr]
    with pytest.raises(StoreUnavailable, match="database or disk is full"):
        store.commit(Batch(make_jobs(100, workload=b"x" * 2000)))
    # The limit was the connection's, and a failure ends the connection.
    store.commit(Batch(make_jobs(100, workload=b"x" * 2000)))
    assert len(numbers(store)) == 100


def test_full_file_system(tmp_path: Path) -> None:
    """A disk that is really full, where this user may mount one; else a limit of this process."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "geartrain-test", str(disk)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    store = SqliteStore(str(disk / "queue.db"), handle_prefix=b"H:test:import")
    try:
        store.open()
        kept: list[int] = []

        def fill() -> None:
            for n in range(1000):
                store.commit(Batch(make_jobs(8, FIRST + 10 * n, workload=b"x" * 5000)))
                kept.extend(range(FIRST + 10 * n, FIRST + 10 * n + 8))

        with pytest.raises(StoreUnavailable), full_disk(Path(store.path), room=2**20):
            fill()
        assert kept
        if mounted:
            with within(1), pytest.raises(StoreUnavailable):
                store.commit(Batch(make_jobs(8, FIRST + 10**6, workload=b"x" * 5000)))
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        store.commit(Batch(make_jobs(1, FIRST + 10**7)))
        assert numbers(store) == [*kept, FIRST + 10**7]
    finally:
        store.close()
        if mounted:
            subprocess.run(["umount", str(disk)], check=True)


class FailingCommit(sqlite3.Connection):
    """A connection whose next COMMIT is written, and reported as failed."""

    failing = False

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)  # type: ignore[arg-type]
        if sql == "COMMIT" and FailingCommit.failing:
            FailingCommit.failing = False
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return cursor


@pytest.fixture
def failing_commit(monkeypatch: pytest.MonkeyPatch) -> type[FailingCommit]:
    connect = sqlite3.connect

    def connect_failing(*args: object, **settings: object) -> sqlite3.Connection:
        return connect(*args, factory=FailingCommit, **settings)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_failing)
    return FailingCommit


def test_job_that_was_refused_does_not_come_back(
    sqlite: MakeStore, failing_commit: type[FailingCommit]
) -> None:
    """A sync that fails leaves the commit in the log, where a new connection would find it."""
    store = sqlite()
    store.open()
    failing_commit.failing = True
    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        store.commit(Batch(make_jobs(20)))
    store.commit(Batch([make_job(FIRST + 50)]))
    assert numbers(store) == [FIRST + 50]


def test_job_that_was_refused_is_forgotten_when_the_store_closes(
    sqlite: MakeStore, failing_commit: type[FailingCommit]
) -> None:
    store = sqlite()
    store.open()
    failing_commit.failing = True
    with pytest.raises(StoreUnavailable):
        store.commit(Batch(make_jobs(20)))
    store.close()
    store.open()
    assert numbers(store) == []


def test_refused_job_may_be_added_again(
    sqlite: MakeStore, failing_commit: type[FailingCommit]
) -> None:
    store = sqlite()
    store.open()
    failing_commit.failing = True
    with pytest.raises(StoreUnavailable):
        store.commit(Batch(make_jobs(20)))
    store.commit(Batch(make_jobs(20)))
    assert numbers(store) == [FIRST + 1 + n for n in range(20)]


def test_connection_after_a_failure_syncs_as_the_first_did(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    for failing in (False, True):
        if failing:
            with full_disk(path), pytest.raises(StoreUnavailable):
                store.commit(Batch(make_jobs(100)))
        store.commit(Batch([make_job(FIRST + 1)], dones=[FIRST + 1]))
        connection = store._connection
        assert connection is not None
        modes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS]
        assert modes == [b"wal", 2, 0]


# Gone.


def test_file_that_was_removed_is_not_written_to(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch([make_job(FIRST + 1)]))
    path.rename(f"{path}.away")
    with pytest.raises(StoreUnavailable, match="is not the file that this server opened"):
        store.commit(Batch([make_job(FIRST + 2)]))
    assert not path.exists()
    Path(f"{path}.away").rename(path)
    store.commit(Batch([make_job(FIRST + 3)]))
    assert numbers(store) == [FIRST + 1, FIRST + 3]


def test_another_file_in_its_place_is_not_written_to(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch([make_job(FIRST + 1)]))
    backup = shutil.copy(path, f"{path}.backup")
    os.replace(backup, path)
    with pytest.raises(StoreUnavailable, match="restart the server to use this one"):
        store.commit(Batch([make_job(FIRST + 2)]))


def test_backup_copied_over_the_file_is_noticed_after_a_failure(
    sqlite: MakeStore, path: Path
) -> None:
    store = sqlite()
    store.open()
    store.close()
    backup = path.read_bytes()
    store.open()
    with full_disk(path), pytest.raises(StoreUnavailable):
        store.commit(Batch([make_job(FIRST + 1, workload=b"x" * 10000)]))
    path.write_bytes(backup)
    with pytest.raises(StoreUnavailable, match="was replaced by another"):
        store.commit(Batch([make_job(FIRST + 2)]))


def test_table_that_was_dropped_is_damage(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP VIEW gearman_queue")
        other.execute("DROP TABLE geartrain_jobs")
    with pytest.raises(StoreDamaged, match="no such table: geartrain_jobs"):
        store.commit(Batch([make_job(FIRST + 1)]))


def test_number_that_somebody_took_is_not_acknowledged(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch([make_job(FIRST + 2, handle=b"H:somebody")]))
    with pytest.raises(StoreDamaged, match="is taken in the store"):
        store.commit(Batch(make_jobs(3)))
    with pytest.raises(StoreDamaged, match="is taken in the store"):
        store.commit(Batch([make_job(FIRST + 2)]))
    store.commit(Batch([make_job(FIRST + 9)]))
    assert [job.handle for job in store.replay() if isinstance(job, Job)] == [
        b"H:somebody",
        make_job(FIRST + 9).handle,
    ]


# Sizes.


def test_workload_that_no_row_can_hold_is_refused(
    sqlite: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WORKLOAD", 1000)
    store = sqlite()
    store.open()
    with pytest.raises(StoreUnavailable, match="its workload is more than SQLite"):
        store.commit(Batch([make_job(FIRST + 1, workload=b"x" * 1001)]))
    store.commit(Batch([make_job(FIRST + 2, workload=b"x" * 1000)]))
    assert numbers(store) == [FIRST + 2]


def test_limit_of_workloads_is_below_the_limit_of_rows(sqlite: MakeStore) -> None:
    store = sqlite()
    store.open()
    limit = store._connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)  # type: ignore[union-attr]
    # Beside it, a row has a function and a reducer of 64 KiB, a unique key and the numbers.
    assert limit - module.MAX_WORKLOAD >= 2 * 65536 + 1000


# Places.


def test_missing_directory(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "no" / "queue.db"), handle_prefix=b"H:x")
    with pytest.raises(UsageError, match="/no does not exist: create it, or choose another"):
        store.open()


def test_directory_in_place_of_the_file(sqlite: MakeStore, path: Path) -> None:
    path.mkdir()
    with pytest.raises(UsageError, match="is not a file: choose another path"):
        sqlite().open()


def test_pipe_in_place_of_the_file(sqlite: MakeStore, path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is not a file: choose another path"):
        sqlite().open()


OPEN_AS_NOBODY = """
import os, sys
from geartrain.errors import UsageError
from geartrain.store.sqlite import SqliteStore
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    SqliteStore(sys.argv[1], handle_prefix=b"H:x").open()
except UsageError as error:
    print(error)
"""


def open_as_nobody(path: Path) -> str:
    """Return what a user without special rights is told."""
    argv = [sys.executable, "-c", OPEN_AS_NOBODY, str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that other users may enter."""
    directory = Path("/tmp") / f"geartrain-test-{os.getpid()}"
    directory.mkdir(mode=0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


def test_directory_without_permission(public: Path) -> None:
    public.chmod(0o555)
    assert "can't be written to by this user" in open_as_nobody(public / "queue.db")


def test_file_without_permission(public: Path) -> None:
    public.chmod(0o777)
    path = public / "queue.db"
    path.touch()
    path.chmod(0o444)
    assert "queue.db can't be written to by this user" in open_as_nobody(path)


def test_new_file_is_for_its_owner_and_group(sqlite: MakeStore, path: Path) -> None:
    old = os.umask(0)
    try:
        store = sqlite()
        store.open()
        store.commit(Batch([make_job(FIRST + 1)]))
        for name in path.parent.iterdir():
            assert name.stat().st_mode & 0o777 == 0o640, name
    finally:
        os.umask(old)


@pytest.mark.parametrize("name", [b"50% of?mode=ro&it #1 gr\xc3\xb6\xc3\x9fe.db", b"\xff\xfe.db"])
def test_path_with_signs_that_mean_something_to_sqlite(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    store = SqliteStore(str(path), handle_prefix=b"H:x")
    store.open()
    store.commit(Batch([make_job(FIRST + 1)]))
    store.close()
    assert path.exists()


# Two servers on one file.

HOLD = """
import sys
from geartrain.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], handle_prefix=b"H:x")
store.open()
print("open", flush=True)
sys.stdin.read()
"""


def test_second_server_on_the_same_file_is_refused(
    sqlite: MakeStore, path: Path, tmp_path: Path
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        link = tmp_path / "link.db"
        link.symlink_to(path)
        for name in (path, link):
            store = SqliteStore(str(name), handle_prefix=b"H:x")
            wanted = f"in use by another server .process {holder.pid}.: stop that one"
            with within(1), pytest.raises(UsageError, match=wanted):
                store.open()
    finally:
        holder.kill()
        holder.communicate()
    # The lock died with it, and the file is still there.
    assert sqlite().open() == 2


def test_second_store_of_one_process_is_refused(sqlite: MakeStore) -> None:
    first = sqlite()
    first.open()
    with pytest.raises(UsageError, match="in use by another server"):
        sqlite().open()
    first.close()
    assert sqlite().open() == 2


def test_lock_that_can_not_be_taken_is_named(sqlite: MakeStore, path: Path) -> None:
    Path(f"{path}.lock").mkdir()
    with pytest.raises(UsageError, match=r"queue\.db\.lock can't be written"):
        sqlite().open()


def test_failed_start_gives_the_lock_back(sqlite: MakeStore, path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    store = sqlite()
    with pytest.raises(StoreDamaged):
        store.open()
    path.unlink()
    assert sqlite().open() == 1
