"""
Jobs to rows of a database that several servers share.

There a job has a column more, what it coalesces by; a commit removes before it adds; and
statements may not be larger than the database takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from geartrain.broker.job import Job
from geartrain.errors import StoreDamaged
from geartrain.store.batch import TOO_LARGE, Batch, Coalesced, Joined, Result
from geartrain.store.mapper import GENERATION_BITS, LARGE, SIZES, SqlMapper, Step, padded
from geartrain.store.rows import letter_row_of, read_row, row_of
from geartrain.store.shared_rows import coalesce_key
from geartrain.store.shared_statements import ServerStatements
from geartrain.store.statements import Statements

__all__ = ["Page", "SharedMapper", "bounds"]

# What a statement takes beside its names, workloads and results, in bytes: of each row, and all;
# the reason of a dead letter is part of it.
ROW_ROOM: Final = 512
ROOM: Final = 16384
# A job that another's ending let in meanwhile is added again, so many times.
TRIES: Final = 4


class Reads(Protocol):
    """What is asked of a transaction."""

    def run(self, statements: Sequence[tuple[str, Sequence[object]]], /) -> list[int]:
        """Run statements; return how many rows each of them changed."""

    def read(self, statement: str, parameters: Sequence[object], /) -> list[Sequence[Any]]:
        """Return the rows of a query."""


class SharedMapper(SqlMapper):
    """
    Maps jobs to rows.

    Args:
        statements: What was compiled for the database.
        about_servers: The statements about servers and what is between them.
        escaped_size: Returns how many bytes a parameter takes in a statement.
        room: Bytes that a statement may have; 0 for any number.

    """

    def __init__(
        self,
        statements: Statements,
        about_servers: ServerStatements,
        escaped_size: Callable[[bytes], int],
        room: int,
    ) -> None:
        super().__init__(statements)
        self.room = room
        self._escaped_size = escaped_size
        marks = {size: ", ".join([statements.mark] * size) for size in SIZES}
        keys = {size: ", ".join(["%s"] * size) for size in SIZES}
        self._note_joined = {
            size: about_servers.note_joined.format(numbers=marks[size]) for size in SIZES
        }
        self._take_out = {
            size: about_servers.take_out.format(numbers=marks[size]) for size in SIZES
        }
        self._left_in = {size: about_servers.left_in.format(numbers=marks[size]) for size in SIZES}
        self._present = {
            size: about_servers.present.format(numbers=marks[size], keys=keys[size])
            for size in SIZES
        }

    # Writing.

    def steps(self, batch: Batch) -> list[Step]:
        """Return what a commit has to run: removals before adds, so that keys are free."""
        gone = batch.dones + [letter.job.number for letter in batch.dead]
        adds = batch.adds
        if gone and adds:
            ended = set(gone)
            adds = [job for job in adds if job.number not in ended]
        bury = self.statements.bury
        steps: list[Step] = [(bury, [*letter_row_of(letter)], ()) for letter in batch.dead]
        if batch.results:
            steps += self.keep_steps([self.fitting(result) for result in batch.results])
        for numbers in padded(batch.refused):
            steps.append((self._take_out[len(numbers)], numbers, ()))
        if gone:
            # A run of numbers would lock what is between them, where others add.
            steps += self.forget_each(gone)
        steps += self.add_steps(adds)
        for number, attempts, epoch in batch.updates:
            steps.append((self.statements.keep_attempts, [epoch, attempts, number], ()))
        return steps

    def fitting(self, result: Result) -> Result:
        """Return a result that the database can keep, without its data if need be."""
        if not self.room or self._escaped_size(result.data) < self.room - ROOM:
            return result
        return Result(
            result.handle,
            result.number,
            result.function,
            TOO_LARGE,
            b"",
            result.ended,
            result.expires,
        )

    def add_steps(self, jobs: Sequence[Job]) -> list[Step]:
        """Return the statements that add jobs, in one order of keys in all servers."""
        keyed = [(coalesce_key(job), job) for job in jobs]
        if any(key for key, _ in keyed):
            # Two servers that add the same keys in different orders would wait for each other.
            keyed.sort(key=lambda one: one[0] or b"")
        steps: list[Step] = []
        small: list[tuple[bytes | None, Job]] = []
        room = 0
        for key, job in keyed:
            if len(job.workload) > LARGE:
                steps.append(self.add_step([(key, job)]))
                continue
            size = self.size(job) if self.room else 0
            if room + size > self.room and small:
                steps += self.add_many(small)
                small, room = [], 0
            small.append((key, job))
            room += size
        return steps + self.add_many(small)

    def add_many(self, keyed: Sequence[tuple[bytes | None, Job]]) -> list[Step]:
        """Return the statements that add small jobs."""
        steps: list[Step] = []
        start = 0
        for size in SIZES:
            while start + size <= len(keyed):
                steps.append(self.add_step(keyed[start : start + size]))
                start += size
        return steps

    def add_step(self, keyed: Sequence[tuple[bytes | None, Job]]) -> Step:
        """Return the statement that adds so many jobs."""
        parameters: list[object] = []
        for key, job in keyed:
            parameters += row_of(job)
            # NULL, in a parameter that is always of the same type.
            parameters.append(key or b"")
        return (self._add[len(keyed)], parameters, [job for _, job in keyed])

    def size(self, job: Job) -> int:
        """Return how many bytes a job takes in a statement."""
        size = self._escaped_size
        names = size(job.function) + size(job.unique) + size(job.reducer)
        return names + size(job.workload) + ROW_ROOM

    def fits(self, job: Job) -> bool:
        """Return whether the database takes a statement that adds the job."""
        return not self.room or self.size(job) < self.room - ROOM

    # What became of adds.

    def settle(self, link: Reads, steps: Sequence[Step], counts: Sequence[int]) -> list[Coalesced]:
        """
        Return which jobs were not added because another has their key.

        Raises StoreDamaged when a number is taken by another job.
        """
        coalesced: list[Coalesced] = []
        for (_, _, jobs), count in zip(steps, counts, strict=True):
            if jobs and count != len(jobs):
                coalesced += self.settle_some(link, jobs)
        return coalesced

    def settle_some(self, link: Reads, jobs: Sequence[Job]) -> list[Coalesced]:
        """Find out what became of the jobs of one statement; add again what nothing hinders."""
        coalesced: list[Coalesced] = []
        for _ in range(TRIES):
            numbers, keys = self.present(link, jobs)
            missing: list[Job] = []
            met: list[tuple[Job, int, bytes]] = []
            for job in jobs:
                if job.number in numbers:
                    self.check_same(job, numbers[job.number])
                elif coalesce_key(job) in keys:
                    met.append((job, *keys[coalesce_key(job)]))
                else:
                    missing.append(job)
            if self.note_joined(link, {number for _, number, _ in met}):
                coalesced += [Coalesced(job.number, handle) for job, _, handle in met]
            else:
                missing += [job for job, _, _ in met]
            if not missing:
                return coalesced
            # The other was finished between two statements.
            steps = self.add_steps(missing)
            counts = link.run([step[:2] for step in steps])
            jobs = missing
            if sum(counts) == len(missing):
                return coalesced
        raise StoreDamaged("jobs are neither added nor there: find out what else writes there")

    def note_joined(self, link: Reads, numbers: set[int]) -> bool:
        """Note that jobs were joined, so that they stay; return whether all are still there."""
        statements = [(self._note_joined[len(some)], some) for some in padded(sorted(numbers))]
        return not statements or sum(link.run(statements)) == len(numbers)

    def left_in(self, link: Reads, refused: Sequence[int]) -> list[Coalesced]:
        """Return the jobs that were not taken out, because others have joined them."""
        found: dict[int, Job] = {}
        for numbers in padded(refused):
            for row in link.read(self._left_in[len(numbers)], numbers):
                job = read_row(row)
                if isinstance(job, Job):
                    found[job.number] = job
        return [Joined(job) for job in found.values()]

    def present(
        self, link: Reads, jobs: Sequence[Job]
    ) -> tuple[dict[int, bytes], dict[bytes | None, tuple[int, bytes]]]:
        """Return what is there: handles by number, numbers and handles by key."""
        numbers: dict[int, bytes] = {}
        keys: dict[bytes | None, tuple[int, bytes]] = {}
        for start in range(0, len(jobs), SIZES[0]):
            some = jobs[start : start + SIZES[0]]
            size = next(size for size in reversed(SIZES) if size >= len(some))
            padded = [*some, *[some[-1]] * (size - len(some))]
            parameters: list[Any] = [job.number for job in padded]
            parameters += [coalesce_key(job) or b"" for job in padded]
            for number, handle, key in link.read(self._present[size], parameters):
                numbers[number] = handle
                if key is not None:
                    keys[key] = (number, handle)
        return numbers, keys

    def check_same(self, job: Job, handle: bytes) -> None:
        """Raise StoreDamaged unless a number is the job's own."""
        if handle != job.handle:
            raise StoreDamaged(
                f"number {job.number} is taken in the store, so the job "
                f"{job.handle.decode('ascii', 'backslashreplace')} can't be kept: "
                "find out what else writes to the store"
            )


class Page:
    """How many rows to read at once: many small ones, few large ones."""

    LEAST: Final = 8
    MOST: Final = 1024
    # Bytes that a page had better not have much more of.
    SIZE: Final = 4 * 1024 * 1024

    def __init__(self) -> None:
        self.rows = self.LEAST

    def note(self, rows: Sequence[Sequence[Any]]) -> None:
        """Choose the next page's size by what one had."""
        size = sum(len(row[4] or b"") for row in rows)
        if size > self.SIZE:
            self.rows = max(1, self.rows // 8)
        elif size < self.SIZE // 8:
            self.rows = min(self.MOST, self.rows * 4)


def bounds(generation: int) -> tuple[int, int]:
    """Return the first number of a generation, and its last."""
    return generation << GENERATION_BITS, ((generation + 1) << GENERATION_BITS) - 1
