"""
A queue store that takes its time, fails, hangs, fills up, and keeps what it promised.

It follows the rules of ``QueueStore``, in two steps because time passes between
them: a commit is begun, and later it has worked, or not, or nobody was there any
more to be told.
"""

from __future__ import annotations

from geartrain.broker.job import Job
from geartrain.store.batch import Batch
from geartrain.store.rows import row_of
from sim.world import World

# How a commit goes.
WORKS = "works"
FAILS = "fails"
# It is on disk, although the writer was told that it is not.
FAILS_AFTER_ALL = "fails after all"
# One of its jobs can't be stored.
IS_REFUSED = "is refused"

Row = tuple[object, ...]


class Commit:
    """
    One transaction under way.

    Attributes:
        lasts: Seconds until the writer hears of it.
        fate: WORKS, FAILS, FAILS_AFTER_ALL or IS_REFUSED.
        refused: Numbers of jobs that it is refused for, where the disk can name them.

    """

    def __init__(self, batch: Batch, lasts: float, fate: str) -> None:
        self.adds = {job.number: row_of(job) for job in batch.adds}
        self.updates = list(batch.updates)
        self.dones = list(batch.dones)
        self.dead = {letter.job.number: row_of(letter.job) for letter in batch.dead}
        self.lasts = lasts
        self.fate = fate
        self.refused: list[int] = []


class Taste:
    """
    Which jobs a store does not take, whatever becomes of the others.

    Attributes:
        dislikes: How the workloads of such jobs begin; empty where it takes all.
        names: Whether it can tell which they are.
        refused: Numbers of all that it did not take.

    """

    def __init__(self) -> None:
        self.dislikes = b""
        self.names = True
        self.refused: set[object] = set()

    def refuses(self, row: Row) -> bool:
        """Return whether a row is one of them."""
        workload = row[4]
        assert isinstance(workload, bytes)
        if not self.dislikes or not workload.startswith(self.dislikes):
            return False
        self.refused.add(row[0])
        return True


class Disk:
    """
    What outlives the server's process.

    Attributes:
        rows: The jobs that are kept, by number.
        dead: Those that were given up and are kept for a person.
        is_full: Whether commits that add something fail.
        is_down: Whether all commits fail.
        hangs_until: Until when no commit comes to an end.

    """

    def __init__(self, world: World, slowness: float) -> None:
        self.world = world
        self.slowness = slowness
        self.rows: dict[int, Row] = {}
        self.dead: dict[int, Row] = {}
        self.generation = 0
        self.is_full = False
        self.is_down = False
        self.hangs_until = 0.0
        self.chance_of_failure = 0.0
        self.taste = Taste()
        # Jobs of commits that failed, which may be on disk all the same.
        self.refused: set[int] = set()

    def open(self) -> int:
        """Start a generation, as a process does."""
        self.generation += 1
        return self.generation

    def replay(self) -> list[Job]:
        """Return the jobs that are kept, oldest first."""
        return [self.job_of(self.rows[number]) for number in sorted(self.rows)]

    def job_of(self, row: Row) -> Job:
        """Return a row's job."""
        return Job(*row)  # type: ignore[arg-type]

    def begin(self, batch: Batch) -> Commit:
        """Begin a transaction; its jobs are read now, as a driver does."""
        world = self.world
        lasts = world.seconds(0, self.slowness)
        if world.now < self.hangs_until:
            lasts += self.hangs_until - world.now
        fate = WORKS
        if self.is_down or (self.is_full and batch.adds):
            fate = FAILS
        elif world.happens(self.chance_of_failure):
            fate = FAILS if world.happens(0.5) else FAILS_AFTER_ALL
        commit = Commit(batch, lasts, fate)
        refused = [number for number, row in commit.adds.items() if self.taste.refuses(row)]
        if refused and fate != FAILS:
            commit.fate = IS_REFUSED
            commit.refused = refused if self.taste.names else []
        return commit

    def finish(self, commit: Commit) -> bool:
        """End a transaction and return whether it worked."""
        if commit.fate in (FAILS, IS_REFUSED):
            return False
        self.apply(commit)
        if commit.fate == WORKS:
            return True
        self.refused.update(commit.adds)
        return False

    def crash_during(self, commit: Commit) -> None:
        """The writer's process died; what it had begun is there as a whole, or not at all."""
        if commit.fate not in (FAILS, IS_REFUSED) and self.world.happens(0.5):
            self.apply(commit)

    def apply(self, commit: Commit) -> None:
        """Write all of a transaction."""
        # What was refused is taken out before anything else is kept.
        for number in self.refused:
            self.rows.pop(number, None)
        self.refused.clear()
        for number, row in commit.adds.items():
            self.rows.setdefault(number, row)
        for number, attempts, epoch in commit.updates:
            if number in self.rows:
                row = self.rows[number]
                self.rows[number] = (*row[:6], epoch, *row[7:-1], attempts)
        for number in commit.dones:
            self.rows.pop(number, None)
        for number, row in commit.dead.items():
            self.rows.pop(number, None)
            self.dead[number] = row
