"""
Jobs to rows and back, the same for every relational database.

A mapper is given a driver's cursor and sends it the statements that were
compiled for its database. It opens, begins and commits nothing: what belongs to
one transaction is the store's to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from geartrain.broker.job import Job
from geartrain.errors import StoreDamaged
from geartrain.store.batch import Batch, DeadLetter, Result
from geartrain.store.queue_store import Damaged
from geartrain.store.rows import (
    letter_row_of,
    read_letter,
    read_result,
    read_row,
    result_row_of,
    row_of,
)
from geartrain.store.statements import Statements

__all__ = ["GENERATION_BITS", "Cursor", "SqlMapper", "Step"]

# A job's number is its generation and, in these many bits, its number within it.
GENERATION_BITS: Final = 40
# So that a number fits 63 bits.
MAX_GENERATION: Final = 2**23 - 1
# A row whose number is further ahead than this many restarts was written by nobody's server;
# it may not use up the generations that are left.
LEAP: Final = 2**20
# Rows in one statement. A driver gives the interpreter away with every statement, and has to
# wait for it while the event loop is busy: 250 rows cost 17 ms one by one and 4 ms like this.
# Few sizes, because a statement of a new size has to be parsed, which takes longer than to run.
SIZES: Final = (512, 64, 8, 1)
# Larger workloads go one by one: a driver copies all parameters of a statement first.
LARGE: Final = 64 * 1024
# Rows read at once.
PAGE: Final = 1000

# A statement, its parameters, and the jobs it adds, if any.
Step = tuple[str, list[object], Sequence[Job]]


class Cursor(Protocol):
    """What is asked of a driver's cursor."""

    @property
    def rowcount(self) -> int:
        """Rows that the last statement changed."""

    def execute(self, statement: str, parameters: Sequence[object] = ..., /) -> object:
        """Run one statement."""

    def fetchmany(self, size: int = ..., /) -> Sequence[Sequence[object]]:
        """Return the next rows, none at the end."""

    def fetchall(self) -> Sequence[Sequence[object]]:
        """Return all rows that are left."""


def padded(numbers: Sequence[int]) -> Iterator[list[object]]:
    """Yield numbers in lists of the sizes that there are statements for; the last one repeats."""
    for start in range(0, len(numbers), SIZES[0]):
        some: list[object] = [*numbers[start : start + SIZES[0]]]
        size = next(size for size in reversed(SIZES) if size >= len(some))
        yield some + some[-1:] * (size - len(some))


class SqlMapper:
    """
    Maps jobs to rows of one database.

    Args:
        statements: What was compiled for it.

    """

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self._add = {
            size: statements.add + ", ".join([statements.add_row] * size) + statements.add_end
            for size in SIZES
        }
        self._keep = {
            size: statements.keep + ", ".join([statements.keep_row] * size) + statements.keep_end
            for size in SIZES
        }
        self._forget = {
            size: statements.forget + ", ".join([statements.mark] * size) + ")" for size in SIZES
        }

    # Writing.

    def steps(self, batch: Batch) -> list[Step]:
        """Return what a commit has to run, in this order and as one transaction."""
        steps = self.add_steps(batch.adds)
        for number, attempts, epoch in batch.updates:
            steps.append((self.statements.keep_attempts, [epoch, attempts, number], ()))
        dones = batch.dones
        if batch.dead:
            for letter in batch.dead:
                steps.append((self.statements.bury, [*letter_row_of(letter)], ()))
            dones = dones + [letter.job.number for letter in batch.dead]
        if batch.results:
            steps += self.keep_steps(batch.results)
        if dones:
            steps += self.forget_steps(dones)
        return steps

    def add_steps(self, jobs: Sequence[Job]) -> list[Step]:
        """Return the statements that add jobs."""
        small = [job for job in jobs if len(job.workload) <= LARGE]
        steps: list[Step] = []
        if len(small) < len(jobs):
            large = [job for job in jobs if len(job.workload) > LARGE]
            steps += [(self._add[1], [*row_of(job)], (job,)) for job in large]
        start = 0
        for size in SIZES:
            while start + size <= len(small):
                some = small[start : start + size]
                parameters: list[object] = []
                for job in some:
                    parameters += row_of(job)
                steps.append((self._add[size], parameters, some))
                start += size
        return steps

    def keep_steps(self, results: Sequence[Result]) -> list[Step]:
        """Return the statements that keep results, of each handle the last."""
        steps: list[Step] = []
        last = {result.handle: result for result in results}
        small = [result for result in last.values() if len(result.data) <= LARGE]
        large = [result for result in last.values() if len(result.data) > LARGE]
        steps += [(self._keep[1], [*result_row_of(result)], ()) for result in large]
        start = 0
        for size in SIZES:
            while start + size <= len(small):
                parameters: list[object] = []
                for result in small[start : start + size]:
                    parameters += result_row_of(result)
                steps.append((self._keep[size], parameters, ()))
                start += size
        return steps

    def forget_steps(self, numbers: Sequence[int]) -> list[Step]:
        """
        Return the statements that remove jobs; a number named twice does no harm.

        One worker ends jobs in the order they came in, and a run of numbers takes half the time.
        A run and what is left beside it would be two statements, which cost more than they spare.
        """
        first, last = min(numbers), max(numbers)
        if last - first < len(numbers) == len(set(numbers)):
            return [(self.statements.forget_run, [first, last], ())]
        return self.forget_each(numbers)

    def forget_each(self, numbers: Sequence[int]) -> list[Step]:
        """Return the statements that remove jobs one by one."""
        return [(self._forget[len(some)], some, ()) for some in padded(numbers)]

    def run(self, cursor: Cursor, steps: Sequence[Step]) -> None:
        """
        Run the steps of one commit.

        Raises StoreDamaged when the number of a job that is to be added is
        taken by another: it would not be stored, and may not be acknowledged.
        """
        for statement, parameters, jobs in steps:
            cursor.execute(statement, parameters)
            if jobs and cursor.rowcount != len(jobs):
                for job in jobs:
                    self.check_present(cursor, job)

    def check_present(self, cursor: Cursor, job: Job) -> None:
        """Raise StoreDamaged unless the store has this job under its number."""
        cursor.execute(self.statements.handle, (job.number,))
        if [row[0] for row in cursor.fetchall()] != [job.handle]:
            raise StoreDamaged(
                f"number {job.number} is taken in the store, so the job "
                f"{job.handle.decode('ascii', 'backslashreplace')} can't be kept: "
                "find out what else writes to the store"
            )

    # Reading.

    def replay(self, cursor: Cursor) -> Iterator[Job | Damaged]:
        """Yield every job in the order of numbers, and every row that is none."""
        handles: set[bytes] = set()
        cursor.execute(self.statements.replay)
        while rows := cursor.fetchmany(PAGE):
            for row in rows:
                job = read_row(row)
                if isinstance(job, Job):
                    # A handle has to name one job; a copied row would share it.
                    if job.handle in handles:
                        job = Damaged(f"number {job.number}", f"handle {job.handle!r} is taken")
                    else:
                        handles.add(job.handle)
                yield job

    # What was kept of jobs that ended.

    def result(self, cursor: Cursor, handle: bytes) -> Result | None:
        """Return the result of a handle, None where there is none that can be read."""
        cursor.execute(self.statements.result, (handle,))
        for row in cursor.fetchall():
            result = read_result(row)
            if isinstance(result, Result):
                return result
        return None

    def results(self, cursor: Cursor, after: bytes, limit: int) -> list[Result]:
        """Return results that can be read, of handles above one, so many at most."""
        cursor.execute(self.statements.results, (after, limit))
        found = [read_result(row) for row in cursor.fetchall()]
        return [result for result in found if isinstance(result, Result)]

    def letters(self, cursor: Cursor, after: int, limit: int) -> list[DeadLetter]:
        """Return dead letters that can be read, of numbers above one, so many at most."""
        cursor.execute(self.statements.letters, (after, limit))
        return readable(cursor.fetchall())

    def letter(self, cursor: Cursor, handle: bytes) -> DeadLetter | None:
        """Return the dead letter of a handle, None where there is none that can be read."""
        cursor.execute(self.statements.letter, (handle,))
        return next(iter(readable(cursor.fetchall())), None)

    def revive(self, cursor: Cursor, handle: bytes) -> Job | None:
        """Make a dead letter a job again; the caller commits."""
        letter = self.letter(cursor, handle)
        if letter is None:
            return None
        job = letter.job
        job.attempts = job.epoch = 0
        self.run(cursor, self.add_steps([job]))
        cursor.execute(self.statements.unbury, (job.number,))
        return job

    def remove_letter(self, cursor: Cursor, handle: bytes) -> bool:
        """Forget the dead letter of a handle; return whether there was one."""
        letter = self.letter(cursor, handle)
        if letter is None:
            return False
        cursor.execute(self.statements.unbury, (letter.job.number,))
        return True

    # Generations.

    def start_generation(self, cursor: Cursor, started: int) -> int:
        """
        Return the next generation, and write down that it was started.

        Args:
            cursor: Within a transaction that nobody else can write in.
            started: One that is known to have been started, from elsewhere; 0 for none.

        """
        generation = max(started, self.last_generation(cursor)) + 1
        limit = min((generation + LEAP) << GENERATION_BITS, 2**63 - 1)
        cursor.execute(self.statements.highest, (limit,))
        for (highest,) in cursor.fetchall():
            if isinstance(highest, int):
                generation = max(generation, (highest >> GENERATION_BITS) + 1)
        if generation > MAX_GENERATION:
            raise StoreDamaged(
                f"the store has used up its {MAX_GENERATION} generations: "
                "the count in geartrain_generation is wrong"
            )
        cursor.execute(self.statements.forget_generation)
        cursor.execute(self.statements.keep_generation, (generation,))
        return generation

    def last_generation(self, cursor: Cursor) -> int:
        """Return the last generation that the store knows of, 0 for none."""
        cursor.execute(self.statements.generation)
        counts = [row[0] for row in cursor.fetchall()]
        return max(
            (n for n in counts if isinstance(n, int) and 0 <= n <= MAX_GENERATION), default=0
        )


def readable(rows: Sequence[Sequence[object]]) -> list[DeadLetter]:
    """Return the dead letters among rows; what can't be read stays where it is."""
    letters = [read_letter(row) for row in rows]
    return [letter for letter in letters if isinstance(letter, DeadLetter)]
