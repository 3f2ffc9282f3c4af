"""
A database that several servers share, in memory, with a clock and faults of the caller's choice.

It keeps to ``SharedStore`` as a real one does: leases by its own clock, one takeover of each
server, commits fenced by the generation, unique keys over all servers. What a network or a
database does wrong is said per server, in ``Faults``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from geartrain.broker.job import Job
from geartrain.errors import LeaseLost, StoreUnavailable
from geartrain.server.server import GENERATION_SHIFT
from geartrain.store.batch import Batch, Coalesced, DeadLetter, Joined, Result
from geartrain.store.queue_store import Damaged
from geartrain.store.rows import row_of
from geartrain.store.shared_store import Adoption, Member

# Nobody has taken a server's jobs over; or it left in good order, and left nothing.
NOBODY = 0
LEFT = -1


@dataclass
class Server:
    """The row of one generation."""

    generation: int
    name: str
    address: str
    prefix: bytes
    ends: float
    taken_by: int = NOBODY


class FakeDatabase:
    """
    What all servers see.

    Args:
        clock: Returns seconds; the database's own, that nobody else reads.

    Attributes:
        servers: The rows of servers by generation.
        jobs: The stored jobs by number.
        takeovers: Generations that were taken over, and by which.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.servers: dict[int, Server] = {}
        self.jobs: dict[int, Job] = {}
        # Jobs that submissions at other servers have coalesced with.
        self.joined: set[int] = set()
        self.letters: dict[bytes, DeadLetter] = {}
        self.results: dict[bytes, Result] = {}
        self.takeovers: list[tuple[int, int]] = []

    def store(
        self, name: str, address: str = "", prefix: bytes = b"", lease: float = 3.0
    ) -> FakeSharedStore:
        """Return a server's way to this database, not open yet."""
        return FakeSharedStore(self, name, address, prefix or b"H:" + name.encode(), lease)

    def holder(self, number: int) -> int:
        """Return the generation that holds a job."""
        generation = number >> GENERATION_SHIFT
        while generation in self.servers and self.servers[generation].taken_by > 0:
            generation = self.servers[generation].taken_by
        return generation

    def held_by(self, generation: int) -> list[Job]:
        """Return copies of what a server holds, in the order of the numbers."""
        numbers = sorted(number for number in self.jobs if self.holder(number) == generation)
        return [copy_of(self.jobs[number]) for number in numbers]

    def with_key(self, wanted: Job) -> Job | None:
        """Return another stored job with the same function and unique key."""
        if not wanted.unique or (wanted.unique == b"-" and not wanted.workload) or wanted.apart:
            return None
        for job in self.jobs.values():
            if job.apart:
                continue
            same = job.function == wanted.function and job.unique == wanted.unique
            if same and (job.unique != b"-" or job.workload == wanted.workload):
                return job
        return None


@dataclass
class Faults:
    """
    What goes wrong between one server and the database.

    Attributes:
        refuse: Every call raises StoreUnavailable, and does nothing.
        lose_answers: Every call does its work, and then raises StoreUnavailable.
        delay_before: Seconds that a call takes to reach the database.
        delay_after: Seconds that its answer takes to come back.
        gate: Cleared, calls hang before they reach the database.
        sleep: How time passes; virtual time in a simulation.

    """

    refuse: bool = False
    lose_answers: bool = False
    delay_before: float = 0.0
    delay_after: float = 0.0
    gate: threading.Event = field(default_factory=threading.Event)
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.gate.set()

    def on_the_way(self) -> None:
        """Let a call reach the database, or not."""
        if self.delay_before:
            self.sleep(self.delay_before)
        self.gate.wait()
        if self.refuse:
            raise StoreUnavailable("the test says no")

    def on_the_way_back(self) -> None:
        """Let an answer come back, or not."""
        if self.delay_after:
            self.sleep(self.delay_after)
        if self.lose_answers:
            lost = StoreUnavailable("the test has lost the answer")
            lost.unknown = True
            raise lost


class FakeSharedStore:
    """
    One server's store; a ``SharedStore``.

    Attributes:
        faults: What goes wrong from now on.
        generation: What ``open`` returned last.

    """

    durable = True

    def __init__(
        self, database: FakeDatabase, name: str, address: str, prefix: bytes, lease: float
    ) -> None:
        self.database = database
        self.server_name = name
        self.address = address
        self.handle_prefix = prefix
        self.lease = lease
        self.faults = Faults()
        self.generation = 0
        # Generations whose jobs this server has been given.
        self.held: set[int] = set()
        # Jobs of commits whose answers were lost; the next one takes them out.
        self.take_out: list[int] = []

    @property
    def name(self) -> str:
        return "fake:"

    # Joining and leaving.

    def open(self) -> int:
        self.faults.on_the_way()
        with self.database.lock:
            servers = self.database.servers
            self.generation = max(servers, default=0) + 1
            servers[self.generation] = Server(
                self.generation,
                self.server_name,
                self.address,
                self.handle_prefix,
                self.database.clock() + self.lease,
            )
            self.held = {self.generation}
            for old in list(servers.values()):
                own = (old.name, old.address) == (self.server_name, self.address)
                held = old.taken_by == NOBODY and old.generation != self.generation
                if held and (own or self.has_ended(old)):
                    self.take(old)
                    self.held.add(old.generation)
        self.faults.on_the_way_back()
        return self.generation

    def replay(self) -> Iterator[Job | Damaged]:
        self.faults.on_the_way()
        with self.database.lock:
            yield from self.database.held_by(self.generation)

    def close(self) -> None:
        with self.database.lock:
            row = self.database.servers.get(self.generation)
            if row is not None and row.taken_by == NOBODY and not self.faults.refuse:
                row.ends = self.database.clock() - 1.0
                if not self.database.held_by(self.generation):
                    row.taken_by = LEFT
        self.generation = 0

    # Commits.

    def fence(self) -> None:
        """Renew the lease, or say that it is another's."""
        row = self.database.servers.get(self.generation)
        if row is None or row.taken_by != NOBODY:
            raise LeaseLost("another server has taken this one's jobs over")
        row.ends = self.database.clock() + self.lease

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        self.faults.on_the_way()
        with self.database.lock:
            self.fence()
            for number in self.take_out:
                self.database.jobs.pop(number, None)
            self.take_out = [job.number for job in batch.adds]
            coalesced = self.write(batch)
        self.faults.on_the_way_back()
        self.take_out = []
        return coalesced

    def write(self, batch: Batch) -> list[Coalesced]:
        """Change the rows: what is removed first, then what is added."""
        jobs = self.database.jobs
        for letter in batch.dead:
            jobs.pop(letter.job.number, None)
            self.database.letters[letter.job.handle] = letter
        for number in batch.dones:
            jobs.pop(number, None)
        coalesced: list[Coalesced] = []
        for number in batch.refused:
            if number not in self.database.joined:
                jobs.pop(number, None)
            elif number in jobs:
                coalesced.append(Joined(copy_of(jobs[number])))
        for job in batch.adds:
            other = self.database.with_key(job)
            if other is not None and other.number != job.number:
                coalesced.append(Coalesced(job.number, other.handle))
                self.database.joined.add(other.number)
            else:
                jobs.setdefault(job.number, copy_of(job))
        for number, attempts, epoch in batch.updates:
            if number in jobs:
                jobs[number].attempts, jobs[number].epoch = attempts, epoch
        self.database.results.update({result.handle: result for result in batch.results})
        return coalesced

    # The lease.

    def renew(self) -> None:
        self.faults.on_the_way()
        with self.database.lock:
            self.fence()
        self.faults.on_the_way_back()

    def adopt(self) -> Sequence[Adoption]:
        self.faults.on_the_way()
        database = self.database
        with database.lock:
            self.fence()
            for old in database.servers.values():
                if old.generation != self.generation and self.has_ended(old):
                    self.take(old)
            new = [
                row
                for row in database.servers.values()
                if row.taken_by == self.generation and row.generation not in self.held
            ]
            adoptions = [self.adoption(row) for row in new]
        self.faults.on_the_way_back()
        self.held.update(row.generation for row in new)
        return adoptions

    def adoption(self, row: Server) -> Adoption:
        numbers = [n for n in self.database.jobs if n >> GENERATION_SHIFT == row.generation]
        found = [copy_of(self.database.jobs[number]) for number in sorted(numbers)]
        return Adoption(self.member(row), found)

    def has_ended(self, row: Server) -> bool:
        return row.taken_by == NOBODY and row.ends < self.database.clock()

    def take(self, old: Server) -> None:
        """Take over one server, and what it had taken over."""
        for row in self.database.servers.values():
            if row.taken_by == old.generation:
                row.taken_by = self.generation
        old.taken_by = self.generation
        self.database.takeovers.append((old.generation, self.generation))

    # Questions.

    def find(self, handle: bytes) -> Member | None:
        self.faults.on_the_way()
        prefix = handle.rpartition(b":")[0]
        with self.database.lock:
            servers = self.database.servers
            for row in reversed(servers.values()):
                if row.prefix == prefix:
                    return self.member(servers.get(row.taken_by, row))
        return None

    def members(self, counting: bool = True) -> Sequence[Member]:
        self.faults.on_the_way()
        with self.database.lock:
            rows = [row for row in self.database.servers.values() if row.taken_by == NOBODY]
            return [self.member(row) for row in rows]

    def member(self, row: Server) -> Member:
        left = row.ends - self.database.clock()
        jobs = len(self.database.held_by(row.generation))
        return Member(row.generation, row.name, row.address, left, jobs)

    # What was kept of jobs that ended.

    def result(self, handle: bytes) -> Result | None:
        self.faults.on_the_way()
        return self.database.results.get(handle)

    def forget_results(self, now: float) -> None:
        self.faults.on_the_way()

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        self.faults.on_the_way()
        letters = sorted(self.database.letters.values(), key=lambda letter: letter.job.number)
        return [letter for letter in letters if letter.job.number > after][:limit]

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        self.faults.on_the_way()
        return self.database.letters.get(handle)

    def revive(self, handle: bytes) -> Job | None:
        self.faults.on_the_way()
        with self.database.lock:
            letter = self.database.letters.pop(handle, None)
            if letter is None:
                return None
            job = copy_of(letter.job)
            job.attempts = job.epoch = 0
            self.database.jobs[job.number] = copy_of(job)
            return job

    def remove_dead_letter(self, handle: bytes) -> bool:
        self.faults.on_the_way()
        return self.database.letters.pop(handle, None) is not None


def copy_of(job: Job) -> Job:
    """Return a job as a row has it."""
    copy = Job(*row_of(job))  # type: ignore[arg-type]
    copy.apart = job.apart
    return copy
