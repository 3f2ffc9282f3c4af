"""
Stores that do as a test tells them: wait, fail, and remember.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from geartrain.broker.job import Job
from geartrain.store.batch import Batch, Coalesced, DeadLetter, Result
from geartrain.store.queue_store import Damaged
from tests.server.peer import DEADLINE


class ToldStore:
    """
    Keeps jobs in a dict that outlives its server, as a database would.

    Attributes:
        rows: What a server would find after a crash: attempts by job number.
        jobs: The jobs of these rows.
        commits: Numbers of the jobs added, updated and done by each commit that got through.
        failure: Raised by each commit until it is None.
        plan: What the next commits raise, one each, before ``failure`` counts again.
        open_gate: Cleared, commits wait; they go through once it is set.
        arrived: Released by each commit that begins.

    """

    durable = True
    name = "told:"

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.jobs: dict[int, Job] = {}
        self.epochs: dict[int, int] = {}
        self.commits: list[tuple[list[int], list[int], list[int]]] = []
        self.failure: Exception | None = None
        self.plan: list[Exception | None] = []
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.arrived = threading.Semaphore(0)
        self.generation = 0

    def open(self) -> int:
        self.generation += 1
        return self.generation

    def replay(self) -> Iterable[Job | Damaged]:
        for number in sorted(self.rows):
            old = self.jobs[number]
            yield Job(
                number,
                old.handle,
                old.function,
                old.unique,
                old.workload,
                old.priority,
                self.epochs.get(number, old.epoch),
                old.reducer,
                old.submitted,
                self.rows[number],
            )

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        self.arrived.release()
        assert self.open_gate.wait(DEADLINE)
        failure = self.plan.pop(0) if self.plan else self.failure
        if failure is not None:
            raise failure
        for job in batch.adds:
            self.rows.setdefault(job.number, job.attempts)
            self.jobs[job.number] = job
        for number, attempts, epoch in batch.updates:
            if number in self.rows:
                self.rows[number] = attempts
                self.epochs[number] = epoch
        for number in batch.dones:
            self.rows.pop(number, None)
        added = [job.number for job in batch.adds]
        self.commits.append((added, [number for number, _, _ in batch.updates], batch.dones))
        return ()

    # Of jobs that ended it keeps nothing.

    def result(self, handle: bytes) -> Result | None:
        return None

    def forget_results(self, now: float) -> None:
        pass

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        return []

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        return None

    def revive(self, handle: bytes) -> Job | None:
        return None

    def remove_dead_letter(self, handle: bytes) -> bool:
        return False

    def close(self) -> None:
        self.open_gate.set()

    # For tests.

    def fail(self, error: Exception) -> None:
        """Let commits fail from now on."""
        self.failure = error

    def work(self) -> None:
        """Let commits get through from now on."""
        self.failure = None
        self.open_gate.set()

    def wait_for_commit(self) -> None:
        """Wait until one more commit has begun."""
        assert self.arrived.acquire(timeout=DEADLINE)
