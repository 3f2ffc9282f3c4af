"""The rules of ``QueueStore``, on every engine that keeps jobs."""

from __future__ import annotations

import random
import threading
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geartrain.broker.job import HIGH, LOW, Job
from geartrain.store.batch import Batch
from geartrain.store.queue_store import QueueStore
from geartrain.store.rows import row_of
from tests.store.engines import ALONE, ENGINES, UNTYPED, Engine
from tests.store.samples import FIRST, damaged, make_job, make_jobs, numbers, rows

# What a database might fold, trim, cut or re-encode.
HOSTILE_NAMES = [
    b"nul\0in the middle",
    b"\0",
    b"\xff\xfe not UTF-8 \x80",
    "größe".encode(),
    b"UPPER and lower",
    b" blanks around ",
    b"' OR 'a'='a",
    b"\\'",
    b'";--',
    b"%s ? :name $1 {x} %(y)s",
    b"../../etc/passwd",
    b"tab\tand\r\nlines",
    "\u202eright to left".encode(),
    b"x" * 65536,
]


def test_durable_engines_say_so(store: QueueStore) -> None:
    assert store.durable


def test_new_store_is_empty(store: QueueStore) -> None:
    assert list(store.replay()) == []


def test_job_is_replayed_with_every_field(engine: Engine, store: QueueStore) -> None:
    job = make_job(
        FIRST + 1,
        handle=b"H:host:boot:1",
        function=b"resize",
        unique=b"photo-1",
        workload=b"\0\xff\r\n'",
        priority=HIGH,
        epoch=1_900_000_000,
        reducer=b"collage",
        submitted=1_700_000_000.123456,
        attempts=3,
    )
    store.commit(Batch([job]))
    store.close()
    again = engine.store()
    again.open()
    assert rows(again.replay()) == [row_of(job)]
    again.close()


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: repr(name[:20]))
def test_any_bytes_come_back_as_they_were(store: QueueStore, name: bytes) -> None:
    bystanders = make_jobs(100, FIRST + 2)
    job = make_job(FIRST + 1, function=name, unique=name, workload=name, reducer=name)
    store.commit(Batch([job, *bystanders]))
    assert rows(store.replay()) == [row_of(job), *map(row_of, bystanders)]
    store.commit(Batch(dones=[job.number]))
    assert numbers(store) == [other.number for other in bystanders]


def test_names_that_differ_in_case_are_two(store: QueueStore) -> None:
    jobs = [make_job(FIRST + 1, unique=b"Photo"), make_job(FIRST + 2, unique=b"photo")]
    store.commit(Batch(jobs))
    assert rows(store.replay()) == [row_of(job) for job in jobs]


def test_jobs_without_a_unique_key_are_kept_apart(store: QueueStore) -> None:
    share_a_key(store, b"")


# Where several servers share the store, it keeps one of them; see test_shared_store.py.
@pytest.mark.parametrize("engine", ALONE, indirect=True)
@pytest.mark.parametrize("unique", [b"-", b"photo-1"])
def test_jobs_that_share_a_unique_key_are_kept_apart(store: QueueStore, unique: bytes) -> None:
    share_a_key(store, unique)


def share_a_key(store: QueueStore, unique: bytes) -> None:
    jobs = make_jobs(3, unique=unique)
    store.commit(Batch(jobs))
    store.commit(Batch(dones=[jobs[1].number]))
    assert numbers(store) == [jobs[0].number, jobs[2].number]


def test_empty_workload_is_a_workload(store: QueueStore) -> None:
    job = make_job(FIRST + 1, workload=b"")
    store.commit(Batch([job]))
    assert rows(store.replay()) == [row_of(job)]


def test_large_workload_among_small_ones(store: QueueStore) -> None:
    large = make_job(FIRST + 2, workload=random.Random(1).randbytes(8 * 1024 * 1024))
    jobs = [make_job(FIRST + 1), large, make_job(FIRST + 3)]
    store.commit(Batch(jobs))
    assert rows(store.replay()) == [row_of(job) for job in jobs]


def test_extreme_numbers(store: QueueStore) -> None:
    job = make_job(2**63 - 1, priority=LOW, epoch=2**62, attempts=2**31 - 1, submitted=0.0)
    store.commit(Batch([job]))
    assert rows(store.replay()) == [row_of(job)]


def test_replay_is_in_the_order_of_numbers(store: QueueStore) -> None:
    jobs = make_jobs(700)
    shuffled = random.Random(2).sample(jobs, len(jobs))
    store.commit(Batch(shuffled[:300]))
    store.commit(Batch(shuffled[300:]))
    assert numbers(store) == [job.number for job in jobs]


# On both sides of every size that a statement for many rows may have.
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1100])
def test_batches_of_every_size(store: QueueStore, count: int) -> None:
    jobs = make_jobs(count)
    store.commit(Batch(jobs))
    assert rows(store.replay()) == [row_of(job) for job in jobs]
    store.commit(Batch(updates=[(job.number, 2, 7) for job in jobs]))
    assert {(row[6], row[-1]) for row in rows(store.replay())} == {(7, 2)}
    kept = make_job(FIRST + 5000)
    store.commit(Batch([kept], dones=[job.number for job in jobs]))
    assert numbers(store) == [kept.number]


@pytest.mark.parametrize(
    "gone", [[2, 3, 4, 5], [4, 2, 5, 3], [2, 4, 5], [2, 2, 4], [2, 4, 4, 5], [3, 3], [6]]
)
def test_only_the_jobs_named_are_removed(store: QueueStore, gone: list[int]) -> None:
    store.commit(Batch([make_job(FIRST + n) for n in range(1, 7)]))
    store.commit(Batch(dones=[FIRST + n for n in gone]))
    assert numbers(store) == [FIRST + n for n in range(1, 7) if n not in gone]


def test_empty_commit(store: QueueStore) -> None:
    store.commit(Batch())
    assert list(store.replay()) == []


def test_adding_a_job_twice_leaves_the_first(store: QueueStore) -> None:
    job = make_job(FIRST + 1)
    store.commit(Batch([job]))
    store.commit(Batch(updates=[(job.number, 4, 1_900_000_000)]))
    store.commit(Batch([job, make_job(FIRST + 2)]))
    assert [(row[0], row[6], row[-1]) for row in rows(store.replay())] == [
        (FIRST + 1, 1_900_000_000, 4),
        (FIRST + 2, 0, 0),
    ]


def test_unknown_numbers_are_no_error(store: QueueStore) -> None:
    job = make_job(FIRST + 1)
    store.commit(Batch([job], [(FIRST + 9, 1, 1)], [FIRST + 8, FIRST + 8]))
    assert rows(store.replay()) == [row_of(job)]


def test_job_that_is_added_and_done_in_one_commit_is_done(store: QueueStore) -> None:
    store.commit(
        Batch([make_job(FIRST + 1), make_job(FIRST + 2)], [(FIRST + 1, 1, 0)], [FIRST + 1])
    )
    assert numbers(store) == [FIRST + 2]


def test_replay_does_not_mind_commits_meanwhile(store: QueueStore) -> None:
    store.commit(Batch(make_jobs(3000)))
    replay = iter(store.replay())
    seen = [next(replay)]
    store.commit(Batch([make_job(FIRST + 9000)], dones=[FIRST + 1]))
    seen += replay
    assert [job.number for job in seen[:3000] if isinstance(job, Job)] == [
        FIRST + 1 + n for n in range(3000)
    ]


def test_generations_grow_with_every_start(engine: Engine) -> None:
    generations = []
    for _ in range(4):
        store = engine.store()
        generations.append(store.open())
        store.close()
    assert generations == [1, 2, 3, 4]


def test_generation_is_ahead_of_every_job(engine: Engine, store: QueueStore) -> None:
    store.commit(Batch([make_job(7 << 40 | 5)]))
    store.close()
    again = engine.store()
    assert again.open() == 8
    again.close()


def test_close_twice_and_open_again(store: QueueStore) -> None:
    store.commit(Batch([make_job(FIRST + 1)]))
    store.close()
    store.close()
    assert store.open() == 2
    assert numbers(store) == [FIRST + 1]


def test_methods_may_be_called_from_different_threads(store: QueueStore) -> None:
    errors: list[BaseException] = []

    def commit(number: int) -> None:
        try:
            store.commit(Batch([make_job(number)]))
        except BaseException as error:
            errors.append(error)

    for number in range(FIRST + 1, FIRST + 4):
        thread = threading.Thread(target=commit, args=(number,))
        thread.start()
        thread.join()
    assert errors == []
    assert numbers(store) == [FIRST + 1, FIRST + 2, FIRST + 3]


# Rows that nobody's server wrote.

GOOD: tuple[object, ...] = row_of(make_job(FIRST + 1))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("handle", b"", "handle is b'', not 1 to 63 bytes of printable ASCII"),
        ("handle", b"H:a b", "handle is b'H:a b', not 1 to 63 bytes of printable ASCII"),
        ("handle", b"H:\0", "handle is b'H:\\x00', not 1 to 63 bytes of printable ASCII"),
        ("handle", b"H:1\n", "handle is b'H:1\\n', not 1 to 63 bytes of printable ASCII"),
        ("handle", make_job(FIRST + 2).handle, "handle b'H:test:1:1099511627778' is taken"),
        ("function_name", b"", "function_name is empty"),
        ("priority", 3, "priority is 3, not 0, 1 or 2"),
        ("priority", -1, "priority is -1, not 0, 1 or 2"),
    ],
)
def test_row_that_is_no_job_is_set_aside_and_the_others_run(
    engine: Engine, store: QueueStore, column: str, value: object, reason: str
) -> None:
    set_aside(engine, store, column, value, reason)


@pytest.mark.parametrize("engine", UNTYPED, indirect=True)
@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("handle", "text", "handle is text, not binary"),
        ("handle", 5, "handle is an integer, not binary"),
        ("function_name", 1.5, "function_name is a real number, not binary"),
        ("unique_key", "text", "unique_key is text, not binary"),
        ("workload", 5, "workload is an integer, not binary"),
        ("priority", "urgent", "priority is text, not an integer"),
        ("priority", 0.5, "priority is a real number, not an integer"),
        ("epoch", b"soon", "epoch is binary, not an integer"),
        ("reducer", "text", "reducer is text, not binary"),
        ("submitted", "now", "submitted is text, not a real number"),
        ("attempts", "many", "attempts is text, not an integer"),
    ],
)
def test_row_with_a_value_of_another_type_is_set_aside_and_the_others_run(
    engine: Engine, store: QueueStore, column: str, value: object, reason: str
) -> None:
    set_aside(engine, store, column, value, reason)


def set_aside(engine: Engine, store: QueueStore, column: str, value: object, reason: str) -> None:
    store.commit(Batch([make_job(FIRST + 2), make_job(FIRST + 4)]))
    store.close()
    place = ("number", "handle", "function_name", "unique_key", "workload", "priority", "epoch")
    index = (*place, "reducer", "submitted", "attempts").index(column)
    row = [FIRST + 3, *GOOD[1:]]
    row[index] = value
    engine.write_row(row)
    for _ in range(2):
        # Once more, because it stays where it is until a person has seen to it.
        assert store.open() > 1
        assert numbers(store) == [FIRST + 2, FIRST + 4]
        assert damaged(store) == [reason]
        store.close()


@pytest.mark.parametrize(("column", "value"), [(0, 0), (0, -5), (6, -1), (9, -1)])
def test_numbers_out_of_range_are_set_aside(
    engine: Engine, store: QueueStore, column: int, value: float
) -> None:
    out_of_range(engine, store, column, value)


# MariaDB has no infinity.
@pytest.mark.parametrize(
    "engine", [name for name in ENGINES if name not in ("mariadb", "galera")], indirect=True
)
def test_times_out_of_range_are_set_aside(engine: Engine, store: QueueStore) -> None:
    out_of_range(engine, store, 8, float("inf"))


def out_of_range(engine: Engine, store: QueueStore, column: int, value: float) -> None:
    store.commit(Batch([make_job(FIRST + 2)]))
    row = [*GOOD]
    row[column] = value
    engine.write_row(row)
    assert numbers(store) == [FIRST + 2]
    assert "one of these is out of range" in damaged(store)[0]


def test_row_of_a_number_far_ahead_does_not_use_up_the_generations(
    engine: Engine, store: QueueStore
) -> None:
    engine.write_row([2**63 - 1, *GOOD[1:]])
    store.close()
    generation = store.open()
    assert generation == 2
    store.commit(Batch([make_job(generation << 40 | 1, handle=b"H:other")]))
    assert numbers(store) == [generation << 40 | 1, 2**63 - 1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_store_is_like_a_dictionary(engine: Engine, data: st.DataObject) -> None:
    """Whatever is committed in whatever order, a restart finds what a dictionary would have."""
    with closing(engine.store()) as store:
        generation = store.open()
        store.commit(Batch(dones=numbers(store)))
        kept = random_commits(data, store, generation, apart=engine.shared)
    with closing(engine.store()) as again:
        again.open()
        assert rows(again.replay()) == [kept[n] for n in sorted(kept)]


def random_commits(
    data: st.DataObject, store: QueueStore, generation: int, *, apart: bool
) -> dict[int, tuple[object, ...]]:
    """
    Commit at random, and return the rows that the store has to have afterwards.

    ``apart`` gives no two jobs the same unique key.
    """
    kept: dict[int, tuple[object, ...]] = {}
    number = st.integers(1, 12).map(lambda n: generation << 40 | n)
    name = st.binary(max_size=6)
    for _ in range(data.draw(st.integers(1, 5))):
        adds = [
            make_job(
                n,
                function=data.draw(name) or b"f",
                unique=(b"%d " % n if apart else b"") + data.draw(name),
            )
            for n in data.draw(st.lists(number, unique=True, max_size=12))
        ]
        updates = data.draw(
            st.lists(st.tuples(number, st.integers(0, 9), st.integers(0, 2**40)), max_size=4)
        )
        dones = data.draw(st.lists(number, max_size=12))
        assert not store.commit(Batch(adds, updates, dones))
        for job in adds:
            kept.setdefault(job.number, row_of(job))
        for n, attempts, epoch in updates:
            if n in kept:
                kept[n] = (*kept[n][:6], epoch, *kept[n][7:-1], attempts)
        for n in dones:
            kept.pop(n, None)
    return kept
