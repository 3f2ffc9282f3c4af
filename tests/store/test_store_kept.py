"""What stores keep of jobs that ended: dead letters and results, on every engine and in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from geartrain.store.batch import (
    COMPLETED,
    EXCEPTED,
    FAILED,
    STREAMED,
    TOO_LARGE,
    Batch,
    DeadLetter,
    Result,
)
from geartrain.store.memory import OVERHEAD, MemoryStore
from geartrain.store.queue_store import QueueStore
from geartrain.store.rows import letter_row_of, result_row_of, row_of
from tests.store.engines import ENGINES, Engine
from tests.store.samples import FIRST, make_job, make_jobs, numbers, rows

DIED = 1_700_000_123.5


@pytest.fixture(params=[*ENGINES, "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QueueStore]:
    """An open store of each engine in its turn, and the one in memory."""
    name = request.param
    store = MemoryStore() if name == "memory" else ENGINES[name](tmp_path).store()
    store.open()
    yield store
    store.close()


def make_result(n: int, outcome: int = COMPLETED, data: bytes = b"done", **times: float) -> Result:
    times = {"ended": 1_700_000_000.5, "expires": 1_700_000_600.5, **times}
    return Result(b"H:test:1:%d" % n, FIRST + n, b"resize", outcome, data, **times)


def kept(store: QueueStore, n: int) -> tuple[object, ...] | None:
    found = store.result(b"H:test:1:%d" % n)
    return None if found is None else result_row_of(found)


def letters(store: QueueStore, after: int = 0, limit: int = 100) -> list[int]:
    return [letter.job.number for letter in store.dead_letters(after, limit)]


# Results.


@pytest.mark.parametrize(
    ("outcome", "data"),
    [
        (COMPLETED, b"\0\xff'\r\n"),
        (FAILED, b""),
        (EXCEPTED, b"why"),
        (TOO_LARGE, b""),
        (STREAMED, b"\0"),
    ],
)
def test_result_comes_back_as_it_was(any_store: QueueStore, outcome: int, data: bytes) -> None:
    result = make_result(1, outcome, data)
    assert not any_store.commit(Batch(results=[result, make_result(2)]))
    assert kept(any_store, 1) == result_row_of(result)


def test_nothing_is_kept_of_a_handle_nobody_knows(any_store: QueueStore) -> None:
    any_store.commit(Batch(results=[make_result(1)]))
    assert any_store.result(b"H:test:1:2") is None
    assert any_store.result(b"' OR 'a'='a") is None
    assert any_store.result(b"") is None


def test_later_result_replaces_the_earlier(any_store: QueueStore) -> None:
    any_store.commit(Batch(results=[make_result(1, FAILED), make_result(1, EXCEPTED, b"e")]))
    assert kept(any_store, 1) == result_row_of(make_result(1, EXCEPTED, b"e"))
    any_store.commit(Batch(results=[make_result(1, COMPLETED, b"at last")]))
    assert kept(any_store, 1) == result_row_of(make_result(1, COMPLETED, b"at last"))


def test_results_are_forgotten_when_they_expire(any_store: QueueStore) -> None:
    any_store.commit(Batch(results=[make_result(n, expires=1000.0 + n) for n in range(1, 5)]))
    any_store.forget_results(1002.0)
    assert [kept(any_store, n) is None for n in range(1, 5)] == [True, True, False, False]


@pytest.mark.parametrize("count", [1, 9, 65, 513])
def test_many_results_in_one_commit(any_store: QueueStore, count: int) -> None:
    large = make_result(count + 1, data=random.Random(3).randbytes(1024 * 1024))
    many = [make_result(n, data=b"%d" % n) for n in range(1, count + 1)]
    any_store.commit(Batch(results=[large, *many]))
    for result in (large, many[0], many[-1]):
        assert kept(any_store, result.number - FIRST) == result_row_of(result)


def test_results_are_listed_in_the_order_of_handles_a_page_at_a_time(
    any_store: QueueStore,
) -> None:
    results = [make_result(n) for n in (3, 1, 2)]
    any_store.commit(Batch(results=results))
    wanted = sorted((result_row_of(result) for result in results), key=lambda row: row[0])
    assert [result_row_of(one) for one in any_store.results(b"", 9)] == wanted
    first = any_store.results(b"", 2)
    assert [result_row_of(one) for one in first] == wanted[:2]
    assert [result_row_of(one) for one in any_store.results(first[-1].handle, 9)] == wanted[2:]


# Dead letters.


def test_dead_letter_is_no_job_any_more_and_keeps_every_field(any_store: QueueStore) -> None:
    job = make_job(FIRST + 1, unique=b"\0k", workload=b"\0\xff", attempts=5, epoch=7, reducer=b"r")
    letter = DeadLetter(job, b"its worker died \xff\0", DIED)
    any_store.commit(Batch([job]))
    any_store.commit(Batch(dead=[letter]))
    assert numbers(any_store) == []
    found = any_store.dead_letter(job.handle)
    assert found is not None
    assert letter_row_of(found) == letter_row_of(letter)
    assert [letter_row_of(one) for one in any_store.dead_letters(0, 9)] == [letter_row_of(letter)]


def test_job_may_be_added_and_die_in_one_commit(any_store: QueueStore) -> None:
    job = make_job(FIRST + 1)
    any_store.commit(Batch([job], dead=[DeadLetter(job, b"why", DIED)]))
    assert numbers(any_store) == []
    assert letters(any_store) == [FIRST + 1]


def test_dead_letter_that_is_there_is_left_alone(any_store: QueueStore) -> None:
    job = make_job(FIRST + 1)
    any_store.commit(Batch(dead=[DeadLetter(job, b"first", DIED)]))
    any_store.commit(Batch(dead=[DeadLetter(job, b"second", DIED)]))
    found = any_store.dead_letter(job.handle)
    assert found is not None
    assert found.reason == b"first"


def test_dead_letters_are_listed_in_the_order_of_numbers_a_page_at_a_time(
    any_store: QueueStore,
) -> None:
    jobs = random.Random(4).sample(make_jobs(30), 30)
    any_store.commit(Batch(dead=[DeadLetter(job, b"", DIED) for job in jobs]))
    assert letters(any_store) == [FIRST + 1 + n for n in range(30)]
    assert letters(any_store, FIRST + 3, 2) == [FIRST + 4, FIRST + 5]
    assert letters(any_store, FIRST + 30) == []


def test_dead_letter_can_be_revived(any_store: QueueStore) -> None:
    job = make_job(FIRST + 1, attempts=5, epoch=1_900_000_000, workload=b"\0w", unique=b"u")
    any_store.commit(Batch(dead=[DeadLetter(job, b"why", DIED)]))
    revived = any_store.revive(job.handle)
    assert revived is not None
    assert row_of(revived) == row_of(make_job(FIRST + 1, workload=b"\0w", unique=b"u"))
    assert letters(any_store) == []
    if any_store.durable:
        assert rows(any_store.replay()) == [row_of(revived)]
    # It may die again.
    any_store.commit(Batch(dead=[DeadLetter(revived, b"again", DIED)]))
    assert letters(any_store) == [FIRST + 1]
    assert numbers(any_store) == []


def test_dead_letter_can_be_removed(any_store: QueueStore) -> None:
    jobs = make_jobs(2)
    any_store.commit(Batch(dead=[DeadLetter(job, b"", DIED) for job in jobs]))
    assert any_store.remove_dead_letter(jobs[0].handle)
    assert not any_store.remove_dead_letter(jobs[0].handle)
    assert any_store.revive(jobs[0].handle) is None
    assert any_store.dead_letter(jobs[0].handle) is None
    assert letters(any_store) == [FIRST + 2]


def test_what_was_kept_outlives_the_server(engine: Engine) -> None:
    job = make_job(FIRST + 1)
    with closing(engine.store()) as store:
        store.open()
        store.commit(Batch(dead=[DeadLetter(job, b"why", DIED)], results=[make_result(1)]))
    with closing(engine.store()) as again:
        again.open()
        assert letters(again) == [FIRST + 1]
        assert kept(again, 1) == result_row_of(make_result(1))
        again.revive(job.handle)
    with closing(engine.store()) as third:
        third.open()
        assert rows(third.replay()) == [row_of(job)]
        assert letters(third) == []


# Memory has an end.


def test_memory_keeps_no_more_than_it_has_room_for() -> None:
    store = MemoryStore(room=3 * (OVERHEAD + 100))
    store.commit(Batch(results=[make_result(n, data=b"x" * 90) for n in range(1, 6)]))
    assert [n for n in range(1, 6) if store.result(b"H:test:1:%d" % n)] == [3, 4, 5]
    jobs = make_jobs(5, workload=b"x" * 90)
    store.commit(Batch(dead=[DeadLetter(job, b"", DIED) for job in jobs]))
    assert letters(store) == [FIRST + 3, FIRST + 4, FIRST + 5]
    store.commit(Batch(results=[make_result(9, data=b"x" * 5000)]))
    assert store.result(b"H:test:1:9") is None
