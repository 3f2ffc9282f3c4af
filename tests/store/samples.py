"""Jobs for the stores' tests, and what a store has of them."""

from __future__ import annotations

from collections.abc import Iterable

from geartrain.broker.job import NORMAL, Job
from geartrain.store.queue_store import Damaged, QueueStore
from geartrain.store.rows import row_of

# The first of a generation's numbers.
FIRST = 1 << 40


def make_job(
    number: int,
    *,
    handle: bytes = b"",
    function: bytes = b"resize",
    unique: bytes = b"",
    workload: bytes = b"a.jpg",
    priority: int = NORMAL,
    epoch: int = 0,
    reducer: bytes = b"",
    submitted: float = 1_700_000_000.25,
    attempts: int = 0,
) -> Job:
    return Job(
        number,
        handle or b"H:test:1:%d" % number,
        function,
        unique,
        workload,
        priority,
        epoch,
        reducer,
        submitted,
        attempts,
    )


def make_jobs(count: int, first: int = FIRST + 1, **values: bytes) -> list[Job]:
    return [make_job(first + n, **values) for n in range(count)]  # type: ignore[arg-type]


def rows(jobs: Iterable[Job | Damaged]) -> list[tuple[object, ...]]:
    """Return the columns of the jobs; a damaged row fails the test."""
    found = list(jobs)
    assert [damaged.reason for damaged in found if isinstance(damaged, Damaged)] == []
    return [row_of(job) for job in found if isinstance(job, Job)]


def numbers(store: QueueStore) -> list[int]:
    """Return the numbers of the jobs that a store has."""
    return [job.number for job in store.replay() if isinstance(job, Job)]


def damaged(store: QueueStore) -> list[str]:
    """Return what is wrong with the rows that a store has set aside."""
    return [job.reason for job in store.replay() if isinstance(job, Damaged)]


# A row of a job, to be spoilt.
GOOD_ROW: tuple[object, ...] = row_of(make_job(FIRST + 1))
