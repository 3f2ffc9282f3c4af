"""
Carries a queue from one store to another: to move it, to keep a copy, to bring one back.

What is carried keeps its number, so carrying it twice changes nothing; a store
that is half emptied or half filled has a mark, with which no server starts. So
a move may be killed at any moment and is simply started again. The mark is kept
where results of jobs are, under a name that no job has.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from shutil import copyfile
from time import monotonic, sleep
from typing import Any, Final

from geartrain.broker.job import Job
from geartrain.errors import UsageError
from geartrain.store.batch import Batch, DeadLetter, Result
from geartrain.store.mark import FOREVER, MARK, Mark, check_not_moving, mark, read_mark, unmark
from geartrain.store.queue_store import Damaged, QueueStore
from geartrain.store.sqlite import SqliteStore

__all__ = ["Carried", "back_up", "count", "move", "restore"]

# How many are committed at once, and how many bytes.
PAGE: Final = 500
PAGE_BYTES: Final = 4 * 1024 * 1024
# Seconds that servers which share a store get to be found dead.
PATIENCE: Final = 5.0


@dataclass
class Carried:
    """
    What was carried.

    Attributes:
        jobs: How many jobs.
        dead_letters: How many dead letters.
        results: How many results, marks of imports among them.
        joined: How many of the jobs joined one of the same function and unique key.
        schedules: How many entries of the schedule.
        fires: How many of their fires, past and to come.
        alerts: How many conditions that somebody is or was told of.
        damaged: What can't be read; it stays where it is.

    """

    jobs: int = 0
    dead_letters: int = 0
    results: int = 0
    joined: int = 0
    schedules: int = 0
    fires: int = 0
    alerts: int = 0
    damaged: list[Damaged] = field(default_factory=list)


# The three ways.


def move(source: QueueStore, target: QueueStore) -> Carried:
    """
    Carry everything over and empty the source; neither is open.

    Where an earlier move of the same two was cut off, go on with it. Raises UsageError
    where a server uses one of them, the target is not empty, or another move of one of
    them is not finished.
    """
    check_there(source)
    if source.name == target.name:
        raise UsageError(f"{source.name} is both ends of the move: name two stores")
    with alone(source), alone(target):
        begun = marked(source, "source", target.name)
        filled = marked(target, "target", source.name)
        if begun is None and filled is None and is_empty(source):
            # So it is, too, when an earlier move was killed at its very end.
            return Carried()
        if begun is None or not begun.copied:
            if filled is None:
                check_empty(target)
                beside().check_takes_schedules(source, target)
                mark(target, Mark("target", source.name))
            mark(source, Mark("source", target.name))
            carried = carry(source, target)
            mark(source, Mark("source", target.name, copied=True))
        else:
            carried = count_open(source)
        unmark(target)
        empty(source)
        return carried


def check_there(source: QueueStore) -> None:
    """
    Refuse a source that is a file and does not exist.

    Opening it would create it, and a mistyped name would look like a queue without jobs.
    """
    if isinstance(source, SqliteStore) and not os.path.exists(source.path):
        raise UsageError(f"there is no queue in {source.path}: check the name of the file")


def back_up(source: QueueStore, path: str) -> Carried:
    """Write everything into a new file of SQLite's, which appears when it is whole."""
    if os.path.exists(path):
        raise UsageError(f"{path} exists: choose another file for the backup")
    check_there(source)
    partial = f"{path}.partial"
    remove_files(partial)
    target = SqliteStore(partial, handle_prefix=b"H:backup")
    try:
        with alone(source):
            check_not_moving(source)
            target.open()
            carried = carry(source, target)
        target.close()
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.rename(partial, path)
        sync_directory(path)
    finally:
        target.close()
        remove_files(partial)
    return carried


def restore(path: str, target: QueueStore) -> Carried:
    """Fill an empty store from a backup, which stays as it is; goes on where it was cut off."""
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}")
    name = f"sqlite:///{os.path.realpath(path)}"
    with tempfile.TemporaryDirectory(prefix="geartrain-restore-") as directory:
        # Opening a store writes to it.
        copy = os.path.join(directory, "backup.db")
        copyfile(path, copy)
        source = SqliteStore(copy, handle_prefix=b"H:backup")
        with alone(source), alone(target):
            if marked(target, "target", name) is None:
                check_empty(target)
                beside().check_takes_schedules(source, target)
                mark(target, Mark("target", name))
            carried = carry(source, target)
            unmark(target)
            return carried


def count(source: QueueStore) -> Carried:
    """Count what there is to be carried, and change nothing of it; the store is not open."""
    check_there(source)
    with alone(source):
        return count_open(source)


# Marks.


def marked(store: QueueStore, role: str, other: str) -> Mark | None:
    """Return the mark of this very move; raises UsageError where there is one of another."""
    found = read_mark(store)
    if found is not None and (found.role, found.other) != (role, other):
        check_not_moving(store)
    return found


# Stores.


@contextmanager
def alone(store: QueueStore) -> Iterator[QueueStore]:
    """Open a store that no server uses, and close it."""
    if not store.durable:
        raise UsageError(f"{store.name} keeps no jobs: name a store that does")
    generation = store.open()
    try:
        wait_for_others(store, generation)
        beside().check_no_scheduler(store)
        yield store
    finally:
        store.close()


def wait_for_others(store: Any, generation: int) -> None:
    """Take over what dead servers held; raises UsageError where another one lives."""
    if not hasattr(store, "members"):
        return
    end = monotonic() + PATIENCE
    while True:
        store.adopt()
        others = [one for one in store.members() if one.generation != generation]
        if not others:
            return
        if monotonic() > end:
            names = ", ".join(f"{one.name} at {one.address}" for one in others)
            raise UsageError(f"{store.name} is in use by {names}: stop these servers first")
        sleep(0.2)


def is_empty(store: QueueStore) -> bool:
    """Return whether a store holds neither jobs nor dead letters, nor entries of a schedule."""
    if next(iter(store.replay()), None) is not None or store.dead_letters(0, 1):
        return False
    return not beside().holds_schedules(store)


def check_empty(store: QueueStore) -> None:
    """Raise UsageError where a store holds anything."""
    if not is_empty(store):
        raise UsageError(f"{store.name} is not empty: name one that is")


def count_open(store: QueueStore) -> Carried:
    """Count what an open store holds."""
    carried = Carried()
    for found in store.replay():
        if isinstance(found, Job):
            carried.jobs += 1
        else:
            carried.damaged.append(found)
    carried.dead_letters = sum(len(page) for page in letter_pages(store))
    carried.results = sum(len(page) for page in result_pages(store))
    enter(carried, beside().count_schedules(store))
    return carried


def carry(source: QueueStore, target: QueueStore) -> Carried:
    """Copy everything from one open store to another."""
    carried = Carried()
    for jobs in job_pages(source, carried):
        joined = target.commit(Batch(jobs))
        own = {job.number: job.handle for job in jobs}
        carried.joined += sum(own[one.number] != one.handle for one in joined)
        carried.jobs += len(jobs)
    for letters in letter_pages(source):
        target.commit(Batch(dead=letters))
        carried.dead_letters += len(letters)
    for results in result_pages(source):
        target.commit(Batch(results=results))
        carried.results += len(results)
    enter(carried, beside().carry_schedules(source, target))
    return carried


def beside() -> Any:
    """Return the module about schedules, which takes its time to be imported."""
    from geartrain.store import schedule_moving

    return schedule_moving


def enter(carried: Carried, counts: dict[str, int]) -> None:
    """Enter how much there is of the schedule."""
    carried.schedules = counts.get("schedules", 0)
    carried.fires = counts.get("fires", 0)
    carried.alerts = counts.get("alerts", 0)


def empty(source: QueueStore) -> None:
    """Remove everything that can be read, and the mark last."""
    numbers = [job.number for job in source.replay() if isinstance(job, Job)]
    for start in range(0, len(numbers), PAGE):
        source.commit(Batch(dones=numbers[start : start + PAGE]))
    while letters := source.dead_letters(0, PAGE):
        for letter in letters:
            source.remove_dead_letter(letter.job.handle)
    source.forget_results(FOREVER - 1)
    beside().empty_schedules(source)
    unmark(source)


def job_pages(source: QueueStore, carried: Carried) -> Iterator[list[Job]]:
    """Yield jobs in lots to be committed; enter what can't be read."""
    page: list[Job] = []
    size = 0
    for found in source.replay():
        if isinstance(found, Damaged):
            carried.damaged.append(found)
            continue
        if page and (len(page) == PAGE or size + len(found.workload) > PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(found)
        size += len(found.workload)
    if page:
        yield page


def letter_pages(source: QueueStore) -> Iterator[Sequence[DeadLetter]]:
    """Yield dead letters in lots to be committed."""
    after = 0
    while letters := source.dead_letters(after, PAGE):
        yield letters
        after = letters[-1].job.number


def result_pages(source: QueueStore) -> Iterator[Sequence[Result]]:
    """Yield results in lots to be committed, without the mark."""
    after = b""
    while results := source.results(after, PAGE):
        after = results[-1].handle
        some = [one for one in results if one.handle != MARK]
        if some:
            yield some


# Files.


def remove_files(path: str) -> None:
    """Remove a file of SQLite's and what stands beside it."""
    for end in ("", "-wal", "-shm", ".lock"):
        with suppress(FileNotFoundError):
            os.unlink(path + end)


def sync_directory(path: str) -> None:
    """Have a file's name on disk."""
    descriptor = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
