"""
Takes the jobs of a queue of gearmand's over into a store, each of them once.

With every job a mark is committed, made from the row it was; a row whose mark
is there is passed over. So an import that was killed anywhere is simply started
again, also when the store's server has run some of the jobs meanwhile. Marks
are kept where results of jobs are, under names that no job has.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any, Final

from geartrain.broker.job import Job
from geartrain.store.batch import COMPLETED, Batch, Result
from geartrain.store.gearmand_source import GearmandSource
from geartrain.store.gearmand_table import job_of, reason
from geartrain.store.mapper import GENERATION_BITS
from geartrain.store.mark import check_not_moving
from geartrain.store.queue_store import Damaged, QueueStore

__all__ = ["Report", "import_and_put_away", "import_jobs", "look_through"]

# Jobs and bytes committed at once.
PAGE: Final = 500
PAGE_BYTES: Final = 4 * 1024 * 1024
# For how long a row is known to have been imported, in seconds.
MARKED: Final = 365 * 86_400.0


@dataclass
class Report:
    """
    What became of the rows.

    Attributes:
        found: How many there were.
        imported: How many became jobs.
        already: How many had been imported before.
        joined: How many joined a job of the same function and unique key in the store.
        damaged: The rows that can't be jobs; they stay where they are.

    """

    found: int = 0
    imported: int = 0
    already: int = 0
    joined: int = 0
    damaged: list[Damaged] = field(default_factory=list)


def look_through(source: GearmandSource) -> Report:
    """Count what an import would take over into an empty store, and write nothing."""
    report = Report()
    for _ in readable(source, report):
        report.imported += 1
    return report


def import_jobs(
    source: GearmandSource,
    store: QueueStore,
    *,
    generation: int,
    handle_prefix: bytes,
    now: float,
) -> Report:
    """
    Import every row that can be a job and was not imported before.

    Args:
        source: Read from its beginning.
        store: Open, and used by nobody else.
        generation: What ``open`` returned.
        handle_prefix: Handles are ``prefix:0number``; the broker's have no zero there.
        now: When the jobs count as submitted, in seconds since 1970; gearmand doesn't say.

    """
    check_not_moving(store)
    report = Report()
    jobs: list[Job] = []
    marks: list[Result] = []
    size = count = 0
    for values, mark in readable(source, report):
        if store.result(mark) is not None:
            report.already += 1
            continue
        count += 1
        number = generation << GENERATION_BITS | count
        job = job_of(values, number, b"%b:0%d" % (handle_prefix, number), now)
        jobs.append(job)
        marks.append(Result(mark, number, job.function, COMPLETED, b"", now, now + MARKED))
        size += len(job.workload)
        if len(jobs) == PAGE or size > PAGE_BYTES:
            keep(store, jobs, marks, report)
            jobs, marks, size = [], [], 0
    keep(store, jobs, marks, report)
    return report


def import_and_put_away(
    source: GearmandSource, store: QueueStore, handle_prefix: bytes
) -> tuple[Report, str]:
    """Import a queue into a store that is not open, rename it, and return what it is called now."""
    generation = store.open()
    try:
        report = import_jobs(
            source, store, generation=generation, handle_prefix=handle_prefix, now=time()
        )
    finally:
        store.close()
    return report, source.put_away()


def readable(source: GearmandSource, report: Report) -> Iterator[tuple[Sequence[Any], bytes]]:
    """Yield the rows that can be jobs, each with its mark; report those that can't."""
    twins: Counter[bytes] = Counter()
    for where, values in source.rows():
        report.found += 1
        damage = reason(values)
        if damage:
            report.damaged.append(Damaged(where, damage))
            continue
        digest = digest_of(values)
        twins[digest] += 1
        yield values, b"import:%b.%d" % (digest, twins[digest])


def digest_of(values: Sequence[Any]) -> bytes:
    """Return what tells a row from every other one, in hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest().encode()


def keep(store: QueueStore, jobs: list[Job], marks: list[Result], report: Report) -> None:
    """Commit jobs and their marks."""
    if jobs:
        joined = store.commit(Batch(jobs, results=marks))
        report.joined += len(joined)
        report.imported += len(jobs) - len(joined)
