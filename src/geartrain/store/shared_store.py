"""
What a store keeps to that several servers share. Each rule is checked on each such engine.

Nothing here decides when: a server asks ``renew`` every third of the lease, ``adopt`` as often
as it likes, and drops what it holds when it hears ``LeaseLost``. All times that servers are
compared by are the database's; a server's own clock is never believed.

Jobs carry no owner. A job's number starts with the generation that took it in, and one row per
generation says who holds its jobs: itself, or the generation that took them over. So a takeover
is one small write however many jobs there are, and a commit is fenced by writing its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from geartrain.broker.job import Job
from geartrain.store.queue_store import Damaged, QueueStore

__all__ = ["Adoption", "Member", "SharedStore"]


class Member:
    """
    A server that shares the store, as its row says.

    Attributes:
        generation: What ``open`` returned to it; never used twice.
        name: Its name, unique among the servers that run.
        address: ``HOST:PORT`` at which others reach it; empty when it told none.
        lease_left: Seconds until its lease ends, by the database's clock; 0.0 or less when it
            has ended and nobody has taken its jobs over yet.
        jobs: How many jobs it holds; -1 where that was not asked for.

    """

    def __init__(
        self, generation: int, name: str, address: str, lease_left: float, jobs: int = -1
    ) -> None:
        self.generation = generation
        self.name = name
        self.address = address
        self.lease_left = lease_left
        self.jobs = jobs


class Adoption:
    """
    What was taken over from one server.

    Attributes:
        server: The server that had it.
        found: Its jobs in the order of their numbers, and the rows that are none.

    """

    def __init__(self, server: Member, found: Sequence[Job | Damaged]) -> None:
        self.server = server
        self.found = found


class SharedStore(QueueStore, Protocol):
    """
    A queue store that several servers use at once.

    What ``QueueStore`` says holds, and besides:

    - ``open`` returns a generation that no other server gets, and starts its lease. It takes
      over at once, for ``replay`` to yield, what an earlier process of the same name and address
      left (this one holds the port, so that one is gone), what servers left whose lease has
      ended, and rows of no known generation. A server that opens again, after ``LeaseLost``, is
      a new one: it takes a new ``handle_prefix`` first.
    - ``replay`` yields what this server holds, and nothing of other servers. It renews the lease
      while it is read, however long that takes.
    - ``commit`` renews the lease. It raises ``LeaseLost``, and changes nothing, when another
      server has taken this one's jobs over; so does ``adopt``. The two exclude each other:
      whatever a commit made durable, the server that takes over sees.
    - ``commit`` removes before it adds, so a unique key that a job leaves can be used by the
      next in the same commit. A job that is to be added while any server holds another of the
      same function and unique key (for the key ``-``: of the same workload) is not stored, and
      returned as ``Coalesced`` with the handle of that other job. Jobs without a key never meet,
      nor do those that are ``apart``.
    - A commit that raised may have got through, and others may have coalesced with its jobs since.
      So the server names them in ``Batch.refused`` of its next commits: those that nobody has
      joined are taken out, the others are returned as ``Joined`` and have to run.
    - ``close`` ends the lease, so that others take over without waiting.

    Methods are called one at a time, except ``find`` and ``members``, which any thread may
    call at any time.
    """

    handle_prefix: bytes
    """Start of the handles that this generation gives out; no other generation's."""

    @property
    def lease(self) -> float:
        """For how many seconds others leave this server's jobs alone after a renewal."""
        ...

    def renew(self) -> None:
        """
        Make the lease last for its whole length from now.

        Raises LeaseLost when this server's jobs were taken over: it holds nothing any more.
        A lease that has ended is renewed all the same as long as nobody has taken the jobs.
        Raises StoreUnavailable within a second.
        """
        ...

    def adopt(self) -> Sequence[Adoption]:
        """
        Take over from each server whose lease has ended; of several that try, one gets it.

        Returns what was taken since the last call that returned, so that nothing is lost when
        the database fails in the middle. Empty when there was nothing to take. Raises
        LeaseLost when this server itself was taken over, StoreUnavailable as ``commit`` does.
        """
        ...

    def find(self, handle: bytes) -> Member | None:
        """
        Return the server that can tell about a handle, None when there is none.

        It is the one that gave the handle out, or that holds its jobs now. Whether there
        still is such a job, only that server knows. Raises StoreUnavailable.
        """
        ...

    def members(self, counting: bool = True) -> Sequence[Member]:
        """
        Return all servers whose jobs nobody has taken over.

        In the order of their generations. One that ended in good order and left nothing is
        not among them. Raises StoreUnavailable.

        Args:
            counting: Tell how many jobs each holds, which takes longer the more there are.

        """
        ...
