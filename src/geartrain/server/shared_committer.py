"""
The writer thread of a store that several servers share: it keeps the lease as well.

Between commits it renews the lease, takes over from servers that are gone, and
joins again after another server has taken over from this one. Whatever it learns
is told to the event loop, which decides what to do about it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from geartrain.broker.job import Job
from geartrain.errors import LeaseLost, StoreError, UsageError
from geartrain.server.commits import Commits
from geartrain.server.committer import Answer, Committer
from geartrain.server.lease import Lease
from geartrain.store.batch import Batch, Coalesced, Joined
from geartrain.store.queue_store import Damaged
from geartrain.store.shared_store import Adoption, SharedStore
from geartrain.store.sole_member import SoleMember

logger = logging.getLogger("geartrain.server")

# Parts of the lease between two looks for servers that are gone.
_LOOK_EACH = 6.0
# Seconds until joining again is tried again.
_JOIN_AGAIN = 0.5

__all__ = ["Listener", "SharedCommitter", "boot_clock"]


def boot_clock() -> float:
    """Return seconds by a clock that goes on while the process is stopped or the machine asleep."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Listener(Protocol):
    """Who is told what the writer thread learns. Called from that thread."""

    def renewed(self) -> None:
        """The lease is this server's for its whole length."""

    def uncertain(self, jobs: list[Job]) -> None:
        """These jobs may have been stored although the store said no."""

    def forgotten(self, numbers: list[int]) -> None:
        """The store has removed these jobs."""

    def joined_by_others(self, jobs: list[Job]) -> None:
        """These were refused, and other servers' submissions have joined them: they have to run."""

    def adopted(self, adoptions: Sequence[Adoption]) -> None:
        """These servers are gone, and their jobs are this one's now."""

    def lost(self) -> None:
        """Another server has taken over; nothing goes to the store until ``rejoin``."""

    def joined(self, prefix: bytes, generation: int, found: list[Job | Damaged]) -> None:
        """This server takes part again, and holds these jobs."""


class SharedCommitter(Committer):
    """
    Carries jobs to a store that several servers share, and keeps the lease.

    Args:
        store: Open; used by this object's thread only, until ``close``.
        answer: As for ``Committer``. Not called for what a lost lease has made another's.
        lease: Joined already.
        listener: Is told of the lease and of servers that are gone.
        clock: Returns seconds; see ``boot_clock``.

    """

    def __init__(
        self,
        store: SharedStore,
        answer: Answer,
        lease: Lease,
        listener: Listener,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        super().__init__(store, answer)
        self.shared_store = store
        self.lease = lease
        self.listener = listener
        self.clock = clock
        self.commits = self.no_commits()
        # Another server has taken over. Both threads read it, with ``changed`` held or not.
        self.away = False
        # Start of the handles to join again with, once the event loop has dropped what it held.
        self.new_prefix = b""
        self.look_due = 0.0
        # What servers that are gone had may be this one's already, and on its way here.
        self.looking = False
        self.join_due = 0.0
        # Why joining failed last, to be said once.
        self.join_failure = ""

    def no_commits(self) -> Commits:
        """Return what there is to commit in the beginning."""
        return Commits(shared=True, sole=isinstance(self.shared_store, SoleMember))

    # For the event loop.

    @property
    def stalled(self) -> bool:
        """Whether what is put now would not be stored soon."""
        return self.away or self.commits.stalled

    def put(self, batch: Batch) -> None:
        """Let all of it go into the next commit; after a lost lease none of it is ours."""
        with self.changed:
            if not self.away:
                self.commits.put(batch, time.monotonic())
                self.changed.notify()

    def give_up(self) -> list[Job]:
        """Return submissions that nobody has begun to store; the others may be stored by now."""
        with self.changed:
            under_way = self.commits.under_way
            jobs = self.commits.give_up()
        if under_way:
            self.listener.uncertain(under_way)
        return jobs[len(under_way) :]

    def rejoin(self, prefix: bytes) -> None:
        """Join again, with handles that start like this; what was held has been dropped."""
        with self.changed:
            self.new_prefix = prefix
            self.changed.notify()

    # The thread.

    def wait(self) -> bool:
        """Wait for something to do; False when there is nothing more to come."""
        commits = self.commits
        with self.changed:
            while not (commits.has_news() or commits.removing or self.questions):
                if self.closing:
                    return not self.away and not commits.failing and commits.owes()
                left = self.next_due() - self.clock()
                if left <= 0:
                    return True
                self.changed.wait(left)
                commits = self.commits
            return True

    def next_due(self) -> float:
        """Return when there is something to do although nothing came in."""
        if self.away:
            return self.join_due if self.new_prefix else self.clock() + self.lease.duration
        return min(self.lease.renewal_due(), self.look_due)

    def work(self) -> None:
        """Do what is due, and commit if there is something to commit."""
        if self.away:
            self.refuse_questions()
            if self.new_prefix and self.clock() >= self.join_due:
                self.join()
            return
        super().work()
        if not self.away and not self.closing:
            self.keep_lease()

    def refuse_questions(self) -> None:
        """Refuse what is asked of a store that this server takes no part in."""
        with self.changed:
            questions, self.questions = self.questions, []
        for question in questions:
            question.refuse("this server is about to join the others again")

    # Commits.

    def hand_over(self, batch: Batch) -> Sequence[Coalesced]:
        """Have a batch stored, which renews the lease."""
        sent = self.clock()
        coalesced = self.shared_store.commit(batch)
        self.lease.renewed(sent)
        return coalesced

    def tell(
        self,
        batch: Batch,
        jobs: list[Job],
        error: StoreError | None,
        coalesced: Sequence[Coalesced],
    ) -> None:
        """Tell what became of a batch."""
        if isinstance(error, LeaseLost):
            self.lose(error)
            return
        if getattr(error, "unknown", False):
            numbers = {job.number for job in batch.adds}
            self.listener.uncertain([job for job in jobs if job.number in numbers])
            jobs = [job for job in jobs if job.number not in numbers]
        super().tell(batch, jobs, error, coalesced)
        joined = [one.job for one in coalesced if isinstance(one, Joined)]
        if joined:
            self.listener.joined_by_others(joined)
        if error is None:
            gone = batch.dones + [letter.job.number for letter in batch.dead]
            if gone:
                self.listener.forgotten(gone)
            self.listener.renewed()

    # The lease.

    def keep_lease(self) -> None:
        """Renew the lease when that is due, and look for servers that are gone."""
        if self.clock() >= self.lease.renewal_due() and not self.renew():
            return
        now = self.clock()
        if now >= self.look_due and not self.lease.in_doubt(now):
            self.look_due = now + self.lease.duration / _LOOK_EACH
            self.look()

    def renew(self) -> bool:
        """Renew the lease; return whether that succeeded."""
        sent = self.clock()
        try:
            self.shared_store.renew()
        except LeaseLost as error:
            self.lose(error)
            return False
        except StoreError as error:
            if self.lease.failed < self.lease.sent:
                logger.warning("the lease could not be renewed: %s", error)
            self.lease.not_renewed(self.clock())
            self.refuse_coming(error)
            return False
        self.lease.renewed(sent)
        self.listener.renewed()
        return True

    def look(self) -> None:
        """Take over from servers that are gone."""
        self.looking = True
        try:
            adoptions = self.shared_store.adopt()
        except LeaseLost as error:
            self.lose(error)
            return
        except StoreError as error:
            # It is tried again, and returns then what this time took.
            logger.warning("servers that are gone could not be looked for: %s", error)
            self.refuse_coming(error)
            return
        if adoptions:
            self.listener.adopted(adoptions)
        self.looking = False

    def refuse_coming(self, error: StoreError) -> None:
        """Refuse what came in meanwhile: a commit of its own would let it wait as long again."""
        with self.changed:
            jobs = self.commits.refuse_coming()
        if jobs:
            self.answer(jobs, error, ())

    def lose(self, error: LeaseLost) -> None:
        """Another server has taken over: forget what was to be stored."""
        logger.error("%s; this server drops what it held and joins again", error)
        self.lease.lose()
        self.looking = False
        with self.changed:
            self.away = True
            self.commits = self.no_commits()
            self.new_prefix = b""
            self.join_due = self.clock()
        self.listener.lost()

    def join(self) -> None:
        """Try to take part again, as a new server."""
        prefix = self.new_prefix
        store = self.shared_store
        try:
            store.handle_prefix = prefix
            generation = store.open()
            found = list(store.replay())
            sent = self.clock()
            store.renew()
        except (StoreError, UsageError) as error:
            # The second, where only one server may use the store, and another does.
            if str(error) != self.join_failure:
                self.join_failure = str(error)
                logger.warning("could not join the servers of %s again: %s", store.name, error)
            self.join_due = self.clock() + _JOIN_AGAIN
            return
        self.join_failure = ""
        self.lease.join(sent)
        with self.changed:
            self.away = False
            self.new_prefix = b""
        self.listener.joined(prefix, generation, found)
