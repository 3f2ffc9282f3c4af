"""
One server among several that share a store: what the event loop does about the lease.

The writer thread keeps the lease and tells what it learns. Here the broker is held
back while the lease is in doubt, emptied when it is lost, and given what was taken
over. Nothing is decided here: when is ``lease``'s business, what is ``broker.shared``'s.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from geartrain.broker import shared
from geartrain.broker.commands import Restore
from geartrain.broker.job import Job
from geartrain.broker.shared_commands import (
    Coalesced,
    DoubtLease,
    Forgotten,
    JoinStore,
    LoseLease,
    TrustLease,
    Uncertain,
)
from geartrain.errors import StoreError
from geartrain.server.elsewhere import Elsewhere
from geartrain.server.lease import Lease
from geartrain.server.shared_committer import SharedCommitter, boot_clock
from geartrain.server.status import StatusDesk
from geartrain.store.batch import Coalesced as CoalescedRow
from geartrain.store.queue_store import Damaged, QueueStore
from geartrain.store.shared_store import Adoption, SharedStore

if TYPE_CHECKING:
    from geartrain.server.committer import Answer
    from geartrain.server.exchange import Peer
    from geartrain.server.server import JobServer

logger = logging.getLogger("geartrain.server")

# Jobs that are taken over in one pass of the event loop.
ADOPTED_AT_ONCE = 2000

__all__ = ["Cluster", "shared_store"]


def shared_store(store: QueueStore) -> SharedStore | None:
    """Return the store as one that several servers share, None where it is none."""
    return cast(SharedStore, store) if hasattr(store, "adopt") else None


class Cluster:
    """
    A server's part among those that share its store.

    Args:
        server: The server.
        store: Its store.
        boot: Returns seconds by a clock that goes on while the process is stopped.

    Attributes:
        generation: What the store calls this server.
        in_doubt: The broker holds back what the store keeps.

    """

    def __init__(
        self, server: JobServer, store: SharedStore, boot: Callable[[], float] = boot_clock
    ) -> None:
        self.server = server
        self.store = store
        self.boot = boot
        self.lease = Lease(store.lease)
        self.generation = 0
        self.in_doubt = False
        # The lease is lost, and what it was for is dropped.
        self.away = False
        # Peers that were to be sent a stored job when the lease came into doubt.
        self.withheld: dict[int, Peer] = {}
        # Jobs that were taken over and whose turn has not come.
        self.coming: deque[Job | Damaged] = deque()
        self.clock = server.clock

    def open(self) -> int:
        """Join the servers of the store; raises StoreError."""
        self.store.handle_prefix = self.server.handle_prefix
        sent = self.boot()
        self.generation = self.store.open()
        self.lease.join(sent)
        return self.generation

    def start(self, answer: Answer) -> SharedCommitter:
        """Return the writer thread, not started; from here on the clock looks at the lease."""
        self.loop = self.server.loop
        self.status = StatusDesk(self.server, self)
        self.elsewhere = Elsewhere(self.server, self.status)
        self.committer = SharedCommitter(self.store, answer, self.lease, self, self.boot)
        # Whatever is stepped is stepped at a time, and that is asked for first.
        self.clock = self.server.clock
        self.server.clock = self.now
        self.renew_first()
        return self.committer

    def renew_first(self) -> None:
        """
        Renew the lease before anybody is served.

        Waiting for an earlier server's lease to end, and reading many jobs, may have taken longer
        than this one's lasts; workers would be told that there is nothing to do.
        """
        sent = self.boot()
        # What is wrong with the store the writer thread meets next, and deals with.
        with contextlib.suppress(StoreError):
            self.store.renew()
            self.lease.renewed(sent)

    # The lease.

    def now(self) -> float:
        """Return the time, in seconds since 1970, after a look at the lease."""
        self.look()
        return self.clock()

    def look(self) -> bool:
        """Hold back what the store keeps, or go on; return whether the lease is in doubt."""
        lease = self.lease
        in_doubt = not self.away and (lease.lost or lease.in_doubt(self.boot()))
        if in_doubt != self.in_doubt:
            self.in_doubt = in_doubt
            if in_doubt:
                self.hold_back()
            else:
                self.go_on()
        return in_doubt

    def hold_back(self) -> None:
        """Assign and end nothing that the store keeps, and don't send what was just assigned."""
        logger.warning("the lease may have ended: what the store keeps waits for its renewal")
        exchange = self.server.exchange
        exchange.step(self.clock(), DoubtLease())
        for peer in exchange.written:
            if shared.holds_stored_job(exchange.broker, peer.session):
                self.withheld[peer.session] = peer

    def go_on(self) -> None:
        """The lease is this server's after all, or what it was for is dropped."""
        if not self.away:
            logger.warning("the lease is renewed, nothing was taken over")
        exchange = self.server.exchange
        exchange.step(self.clock(), TrustLease())
        exchange.take_parked()
        withheld = self.withheld
        self.withheld = {}
        for peer in withheld.values():
            exchange.note_written(peer)
        self.server.schedule_pass()

    def withholds(self, peer: Peer) -> bool:
        """
        Return whether this peer is sent nothing until the lease is certain.

        Asked before each socket is written: sending to one wakes its worker, which may be all that
        runs for as long as this process is then stopped.
        """
        exchange = self.server.exchange
        if self.look() and shared.holds_stored_job(exchange.broker, peer.session):
            self.withheld[peer.session] = peer
        return peer.session in self.withheld

    # What the writer thread tells; called there, carried out in the event loop.

    def renewed(self) -> None:
        """The lease is this server's for its whole length."""
        if self.in_doubt:
            self.loop.call_soon_threadsafe(self.look)

    def uncertain(self, jobs: list[Job]) -> None:
        """These jobs may have been stored although the store said no."""
        self.loop.call_soon_threadsafe(self.step_uncertain, jobs)

    def forgotten(self, numbers: list[int]) -> None:
        """The store has removed these jobs."""
        self.loop.call_soon_threadsafe(self.step_forgotten, numbers)

    def joined_by_others(self, jobs: list[Job]) -> None:
        """These were refused, and other servers' submissions have joined them: they have to run."""
        self.loop.call_soon_threadsafe(self.let_in, jobs)

    def adopted(self, adoptions: Sequence[Adoption]) -> None:
        """These servers are gone, and their jobs are this one's now."""
        self.loop.call_soon_threadsafe(self.take_over, adoptions)

    def lost(self) -> None:
        """Another server has taken over."""
        self.loop.call_soon_threadsafe(self.drop_all)

    def joined(self, prefix: bytes, generation: int, found: list[Job | Damaged]) -> None:
        """This server takes part again."""
        self.loop.call_soon_threadsafe(self.take_part, prefix, generation, found)

    # In the event loop.

    def step_forgotten(self, numbers: list[int]) -> None:
        """Let jobs end that the store has removed."""
        if self.server.exchange.broker.endings:
            self.server.exchange.step(self.server.clock(), Forgotten(numbers))
            self.server.finish_pass()

    def step_uncertain(self, jobs: list[Job]) -> None:
        """Cut off who submitted jobs that nobody knows to be stored or not."""
        self.server.exchange.step(self.server.clock(), Uncertain(jobs))
        self.server.finish_pass()

    def step_coalesced(self, jobs: list[Job], coalesced: Sequence[CoalescedRow]) -> list[Job]:
        """Answer for the jobs that the store did not keep; return the others."""
        handles = {row.number: row.handle for row in coalesced}
        for job in jobs:
            if job.number in handles:
                self.server.exchange.step(self.server.clock(), Coalesced(job, handles[job.number]))
        return [job for job in jobs if job.number not in handles]

    def take_over(self, adoptions: Sequence[Adoption]) -> None:
        """Let jobs of servers that are gone wait here."""
        for adoption in adoptions:
            gone = adoption.server
            logger.warning(
                "server %s at %s is gone: %d jobs of it are taken over",
                *(gone.name, gone.address or "no address", len(adoption.found)),
            )
            self.let_in(adoption.found)

    def let_in(self, found: Sequence[Job | Damaged]) -> None:
        """Take jobs in, so many in each pass that nobody has to wait for them."""
        if found and not self.coming:
            self.loop.call_soon(self.let_next_in)
        self.coming.extend(found)

    def is_taking_in(self) -> bool:
        """Return whether jobs are being taken over, so that nobody can tell whose they are."""
        return bool(self.coming) or self.committer.looking

    def let_next_in(self) -> None:
        """Take the next jobs in."""
        now = self.server.clock()
        for _ in range(min(ADOPTED_AT_ONCE, len(self.coming))):
            one = self.coming.popleft()
            if isinstance(one, Damaged):
                logger.error("set aside row %s of the store: %s", one.row, one.reason)
            else:
                self.server.exchange.step(now, Restore(one))
        if self.coming:
            self.loop.call_soon(self.let_next_in)
        self.server.finish_pass()

    def drop_all(self) -> None:
        """Drop what another server has now, and ask for a part in the store again."""
        server = self.server
        self.look()
        self.away = True
        self.coming.clear()
        server.exchange.batch = type(server.exchange.batch)()
        server.exchange.step(self.clock(), LoseLease())
        self.look()
        server.finish_pass()
        if not server.winding_up:
            self.committer.rejoin(server.next_handle_prefix())

    def take_part(self, prefix: bytes, generation: int, found: list[Job | Damaged]) -> None:
        """Take part again, with what the store has for this server."""
        self.generation = generation
        self.away = False
        logger.warning("this server takes part again, as number %d", generation)
        self.server.exchange.step(
            self.server.clock(), JoinStore(prefix, self.server.first_number(generation))
        )
        self.let_in(found)

    def close(self) -> None:
        """Ask nobody any more."""
        self.elsewhere.close()
        self.status.close()
