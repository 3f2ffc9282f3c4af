"""
A database that several job servers share, with a clock of its own and ways to fail.

It follows the rules of ``SharedStore``. Each call takes time on its way there and on
its way back; it may not arrive, and its answer may be lost although it did its work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from geartrain.broker.job import Job
from geartrain.errors import JobsRefused, LeaseLost, StoreUnavailable
from geartrain.store.batch import Batch, Coalesced, Joined
from geartrain.store.rows import row_of
from sim.disk import Row, Taste
from sim.world import World

if TYPE_CHECKING:
    from sim.machine import Machine

# Nobody has taken a server's jobs over.
NOBODY = 0


class Server:
    """The row of one generation: whose it is, until when its lease lasts, who took over."""

    def __init__(self, machine: Machine, ends: float) -> None:
        self.machine = machine
        self.ends = ends
        self.taken_by = NOBODY
        # Numbers of the jobs that it held then.
        self.left: list[int] = []


class Database:
    """
    What all servers see.

    Attributes:
        rows: The jobs that are kept, by number.
        holders: Which generation holds a job, by number.
        joined: Jobs that submissions at other servers have coalesced with.
        is_down: Whether no call gets through.
        cut_off: Machines whose calls don't get through.
        hangs_until: Until when no call is answered.

    """

    # Seconds that a lease lasts.
    lease = 3.0

    def __init__(self, world: World, slowness: float) -> None:
        self.world = world
        self.slowness = slowness
        self.rows: dict[int, Row] = {}
        self.holders: dict[int, int] = {}
        self.joined: set[int] = set()
        self.dead: dict[int, Row] = {}
        self.servers: dict[int, Server] = {}
        self.is_down = False
        self.cut_off: set[Machine] = set()
        self.hangs_until = 0.0
        self.chance_of_failure = 0.0
        self.taste = Taste()
        self.takeovers = 0

    # The way there and back.

    def call(
        self,
        machine: Machine,
        work: Callable[[], object],
        answered: Callable[[object], None],
    ) -> None:
        """Have something done here; what it returned, or the error it met, is answered later."""
        world = self.world

        def arrive() -> None:
            result = self.attempt(machine, work)
            wait = max(0.0, self.hangs_until - world.now) + world.seconds(0, self.slowness)
            world.after(wait, lambda: answered(result))

        world.after(world.seconds(0, self.slowness), arrive)

    def attempt(self, machine: Machine, work: Callable[[], object]) -> object:
        """Do the work, unless something is in the way; return the result or the error."""
        if not self.is_reached_by(machine):
            return StoreUnavailable("the database can't be reached")
        fails = self.world.happens(self.chance_of_failure)
        if fails and self.world.happens(0.5):
            return StoreUnavailable("the database failed")
        try:
            result = work()
        except (JobsRefused, LeaseLost) as error:
            result = error
        if not fails or isinstance(result, JobsRefused):
            return result
        lost = StoreUnavailable("the answer was lost")
        lost.unknown = True
        return lost

    def is_reached_by(self, machine: Machine) -> bool:
        """Return whether calls of a machine get through."""
        return not self.is_down and machine not in self.cut_off

    # What is done here, all of it at one moment.

    def open(self, machine: Machine) -> int:
        """Let a server take part, and give it what is nobody's; return its generation."""
        generation = len(self.servers) + 1
        self.servers[generation] = Server(machine, self.world.now + self.lease)
        for number, server in self.servers.items():
            # An earlier process of the same machine is gone: this one has its port.
            is_gone = server.machine is machine or server.ends < self.world.now
            if is_gone and number != generation and server.taken_by == NOBODY:
                self.take_over(number, generation)
        return generation

    def take_over(self, gone: int, generation: int) -> None:
        """Give all that one server holds to another."""
        self.takeovers += 1
        server = self.servers[gone]
        server.taken_by = generation
        server.left = sorted(number for number, holder in self.holders.items() if holder == gone)
        for number in server.left:
            self.holders[number] = generation

    def job_of(self, row: Row) -> Job:
        """Return a row's job."""
        return Job(*row)  # type: ignore[arg-type]

    def held_by(self, generation: int) -> list[Job]:
        """Return what a server holds, oldest first."""
        numbers = sorted(n for n, holder in self.holders.items() if holder == generation)
        return [self.job_of(self.rows[number]) for number in numbers]

    def fence(self, generation: int) -> Server:
        """Return a server's row; raises LeaseLost where another has taken over."""
        server = self.servers[generation]
        if server.taken_by != NOBODY:
            raise LeaseLost(f"server {server.taken_by} has taken over from {generation}")
        return server

    def renew(self, generation: int) -> None:
        """Let a lease last for its whole length from now."""
        self.fence(generation).ends = self.world.now + self.lease

    def adopt(self, generation: int, known: set[int]) -> dict[int, list[Job]]:
        """
        Take over from every server whose lease has ended.

        Args:
            generation: Who takes over.
            known: Generations it has heard of having taken over. The answer to an earlier
                call may have been lost.

        Returns what others left, by their generation.
        """
        self.fence(generation)
        for number, server in self.servers.items():
            if server.taken_by == NOBODY and server.ends < self.world.now and number != generation:
                self.take_over(number, generation)
        return {
            number: [
                self.job_of(self.rows[left])
                for left in server.left
                if self.holders.get(left) == generation
            ]
            for number, server in self.servers.items()
            if server.taken_by == generation and number not in known
        }

    def taken_by(self, generation: int) -> set[int]:
        """Return the generations that one has taken over."""
        return {n for n, server in self.servers.items() if server.taken_by == generation}

    def commit(
        self, generation: int, batch: Batch, adds: Sequence[tuple[int, Row]]
    ) -> list[Coalesced]:
        """Make a batch durable: remove, then add, fenced by the lease."""
        self.fence(generation)
        refused = [number for number, row in adds if self.taste.refuses(row)]
        if refused:
            raise JobsRefused("not to its taste", refused if self.taste.names else ())
        self.renew(generation)
        coalesced: list[Coalesced] = []
        for number in batch.refused:
            if number not in self.joined:
                self.remove(generation, number)
            elif self.holders.get(number) == generation:
                coalesced.append(Joined(self.job_of(self.rows[number])))
        for number in batch.dones:
            self.remove(generation, number)
        for letter in batch.dead:
            if self.remove(generation, letter.job.number):
                self.dead[letter.job.number] = row_of(letter.job)
        for number, row in adds:
            other = self.with_key(row)
            if other is None:
                self.rows[number] = row
                self.holders[number] = generation
            elif other != number:
                handle = self.rows[other][1]
                assert isinstance(handle, bytes)
                coalesced.append(Coalesced(number, handle))
                self.joined.add(other)
        for number, attempts, epoch in batch.updates:
            if self.holders.get(number) == generation:
                row = self.rows[number]
                self.rows[number] = (*row[:6], epoch, *row[7:-1], attempts)
        return coalesced

    def remove(self, generation: int, number: int) -> bool:
        """Remove a job that this server holds."""
        if self.holders.get(number) != generation:
            return False
        del self.holders[number]
        del self.rows[number]
        return True

    def with_key(self, wanted: Row) -> int | None:
        """Return the number of the job with the same function and key, or of this very job."""
        number, _, function, unique, workload, *_ = wanted
        if number in self.rows:
            return number if isinstance(number, int) else None
        if not unique or (unique == b"-" and not workload):
            return None
        for other, row in self.rows.items():
            if row[2:4] == (function, unique) and (unique != b"-" or row[4] == workload):
                return other
        return None
