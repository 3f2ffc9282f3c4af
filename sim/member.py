"""
A job server that shares a database with others: a machine and its process.

What a server does about its lease is ``geartrain.server.cluster`` and ``lease``, as in
production. The writer thread is simulated: one call to the database at a time, a
commit if there is one, else a renewal or a look for servers that are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from geartrain.broker.commands import StoreAnswered
from geartrain.broker.effects import AskStore
from geartrain.broker.job import Job
from geartrain.errors import JobsRefused, LeaseLost, StoreUnavailable
from geartrain.server.cluster import Cluster
from geartrain.server.commits import Commits
from geartrain.server.exchange import Peer
from geartrain.server.server import GENERATION_SHIFT
from geartrain.store.batch import Batch, Coalesced, Joined
from geartrain.store.rows import row_of
from geartrain.wire.text import UNKNOWN_JOB
from sim.account import Account
from sim.database import Database
from sim.disk import Row
from sim.machine import RETRY_AFTER, Machine, Process
from sim.network import Network
from sim.world import Happening, World


class Loop:
    """As much of an event loop as ``Cluster`` asks of the server's."""

    def __init__(self, process: MemberProcess) -> None:
        self.process = process

    def call_soon(self, action: Callable[..., None], *args: Any) -> None:
        """Have something done next."""
        self.process.later(0, lambda: action(*args))

    call_soon_threadsafe = call_soon


class Handle:
    """As much of a store as ``Cluster`` asks for itself; the calls go another way."""

    handle_prefix = b""
    lease = Database.lease


class MemberProcess(Process):
    """One life of a server among several."""

    shares = True
    cluster: Cluster

    def __init__(self, machine: Member) -> None:
        self.database = machine.database
        self.winding_up = False
        self.is_busy = False
        self.look_due = 0.0
        # Generations that this one has taken over, as far as it has heard.
        self.known: set[int] = set()
        self.wake_up: Happening | None = None
        super().__init__(machine)
        self.commits = Commits(shared=True)
        self.join_others()
        self.work()

    def join_others(self) -> None:
        """Take part among the servers of the database."""
        me = cast(Any, self)
        me.clock = self.steady_clock.now
        cluster = Cluster(me, cast(Any, Handle()), lambda: self.world.now)
        cluster.lease.join(self.world.now)
        cluster.generation = self.generation
        cluster.loop = cast(Any, Loop(self))
        cluster.committer = me
        # Whatever is stepped is stepped at a time, and that is asked for first.
        me.clock = cluster.now
        self.cluster = cluster

    # The hooks of a process.

    def open_store(self) -> int:
        machine = self.machine
        if not self.database.is_reached_by(machine):
            raise StoreUnavailable("the database can't be reached")
        self.generation = self.database.open(machine)
        return self.generation

    def found(self) -> list[Job]:
        self.known = self.database.taken_by(self.generation)
        return self.database.held_by(self.generation)

    def rows(self) -> dict[int, Row]:
        holders = self.database.holders
        return {n: r for n, r in self.database.rows.items() if holders[n] == self.generation}

    def refused_rows(self) -> dict[int, Row]:
        # What may be stored is never refused here: its submitters are cut off.
        return {}

    def die(self) -> None:
        """What is on its way to the database arrives there, or not, without this process."""

    # What a server is to ``Cluster``.

    def first_number(self, generation: int) -> int:
        """Return the number of the first job of a generation."""
        return (generation << GENERATION_SHIFT) + 1

    def next_handle_prefix(self) -> bytes:
        """Return a start of handles that nobody has used."""
        return self.machine.handle_prefix(len(self.database.servers) + 1)

    def is_certain(self) -> bool:
        """Return whether this process may act for what the store keeps."""
        return not (self.cluster.away or self.exchange.broker.in_doubt or self.cluster.lease.lost)

    def withholds(self, peer: Peer) -> bool:
        return self.cluster.look() and self.cluster.withholds(peer)

    def finish_pass(self) -> None:
        self.cluster.look()
        super().finish_pass()
        asked, self.exchange.store_questions = self.exchange.store_questions, []
        for question in asked:
            self.later(self.world.seconds(0, 0.5), partial(self.know_nothing, question))

    def know_nothing(self, question: AskStore) -> None:
        """Answer what another server may have been asked: here nobody has the job."""
        self.exchange.step(self.now(), StoreAnswered(question.to, UNKNOWN_JOB))
        self.schedule_pass()

    # The writer thread.

    def put(self) -> None:
        if self.cluster.away or self.cluster.lease.lost:
            refused = self.exchange.take_batch().adds
            self.later(0, lambda: self.answer(refused, "about to join again"))
            return
        super().put()

    def give_up(self) -> list[Job]:
        under_way = self.commits.under_way
        jobs = self.commits.give_up()
        if under_way:
            self.cluster.step_uncertain(under_way)
        return jobs[len(under_way) :]

    def commit_next(self) -> None:
        self.work()

    def work(self) -> None:
        """Make the next call to the database, if one is due."""
        if self.is_busy or self.cluster.away or self.cluster.lease.lost:
            return
        commits = self.commits
        lease = self.cluster.lease
        now = self.world.now
        if commits.has_news() or commits.removing or (commits.failing and self.retry is None):
            batch = commits.start(now)
            if batch is not None:
                self.commit_batch(batch)
                return
        if now >= lease.renewal_due():
            self.renew()
        elif now >= self.look_due and not lease.in_doubt(now):
            self.look()
        else:
            self.work_later(min(lease.renewal_due(), max(self.look_due, now + 0.01)) - now)

    def work_later(self, seconds: float) -> None:
        """Look again for something to do, once."""
        if self.wake_up is not None:
            self.wake_up.call_off()
        self.wake_up = self.later(max(seconds, 0.001), self.work)

    def call(self, work: Callable[[], object], answered: Callable[[object], None]) -> None:
        """Make one call, and go on when it is answered."""
        self.is_busy = True

        def back(result: object) -> None:
            self.is_busy = False
            answered(result)
            self.work()

        machine = self.machine
        self.database.call(machine, work, lambda result: self.soon(lambda: back(result)))

    def soon(self, action: Callable[[], None]) -> None:
        """Do something when the process can; never where it has ended."""
        self.later(0, action)

    def commit_batch(self, batch: Batch) -> None:
        """Have a batch made durable."""
        sent = self.world.now
        generation = self.generation
        adds = [(job.number, row_of(job)) for job in batch.adds]
        self.machine.account.commits += 1

        def answered(result: object) -> None:
            if isinstance(result, LeaseLost):
                self.lose_lease()
            elif isinstance(result, JobsRefused):
                self.refuse(self.narrow(result.numbers, self.database.taste))
            elif isinstance(result, StoreUnavailable):
                self.failed(result, {job.number for job in batch.adds})
            else:
                self.cluster.lease.renewed(sent)
                self.stored(batch, cast("list[Coalesced]", result))

        self.call(lambda: self.database.commit(generation, batch, adds), answered)

    def stored(self, batch: Batch, coalesced: list[Coalesced]) -> None:
        """Tell what became of a batch that is durable."""
        jobs = self.commits.succeeded()
        if jobs:
            kept = self.cluster.step_coalesced(jobs, coalesced)
            self.answer(kept, "")
        self.cluster.let_in([one.job for one in coalesced if isinstance(one, Joined)])
        gone = batch.dones + [letter.job.number for letter in batch.dead]
        if gone:
            self.cluster.step_forgotten(gone)
        self.cluster.renewed()

    def failed(self, error: StoreUnavailable, adds: set[int]) -> None:
        """Refuse what was to be stored, or say nothing of it where nobody can know."""
        jobs = self.commits.failed()
        if error.unknown:
            self.cluster.step_uncertain([job for job in jobs if job.number in adds])
            jobs = [job for job in jobs if job.number not in adds]
        self.refuse(jobs)

    def refuse(self, jobs: list[Job]) -> None:
        """Refuse jobs, and try again later what the database did not take."""
        if jobs:
            self.answer(jobs, "the database failed")
        if self.commits.failing and self.retry is None:
            self.retry = self.later(RETRY_AFTER, self.try_again)

    def renew(self) -> None:
        """Renew the lease."""
        sent = self.world.now
        generation = self.generation

        def answered(result: object) -> None:
            lease = self.cluster.lease
            if isinstance(result, LeaseLost):
                self.lose_lease()
            elif isinstance(result, StoreUnavailable):
                lease.not_renewed(self.world.now)
            else:
                lease.renewed(sent)
                self.cluster.renewed()

        self.call(lambda: self.database.renew(generation), answered)

    def look(self) -> None:
        """Take over from servers that are gone."""
        self.look_due = self.world.now + Database.lease / 3
        generation = self.generation

        def answered(result: object) -> None:
            if isinstance(result, LeaseLost):
                self.lose_lease()
            elif isinstance(result, StoreUnavailable):
                # Whatever that call has taken over is told by the next.
                self.look_due = self.world.now
            else:
                self.let_in(cast("dict[int, list[Job]]", result))

        self.call(lambda: self.database.adopt(generation, self.known), answered)

    def let_in(self, adoptions: dict[int, list[Job]]) -> None:
        """Take in what servers that are gone have left."""
        for gone, jobs in adoptions.items():
            self.world.note(f"{self.machine.name} takes {len(jobs)} jobs of {gone} over")
            self.machine.account.note_fault()
            self.known.add(gone)
            self.cluster.let_in(jobs)

    def lose_lease(self) -> None:
        """Another server has taken over: drop everything, and join again."""
        self.world.note(f"{self.machine.name} has lost its lease")
        self.machine.account.note_fault()
        self.cluster.lease.lose()
        self.commits = Commits(shared=True)
        self.cluster.drop_all()

    def rejoin(self, prefix: bytes) -> None:
        """Join again, with handles that start like this."""
        if not self.database.is_reached_by(self.machine):
            self.later(RETRY_AFTER, lambda: self.rejoin(prefix))
            return
        self.generation = self.database.open(self.machine)
        found = self.found()
        self.cluster.lease.join(self.world.now)
        self.world.note(f"{self.machine.name} takes part again")
        prefix = self.machine.handle_prefix(self.generation)
        self.cluster.take_part(prefix, self.generation, [*found])
        self.work()


class Member(Machine):
    """A machine whose server shares a database with others."""

    def __init__(
        self, world: World, network: Network, database: Database, account: Account, name: str
    ) -> None:
        super().__init__(world, network, cast(Any, database), account, name)
        self.database = database

    def new_process(self) -> Process:
        return MemberProcess(self)
