"""SQLite's store on files that were cut off, emptied, overwritten or mixed up."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from geartrain.errors import StoreDamaged, UsageError
from geartrain.store.batch import Batch
from geartrain.store.sqlite import SqliteStore
from tests.store.samples import FIRST, make_job, make_jobs, numbers

MakeStore = Callable[..., SqliteStore]

CHECKPOINTED = 30
LATER = 40


def copy_while_open(path: Path, to: Path) -> Path:
    """Copy the file and its log, as kill -9 would leave them."""
    shutil.copy(path, to)
    shutil.copy(f"{path}-wal", f"{to}-wal")
    return to


@pytest.fixture
def crashed(sqlite: MakeStore, path: Path, tmp_path: Path) -> Path:
    """A store that died with 30 jobs in its file and 40 more in its log, a commit each."""
    store = sqlite()
    store.open()
    store.commit(Batch(make_jobs(CHECKPOINTED)))
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    for number in range(FIRST + 1 + CHECKPOINTED, FIRST + 1 + CHECKPOINTED + LATER):
        store.commit(Batch([make_job(number)]))
    return copy_while_open(path, tmp_path / "crashed.db")


def open_and_count(path: Path) -> int:
    """Return how many jobs a store has, which have to be its first ones."""
    with closing(SqliteStore(str(path), handle_prefix=b"H:x")) as store:
        store.open()
        found = numbers(store)
    assert found == [FIRST + 1 + n for n in range(len(found))]
    return len(found)


def test_log_cut_off_at_any_byte_keeps_every_checkpointed_job(
    crashed: Path, tmp_path: Path
) -> None:
    whole = Path(f"{crashed}-wal").read_bytes()
    size = len(whole)
    choose = random.Random(3)
    # Around the log's header, the edges of pages, and anywhere.
    cuts = {0, 1, 31, 32, 33, 55, 56, 57, 4151, 4152, 4153, size - 1, size}
    cuts |= {choose.randrange(size) for _ in range(60)}
    kept = []
    for cut in sorted(cuts):
        path = tmp_path / f"cut-{cut}.db"
        shutil.copy(crashed, path)
        Path(f"{path}-wal").write_bytes(whole[:cut])
        kept.append(open_and_count(path))
    assert kept[0] == CHECKPOINTED
    assert kept[-1] == CHECKPOINTED + LATER
    assert kept == sorted(kept)


def test_log_with_a_flipped_bit_keeps_every_checkpointed_job(crashed: Path, tmp_path: Path) -> None:
    whole = Path(f"{crashed}-wal").read_bytes()
    choose = random.Random(4)
    for n in range(30):
        spoiled = bytearray(whole)
        spoiled[choose.randrange(len(spoiled))] ^= 1 << choose.randrange(8)
        path = tmp_path / f"flip-{n}.db"
        shutil.copy(crashed, path)
        Path(f"{path}-wal").write_bytes(spoiled)
        assert open_and_count(path) >= CHECKPOINTED


def test_new_store_survives_the_loss_of_its_log(sqlite: MakeStore, path: Path) -> None:
    """The tables and the generation are in the file before the first job is accepted."""
    store = sqlite()
    assert store.open() == 1
    store.commit(Batch(make_jobs(3)))
    store._lock.release()
    alone = Path(shutil.copy(path, f"{path}.alone"))
    with closing(SqliteStore(str(alone), handle_prefix=b"H:x")) as again:
        assert again.open() == 2
        assert numbers(again) == []


@pytest.fixture
def closed(sqlite: MakeStore, path: Path) -> Path:
    """A store that was closed with 3,000 jobs in its file, without a log."""
    store = sqlite()
    store.open()
    store.commit(Batch(make_jobs(3000, workload=b"x" * 100)))
    store.close()
    return path


def test_file_cut_off_anywhere_is_refused_in_one_line(closed: Path, tmp_path: Path) -> None:
    whole = closed.read_bytes()
    choose = random.Random(5)
    end = len(whole)
    cuts = {1, 15, 16, 99, 100, 101, 511, 512, 1024, 4095, 4096, 4097, 8192, end - 4096, end - 1}
    cuts |= {choose.randrange(1, end) for _ in range(40)}
    for cut in sorted(cuts):
        path = tmp_path / f"cut-{cut}.db"
        path.write_bytes(whole[:cut])
        with pytest.raises(StoreDamaged) as caught:
            open_and_count(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert path.read_bytes()[:cut] == whole[:cut]


def test_emptied_file_is_not_taken_for_a_new_one(sqlite: MakeStore, closed: Path) -> None:
    closed.write_bytes(b"")
    with pytest.raises(StoreDamaged, match="is empty although it was started 1 times before"):
        sqlite().open()
    # Nor the next time.
    with pytest.raises(StoreDamaged, match="remove it to start with an empty queue"):
        sqlite().open()
    assert closed.read_bytes() == b""
    closed.unlink()
    store = sqlite()
    assert store.open() == 2
    assert numbers(store) == []


def test_database_without_tables_is_not_taken_for_a_new_one(
    sqlite: MakeStore, closed: Path
) -> None:
    closed.unlink()
    with closing(sqlite3.connect(closed)) as other:
        other.execute("PRAGMA journal_mode = WAL")
    with pytest.raises(StoreDamaged, match="is empty although it was started"):
        sqlite().open()


def test_new_empty_file_is_a_new_store(sqlite: MakeStore, path: Path) -> None:
    path.touch()
    store = sqlite()
    assert store.open() == 1
    assert numbers(store) == []


@pytest.mark.parametrize("content", [b"", None])
def test_log_without_its_file_is_not_thrown_away(crashed: Path, content: bytes | None) -> None:
    log = Path(f"{crashed}-wal")
    size = log.stat().st_size
    if content is None:
        crashed.unlink()
    else:
        crashed.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"while its log .*-wal is not: put the file back"):
        open_and_count(crashed)
    assert log.stat().st_size == size


@pytest.mark.parametrize(
    "content", [b"hello", b"x" * 100_000, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_file_that_is_no_database(sqlite: MakeStore, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreDamaged) as caught:
        sqlite().open()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def what_opening_says(path: Path) -> str:
    """Return why a store does not open; empty when it does, and has all its jobs."""
    try:
        assert open_and_count(path) == 3000
    except StoreDamaged as error:
        return str(error)
    return ""


def test_overwritten_pages_never_lose_jobs_in_silence(closed: Path, tmp_path: Path) -> None:
    """Page for page: the store says what is wrong with it, unless it has no job's bytes."""
    whole = closed.read_bytes()
    jobless = 0
    for page in range(0, len(whole) // 4096, 3):
        path = tmp_path / f"page-{page}.db"
        path.write_bytes(whole[: page * 4096] + b"\xa5" * 4096 + whole[(page + 1) * 4096 :])
        said = what_opening_says(path)
        assert not said or str(path) in said
        # Pages of the empty tables for schedules, and for what is kept of ended jobs, are not read
        # at the start.
        jobless += not said
        path.unlink()
    assert jobless <= 14


def test_table_of_versions_without_a_version(sqlite: MakeStore, closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as other, other:
        other.execute("DELETE FROM geartrain_version")
    with pytest.raises(StoreDamaged, match="lacks the revision of its tables"):
        sqlite().open()


def test_jobs_without_a_table_of_versions(sqlite: MakeStore, closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as other, other:
        other.execute("DROP TABLE geartrain_version")
    with pytest.raises(StoreDamaged, match="lacks the revision of its tables"):
        sqlite().open()


@pytest.mark.parametrize("count", ["NULL", "'many'", "-1", "99999999999999", "x'00'"])
def test_spoiled_count_of_generations_is_counted_anew(
    sqlite: MakeStore, closed: Path, count: str
) -> None:
    with closing(sqlite3.connect(closed)) as other, other:
        other.execute("DROP TABLE geartrain_generation")
        other.execute("CREATE TABLE geartrain_generation (started)")
        other.execute(f"INSERT INTO geartrain_generation VALUES ({count})")
    store = sqlite()
    assert store.open() == 2
    assert len(numbers(store)) == 3000


def test_generations_that_are_used_up_are_no_silent_overflow(
    sqlite: MakeStore, closed: Path
) -> None:
    with closing(sqlite3.connect(closed)) as other, other:
        other.execute("UPDATE geartrain_generation SET started = ?", (2**23 - 1,))
    with pytest.raises(StoreDamaged, match="the count in geartrain_generation is wrong"):
        sqlite().open()


def test_null_in_every_column_is_set_aside(sqlite: MakeStore, closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as other, other:
        other.execute("DROP VIEW gearman_queue")
        other.execute("ALTER TABLE geartrain_jobs RENAME TO old")
        other.execute(
            "CREATE TABLE geartrain_jobs (number INTEGER PRIMARY KEY, handle, function_name, "
            "unique_key, workload, priority, epoch, reducer, submitted, attempts)"
        )
        other.execute("INSERT INTO geartrain_jobs SELECT * FROM old")
        other.execute("INSERT INTO geartrain_jobs (number) VALUES (77)")
    store = sqlite()
    store.open()
    found = list(store.replay())
    assert len(found) == 3001
    assert vars(found[0]) == {"row": "number 77", "reason": "handle is NULL, not binary"}


def test_text_that_is_no_text_stops_nobody(sqlite: MakeStore, closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as other, other:
        other.execute(
            "UPDATE geartrain_jobs SET workload = CAST(x'ff80fe' AS TEXT), "
            f"function_name = CAST(x'ff' AS TEXT) WHERE number = {FIRST + 9}"
        )
    store = sqlite()
    store.open()
    assert len(numbers(store)) == 2999


def test_prefix_of_handles_too_long_for_any_handle(path: Path) -> None:
    with pytest.raises(UsageError, match="the handle prefix is longer than 42 bytes"):
        SqliteStore(str(path), handle_prefix=b"H:" + b"x" * 50)
