"""A queue that is moved, copied and brought back, on every engine, whoever dies in between."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from geartrain.broker.job import HIGH, Job
from geartrain.errors import StoreUnavailable, UsageError
from geartrain.server.server import JobServer
from geartrain.server.settings import Settings
from geartrain.store import moving
from geartrain.store.batch import COMPLETED, EXCEPTED, Batch, DeadLetter, Result
from geartrain.store.mark import MARK, check_not_moving, read_mark
from geartrain.store.memory import MemoryStore
from geartrain.store.moving import back_up, count, move, restore
from geartrain.store.queue_store import Damaged, QueueStore
from geartrain.store.rows import letter_row_of, result_row_of, row_of
from geartrain.store.sqlite import SqliteStore
from tests.store.engines import ENGINES, Engine, Sqlite
from tests.store.samples import FIRST, GOOD_ROW, make_job, make_jobs

HANDLES = [b"H:test:1:%d" % n for n in range(3)]
JOBS = [
    make_job(FIRST + 1, unique=b"\0k", workload=b"\0\xff", priority=HIGH, attempts=2),
    make_job((5 << 40) + 7, epoch=1_900_000_000, reducer=b"r"),
    make_job(FIRST + 9, workload=b"x" * 200_000),
    *make_jobs(40, FIRST + 100),
]
LETTERS = [
    DeadLetter(make_job(FIRST + 50, attempts=9), b"its worker died \xff", 1_700_000_000.5),
    DeadLetter(make_job(FIRST + 51), b"", 1_700_000_001.5),
]
RESULTS = [
    Result(HANDLES[0], FIRST + 60, b"resize", COMPLETED, b"\0done", 1_700_000_000.5, 2e9),
    Result(HANDLES[1], FIRST + 61, b"resize", EXCEPTED, b"why", 1_700_000_000.5, 2e9),
]


@pytest.fixture(params=list(ENGINES))
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """An engine of each kind that holds something of everything."""
    (tmp_path / "full").mkdir()
    engine = ENGINES[request.param](tmp_path / "full")
    fill(engine)
    return engine


@pytest.fixture
def file(tmp_path: Path) -> Engine:
    """An empty file of SQLite's."""
    (tmp_path / "file").mkdir()
    return Sqlite(tmp_path / "file")


@pytest.fixture
def full_file(file: Engine) -> Engine:
    fill(file)
    return file


def fill(engine: Engine) -> None:
    with closing(engine.store()) as store:
        store.open()
        store.commit(Batch(JOBS, dead=LETTERS, results=RESULTS))


Held = tuple[list[Any], list[Any], list[Any]]


def held(engine: Engine) -> Held:
    """Return everything that there is, in comparable form."""
    with closing(engine.store()) as store:
        store.open()
        jobs = [job for job in store.replay() if isinstance(job, Job)]
        letters = store.dead_letters(0, 100)
        results = [store.result(handle) for handle in HANDLES]
    return (
        [row_of(job) for job in jobs],
        [letter_row_of(letter) for letter in letters],
        [result_row_of(result) for result in results if result is not None],
    )


def everything() -> Held:
    return (
        sorted(row_of(job) for job in JOBS),
        [letter_row_of(letter) for letter in LETTERS],
        [result_row_of(result) for result in RESULTS],
    )


NOTHING: Held = ([], [], [])


# Moving.


def test_everything_moves_to_a_file(full: Engine, file: Engine) -> None:
    carried = move(full.store(), file.store())
    expected = everything()
    assert (carried.jobs, carried.dead_letters) == (len(JOBS), len(LETTERS))
    assert carried.results == len(expected[2])
    assert held(file) == expected
    assert held(full) == NOTHING


@pytest.mark.parametrize("kind", list(ENGINES))
def test_everything_moves_from_a_file(kind: str, full_file: Engine, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    target = ENGINES[kind](tmp_path / "target")
    move(full_file.store(), target.store())
    assert held(target) == everything()
    assert held(full_file) == NOTHING
    # The numbers of the jobs to come are ahead of all that were carried.
    with closing(target.store()) as store:
        assert store.open() > 5


def test_what_can_not_be_read_stays_where_it_is(full_file: Engine, tmp_path: Path) -> None:
    full_file.write_row([FIRST + 500, b"", *GOOD_ROW[2:]])
    target = Sqlite(tmp_path)
    carried = move(full_file.store(), target.store())
    assert [one.row for one in carried.damaged] == [f"number {FIRST + 500}"]
    assert held(target) == everything()
    with closing(full_file.store()) as store:
        store.open()
        assert [type(one) for one in store.replay()] == [Damaged]


class Killed(BaseException):
    """The end of the process."""


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the process end before, or after, what is the n-th change of any store."""
    changes = itertools.count(1)
    plan = {"fatal": 0}

    def wrap(name: str) -> None:
        change = getattr(SqliteStore, name)

        def changed(self: SqliteStore, *args: Any) -> Any:
            number = next(changes)
            if number == plan["fatal"] and number % 2:
                raise Killed
            done = change(self, *args)
            if number == plan["fatal"]:
                raise Killed
            return done

        monkeypatch.setattr(SqliteStore, name, changed)

    for name in ("commit", "forget_results", "remove_dead_letter"):
        wrap(name)

    def let_die(number: int) -> None:
        nonlocal changes
        changes = itertools.count(1)
        plan["fatal"] = number

    return let_die


@pytest.mark.timeout(60)
def test_move_that_is_killed_anywhere_is_simply_started_again(
    tmp_path: Path, fragile: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PAGE", 20)
    for number in range(1, 100):
        places = [tmp_path / f"{number}-{end}" for end in ("from", "to")]
        for place in places:
            place.mkdir()
        source, target = map(Sqlite, places)
        fill(source)
        fragile(number)
        try:
            move(source.store(), target.store())
            killed = False
        except Killed:
            killed = True
        fragile(0)
        if killed:
            assert_in_one_place(source, target)
            move(source.store(), target.store())
        assert held(source) == NOTHING
        assert held(target) == everything()
        if not killed:
            break
    assert not killed
    assert number > 12


def is_marked(engine: Engine) -> bool:
    with closing(engine.store()) as store:
        store.open()
        return read_mark(store) is not None


def assert_in_one_place(source: Engine, target: Engine) -> None:
    """What a server could take up is everything or nothing, and never at both ends."""
    usable = []
    for engine in (source, target):
        with closing(engine.store()) as store:
            store.open()
            try:
                check_not_moving(store)
            except UsageError:
                continue
            usable += [row_of(job) for job in store.replay() if isinstance(job, Job)]
    assert sorted(usable) in ([], everything()[0])


def test_no_server_starts_in_the_middle_of_a_move(
    tmp_path: Path, fragile: Callable[[int], None]
) -> None:
    source, target = Sqlite(tmp_path), Sqlite(tmp_path / "target")
    (tmp_path / "target").mkdir()
    fill(source)
    fragile(5)
    with pytest.raises(Killed):
        move(source.store(), target.store())
    fragile(0)
    for engine in (source, target):
        server = JobServer(Settings(listen=["127.0.0.1:0"]), engine.store())
        with pytest.raises(UsageError, match="finish that first, with geartrain db move"):
            server.open()
        with pytest.raises(UsageError, match="finish that first"):
            back_up(engine.store(), str(tmp_path / "backup"))
    # Nor does it go on with another target.
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match=r"is being moved to .*target"):
        move(source.store(), Sqlite(tmp_path / "other").store())
    move(source.store(), target.store())
    assert held(target) == everything()


def test_target_that_holds_anything_is_refused(full_file: Engine, tmp_path: Path) -> None:
    for batch in (Batch([make_job(FIRST + 1)]), Batch(dead=LETTERS)):
        place = tmp_path / f"{len(batch.dead)}"
        place.mkdir()
        target = Sqlite(place)
        with closing(target.store()) as store:
            store.open()
            store.commit(batch)
        with pytest.raises(UsageError, match="is not empty"):
            move(full_file.store(), target.store())
    assert held(full_file) == everything()


def test_a_store_in_use_is_not_moved(
    full: Engine, file: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PATIENCE", 0.3)
    with closing(file.store()) as queue:
        queue.open()
    # Nobody renews the lease here, where it is a row.
    server = full.store(server="other", address="b:2", lease=60.0) if full.shared else full.store()
    with closing(server):
        server.open()
        with pytest.raises(UsageError, match="in use by"):
            move(full.store(), file.store())
        with pytest.raises(UsageError, match="in use by"):
            move(file.store(), full.store())
    assert held(full) == everything()


def test_ends_that_make_no_sense_are_refused(full_file: Engine) -> None:
    with pytest.raises(UsageError, match="is both ends"):
        move(full_file.store(), full_file.store())
    with pytest.raises(UsageError, match="keeps no jobs"):
        move(full_file.store(), MemoryStore())


def test_counting_changes_nothing(full: Engine) -> None:
    carried = count(full.store())
    assert (carried.jobs, carried.dead_letters) == (len(JOBS), len(LETTERS))
    assert held(full) == everything()


# Copies.


def test_backup_of_each_engine_can_be_restored_into_a_file(
    full: Engine, file: Engine, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    carried = back_up(full.store(), str(backup))
    assert carried.jobs == len(JOBS)
    assert held(full) == everything()
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_file()) == ["backup"]
    before = backup.read_bytes()
    restore(str(backup), file.store())
    assert held(file) == everything()
    assert backup.read_bytes() == before


@pytest.mark.parametrize("kind", list(ENGINES))
def test_backup_can_be_restored_into_each_engine(
    kind: str, full_file: Engine, tmp_path: Path
) -> None:
    backup = str(tmp_path / "backup")
    back_up(full_file.store(), backup)
    (tmp_path / "target").mkdir()
    target = ENGINES[kind](tmp_path / "target")
    restore(backup, target.store())
    assert held(target) == everything()
    with pytest.raises(UsageError, match="is not empty"):
        restore(backup, target.store())


def test_restoring_that_is_killed_anywhere_is_simply_started_again(
    full_file: Engine,
    tmp_path: Path,
    fragile: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moving, "PAGE", 20)
    backup = str(tmp_path / "backup")
    back_up(full_file.store(), backup)
    finished = 0
    for number in range(1, 100):
        place = tmp_path / str(number)
        place.mkdir()
        target = Sqlite(place)
        fragile(number)
        try:
            restore(backup, target.store())
            killed = False
        except Killed:
            killed = True
        fragile(0)
        if not killed:
            break
        # It may have been killed when there was nothing left to be done.
        if held(target) == everything() and not is_marked(target):
            finished += 1
        else:
            restore(backup, target.store())
        assert held(target) == everything()
    assert number > 6
    assert finished < 3


def test_half_restored_store_takes_no_other_backup(
    full_file: Engine, tmp_path: Path, fragile: Callable[[int], None]
) -> None:
    backup, copy = tmp_path / "backup", tmp_path / "copy"
    back_up(full_file.store(), str(backup))
    copy.write_bytes(backup.read_bytes())
    target = Sqlite(tmp_path)
    fragile(2)
    with pytest.raises(Killed):
        restore(str(backup), target.store())
    fragile(0)
    with pytest.raises(UsageError, match=r"is being moved from sqlite:.*backup"):
        restore(str(copy), target.store())
    restore(str(backup), target.store())
    assert held(target) == everything()


def test_backup_that_is_killed_leaves_no_backup(
    full_file: Engine, tmp_path: Path, fragile: Callable[[int], None]
) -> None:
    backup = tmp_path / "backup"
    fragile(1)
    with pytest.raises(Killed):
        back_up(full_file.store(), str(backup))
    assert not backup.exists()
    fragile(0)
    # What a real kill leaves does no harm.
    (tmp_path / "backup.partial").write_bytes(b"SQLite format 3\0 and then nothing")
    back_up(full_file.store(), str(backup))
    with pytest.raises(UsageError, match="exists: choose another file"):
        back_up(full_file.store(), str(backup))
    assert not os.path.exists(f"{backup}.partial")


def test_file_that_is_no_backup_is_refused(file: Engine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        restore(str(tmp_path / "none"), file.store())
    assert held(file) == NOTHING


def test_mark_that_can_not_be_read_is_a_mark(file: Engine) -> None:
    with closing(file.store()) as store:
        store.open()
        for data in (b"", b"[]", b"1", b"\xff"):
            store.commit(Batch(results=[Result(MARK, 0, b"", COMPLETED, data, 0.0, 9e9)]))
            with pytest.raises(UsageError, match="is being moved to another store"):
                check_not_moving(store)


def test_store_that_goes_away_in_the_middle_raises_and_can_be_moved_later(
    full_file: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = SqliteStore.commit

    def failing(self: SqliteStore, batch: Batch) -> Any:
        if batch.adds:
            raise StoreUnavailable("gone")
        return commit(self, batch)

    monkeypatch.setattr(SqliteStore, "commit", failing)
    target: QueueStore = Sqlite(tmp_path).store()
    with pytest.raises(StoreUnavailable):
        move(full_file.store(), target)
    monkeypatch.setattr(SqliteStore, "commit", commit)
    move(full_file.store(), target)
    assert held(Sqlite(tmp_path)) == everything()
