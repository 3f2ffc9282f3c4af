"""
The store of several servers, in a relational database.

Everything is written by one connection, in transactions that begin by writing the server's own
row of ``geartrain_servers``. So a commit and a takeover of the same server exclude each other, in
PostgreSQL and InnoDB by the lock of that row, in a Galera cluster by certification.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import ceil
from typing import Final

from geartrain.broker.job import Job
from geartrain.errors import JobsRefused, StoreError, UsageError
from geartrain.store.batch import Batch, Coalesced, DeadLetter, Result
from geartrain.store.link import Database
from geartrain.store.mapper import GENERATION_BITS, readable
from geartrain.store.membership import Membership
from geartrain.store.queue_store import Damaged
from geartrain.store.rows import MAX_HANDLE, read_result, read_row
from geartrain.store.shared_mapper import Page, SharedMapper, bounds
from geartrain.store.shared_rows import ITSELF, ServerRow
from geartrain.store.shared_schema import bring_up_to_date
from geartrain.store.shared_statements import ServerStatements
from geartrain.store.shared_store import Adoption, Member
from geartrain.store.transactions import IDLE, PATIENCE, Transaction, Transactions

__all__ = ["LEASE", "SharedSqlStore"]

logger = logging.getLogger("geartrain.store")

# Seconds that others leave a server's jobs alone after it was heard of last.
LEASE: Final = 3.0
# Seconds that opening, reading a page of jobs, and counting them may take.
LONG_PATIENCE: Final = 15.0
# Bytes a second that any database can take, on top of what a commit has to be done in.
SLOWEST: Final = 4 * 1024 * 1024
# Bytes that don't count there.
SMALL: Final = 8 * 1024 * 1024
# Revived jobs whose generation another server holds get numbers from here on, in this one's;
# the broker's own count never comes so far.
REVIVED: Final = 1 << (GENERATION_BITS - 1)


class SharedSqlStore:
    """
    A queue store that several servers use at once; see ``SharedStore``.

    Args:
        database: Which database, and how to reach it.
        handle_prefix: Start of the handles that this server gives out.
        server: Name of the server.
        address: ``HOST:PORT`` at which others reach it.
        lease: Seconds.
        reader: A copy of the database that is asked for counts; the same by default.

    """

    def __init__(
        self,
        database: Database,
        *,
        handle_prefix: bytes,
        server: str,
        address: str = "",
        lease: float = LEASE,
        reader: Database | None = None,
    ) -> None:
        if len(handle_prefix) > MAX_HANDLE:
            raise UsageError(f"the handle prefix is longer than {MAX_HANDLE} bytes")
        self.handle_prefix = handle_prefix
        self.database = database
        self._lease = lease
        statements = ServerStatements(database.now)
        self._statements = statements
        self._writer = Transactions(database, statements)
        self._writer.lease = lease
        self._membership = Membership(self._writer, statements, server, address)
        # Made anew when it is known what the database takes.
        self._mapper = self._new_mapper()
        self._revived = 0
        # For threads that ask about members at any time.
        self._asking = threading.Lock()
        self._asker = Transactions(database, statements)
        self._reader = Transactions(reader, statements) if reader else self._asker

    @property
    def durable(self) -> bool:
        """True."""
        return True

    @property
    def name(self) -> str:
        """The store's URL, without a password."""
        return self.database.name

    @property
    def lease(self) -> float:
        """For how many seconds others leave this server's jobs alone after a renewal."""
        return self._lease

    # Opening.

    def open(self) -> int:
        """Create or migrate the tables where needed, and join the servers; see ``SharedStore``."""
        self._writer.close()
        self._revived = 0
        try:
            bring_up_to_date(self.database, self._writer)
            generation = self._membership.join(self.handle_prefix)
        except BaseException:
            self._writer.close()
            raise
        self._mapper = self._new_mapper()
        for remark in self.database.remarks:
            logger.warning("%s: %s", self.database.name, remark)
        return generation

    def _new_mapper(self) -> SharedMapper:
        database = self.database
        return SharedMapper(
            database.statements, self._statements, database.escaped_size, database.room
        )

    # Serving.

    def replay(self) -> Iterator[Job | Damaged]:
        """Yield every job that this server holds, in the order of numbers, and damaged rows."""
        self._membership.claim_orphans()
        handles: set[bytes] = set()
        for generation in sorted(self._membership.held):
            yield from self._jobs(generation, handles)

    def _jobs(self, generation: int, handles: set[bytes]) -> Iterator[Job | Damaged]:
        """Yield what there is of one generation, renewing the lease with each page."""
        page = Page()
        at, end = bounds(generation)
        while True:
            query = (self._statements.page, (at, end, page.rows))
            rows = self._writer.run(lambda one: one.read(*query), patience=LONG_PATIENCE)  # noqa: B023
            for row in rows:
                job = read_row(row)
                if isinstance(job, Job):
                    # A handle has to name one job; a copied row would share it.
                    if job.handle in handles:
                        job = Damaged(f"number {job.number}", f"handle {job.handle!r} is taken")
                    else:
                        handles.add(job.handle)
                yield job
            if len(rows) < page.rows or rows[-1][0] >= end:
                return
            at = rows[-1][0] + 1
            page.note(rows)

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        """Make all of it durable in one transaction, or none of it; see ``SharedStore``."""
        self._refuse_large(batch.adds)
        steps = self._mapper.steps(batch)
        if not steps:
            return ()
        statements = [(statement, parameters) for statement, parameters, _ in steps]

        def work(transaction: Transaction) -> Sequence[Coalesced]:
            coalesced = self._mapper.settle(transaction, steps, transaction.run(statements))
            return coalesced + self._mapper.left_in(transaction, batch.refused)

        size = sum(len(job.workload) for job in batch.adds)
        longer = max(0, size - SMALL) / SLOWEST
        # A driver takes its time to put a large statement together.
        return self._writer.run(work, patience=PATIENCE + longer, idle=IDLE + ceil(longer))

    def _refuse_large(self, jobs: Sequence[Job]) -> None:
        """Raise JobsRefused for jobs that are larger than a statement may be."""
        # Another node, or the same one later, may take more or less.
        self._mapper.room = self.database.room
        large = [job for job in jobs if not self._mapper.fits(job)]
        if large:
            raise JobsRefused(
                f"it takes {self._mapper.size(large[0])} bytes in a statement, more than "
                f"{self.database.room_setting} ({self.database.room} bytes): raise that, or lower "
                "max_packet",
                [job.number for job in large],
            )

    def close(self) -> None:
        """End the lease, so that others take over at once, and disconnect. Safe to call twice."""
        if self._writer.generation:
            with suppress(StoreError):
                self._membership.leave()
        self._writer.generation = 0
        self._writer.close()
        with self._asking:
            self._asker.close()
            self._reader.close()

    # What was kept of jobs that ended.

    def result(self, handle: bytes) -> Result | None:
        """Return what a job ended with; see ``QueueStore``."""
        statement = self.database.statements.result
        rows = self._writer.run(lambda one: one.read(statement, (handle,)), fenced=False)
        found = [read_result(row) for row in rows]
        return next((result for result in found if isinstance(result, Result)), None)

    def results(self, after: bytes, limit: int) -> Sequence[Result]:
        """Return results in the order of handles; see ``QueueStore``."""
        query = (self.database.statements.results, (after, limit))
        rows = self._writer.run(lambda one: one.read(*query), fenced=False, patience=LONG_PATIENCE)
        found = [read_result(row) for row in rows]
        return [result for result in found if isinstance(result, Result)]

    def forget_results(self, now: float) -> None:
        """Forget the results that have expired; see ``QueueStore``."""
        forget = (self.database.statements.forget_results, (now,))
        self._writer.run(lambda one: one.run([forget]), fenced=False)

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters in the order of their numbers; see ``QueueStore``."""
        query = (self.database.statements.letters, (after, limit))
        return readable(self._writer.run(lambda one: one.read(*query), fenced=False))

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        """Return the dead letter of a handle; see ``QueueStore``."""
        return self._writer.run(lambda one: self._letter(one, handle), fenced=False)

    def _letter(self, transaction: Transaction, handle: bytes) -> DeadLetter | None:
        rows = transaction.read(self.database.statements.letter, (handle,))
        return next(iter(readable(rows)), None)

    def revive(self, handle: bytes) -> Job | None:
        """
        Make a dead letter a job again; see ``QueueStore``.

        Where another server holds the jobs of its number's generation, it gets a new number.
        """

        def work(transaction: Transaction) -> Job | None:
            letter = self._letter(transaction, handle)
            if letter is None:
                return None
            job, buried = letter.job, letter.job.number
            job.attempts = job.epoch = 0
            if not self._membership.claim(transaction, buried >> GENERATION_BITS):
                job.number = bounds(self._writer.generation)[0] + REVIVED + self._revived
                self._revived += 1
            steps = self._mapper.add_steps([job])
            counts = transaction.run([(statement, values) for statement, values, _ in steps])
            self._mapper.settle(transaction, steps, counts)
            transaction.run([(self.database.statements.unbury, (buried,))])
            return job

        return self._writer.run(work)

    def remove_dead_letter(self, handle: bytes) -> bool:
        """Forget a dead letter for good; see ``QueueStore``."""

        def work(transaction: Transaction) -> bool:
            letter = self._letter(transaction, handle)
            if letter is None:
                return False
            unbury = self.database.statements.unbury
            return transaction.run([(unbury, (letter.job.number,))]) != [0]

        return self._writer.run(work)

    # Servers.

    def renew(self) -> None:
        """Make the lease last for its whole length from now; see ``SharedStore``."""
        self._writer.run(lambda one: one.run(()))

    def adopt(self) -> Sequence[Adoption]:
        """Take over from each server whose lease has ended; see ``SharedStore``."""
        taken = self._membership.take_expired()
        adoptions: list[Adoption] = []
        handles: set[bytes] = set()
        for row, directly in taken:
            found = list(self._jobs(row.generation, handles))
            # What an earlier takeover of that server's left need not be told of.
            if found or directly:
                adoptions.append(Adoption(row.member(len(found)), found))
        self._membership.held.update(row.generation for row, _ in taken)
        return adoptions

    def find(self, handle: bytes) -> Member | None:
        """Return the server that can tell about a handle; see ``SharedStore``."""
        prefix = handle.rpartition(b":")[0]
        rows = self._server_rows()
        for row in reversed(rows.values()):
            if row.prefix == prefix:
                holder = rows.get(row.taken_by, row)
                return holder.member()
        return None

    def members(self, counting: bool = True) -> Sequence[Member]:
        """Return all servers whose jobs nobody has taken over; see ``SharedStore``."""
        rows = self._server_rows()
        if not counting:
            return [row.member() for row in rows.values() if row.taken_by == ITSELF]
        counts = dict.fromkeys(rows, 0)
        with self._asking:
            for row in rows.values():
                count = self._reader.run(
                    lambda one: one.read(self._statements.count, bounds(row.generation)),  # noqa: B023
                    fenced=False,
                    patience=LONG_PATIENCE,
                )
                holder = row.taken_by if row.taken_by in rows else row.generation
                counts[holder] += count[0][0]
        return [
            row.member(counts[row.generation]) for row in rows.values() if row.taken_by == ITSELF
        ]

    def _server_rows(self) -> dict[int, ServerRow]:
        """Return the rows of all generations, in their order."""
        with self._asking:
            found = self._asker.run(lambda one: one.read(self._statements.servers), fenced=False)
        return {row.generation: row for row in map(ServerRow, found)}
