"""
A server's place among those that share a database: its row, and the rows it has taken over.
"""

from __future__ import annotations

from typing import Final

from geartrain.errors import StoreDamaged, UsageError
from geartrain.store.mapper import GENERATION_BITS, LEAP, MAX_GENERATION
from geartrain.store.shared_mapper import bounds
from geartrain.store.shared_rows import ENDED, ITSELF, MAX_NAME, ServerRow
from geartrain.store.shared_statements import ServerStatements
from geartrain.store.transactions import Transaction, Transactions

__all__ = ["Membership"]

# Seconds for joining.
PATIENCE: Final = 15.0
LEAST_NUMBER: Final = -(2**63)
LARGEST_NUMBER: Final = 2**63 - 1


class Membership:
    """
    Which generations a server holds.

    Args:
        transactions: The server's; its generation is set here.
        statements: About servers.
        name: Of the server.
        address: Where others reach it.

    Attributes:
        held: The generations whose jobs this server was given.

    """

    def __init__(
        self, transactions: Transactions, statements: ServerStatements, name: str, address: str
    ) -> None:
        self.transactions = transactions
        self.statements = statements
        self.name = name.encode()
        self.address = address.encode()
        if not 1 <= len(self.name) <= MAX_NAME or len(self.address) > MAX_NAME:
            raise UsageError(
                f"a server's name takes 1 to {MAX_NAME} bytes and its address no more, "
                f"not {name!r} and {address!r}"
            )
        self.held: set[int] = set()

    # Joining and leaving.

    def join(self, handle_prefix: bytes) -> int:
        """Take a generation, and what nobody else holds; return the generation."""

        def work(transaction: Transaction) -> tuple[int, set[int]]:
            rows = self.rows(transaction)
            generation = self.next_generation(transaction, rows)
            row = (generation, self.name, self.address, handle_prefix)
            transaction.run(
                [(self.statements.join, (*row, self.transactions.lease, ITSELF))],
            )
            taken = {
                old.generation
                for old in rows.values()
                if old.taken_by == ITSELF
                and (self.is_mine(old) or old.lease_left < 0)
                and self.take(transaction, generation, old, forced=self.is_mine(old))
            }
            # What the servers taken over had themselves taken.
            taken |= {old.generation for old in rows.values() if old.taken_by in taken}
            used = self.used_generations(transaction)
            orphans = used - rows.keys()
            self.adopt_orphans(transaction, generation, orphans)
            self.forget_rows(transaction, generation, rows, used)
            return generation, {generation, *taken, *orphans}

        generation, self.held = self.transactions.run(work, fenced=False, patience=PATIENCE)
        self.transactions.generation = generation
        # Nothing is renewed before this is known.
        self.transactions.run(lambda one: one.run(()))
        return generation

    def is_mine(self, row: ServerRow) -> bool:
        """Return whether a row is of an earlier process of this server."""
        return row.name.encode() == self.name and row.address.encode() == self.address

    def next_generation(self, transaction: Transaction, rows: dict[int, ServerRow]) -> int:
        """Return a generation larger than any that was started."""
        # Rows without a name are of nobody's generation.
        generation = max((row.generation for row in rows.values() if row.name), default=0) + 1
        limit = min((generation + LEAP) << GENERATION_BITS, LARGEST_NUMBER)
        for (highest,) in transaction.read(self.statements.highest, (limit,)):
            if highest is not None:
                generation = max(generation, (highest >> GENERATION_BITS) + 1)
        while generation in rows:
            generation += 1
        if generation > MAX_GENERATION:
            raise StoreDamaged(
                f"the store has used up its {MAX_GENERATION} generations: "
                "the numbers in geartrain_servers are wrong"
            )
        return generation

    def leave(self) -> None:
        """End the lease, and say whether there is anything to take over."""

        def work(transaction: Transaction) -> None:
            left = any(self.first_number(transaction, held) for held in self.held)
            state = ITSELF if left else ENDED
            end = (self.statements.end, (state, self.transactions.generation))
            transaction.run([end])

        self.transactions.run(work)

    # Taking over.

    def take_expired(self) -> list[tuple[ServerRow, bool]]:
        """
        Take over the servers whose lease has ended.

        Returns the rows of the generations that were taken and not yet ``held``, and
        whether each was taken just now.
        """
        rows = self.transactions.run(self.rows)
        generation = self.transactions.generation
        taken: set[int] = set()
        for row in rows.values():
            if row.taken_by == ITSELF and row.generation != generation and row.lease_left < 0:
                old = row
                if self.transactions.run(lambda one: self.take(one, generation, old)):  # noqa: B023
                    taken.add(row.generation)
        if taken:
            rows = self.transactions.run(self.rows)
        return [
            (row, row.generation in taken)
            for row in rows.values()
            if row.taken_by == generation and row.generation not in self.held
        ]

    def take(
        self, transaction: Transaction, generation: int, old: ServerRow, *, forced: bool = False
    ) -> bool:
        """Take over one server; return whether nobody else had."""
        if self.transactions.database.free:
            transaction.read(self.transactions.database.free, (old.generation,))
        won = transaction.run(
            [(self.statements.take, (generation, old.generation, int(forced)))]
        ) == [1]
        if won:
            transaction.run([(self.statements.take_after, (generation, old.generation))])
        return won

    # Jobs of no known generation.

    def claim_orphans(self) -> None:
        """Take over jobs whose numbers start with no generation that there is a row of."""

        def work(transaction: Transaction) -> set[int]:
            orphans = self.used_generations(transaction) - self.rows(transaction).keys()
            self.adopt_orphans(transaction, self.transactions.generation, orphans)
            return orphans

        self.held |= self.transactions.run(work, patience=PATIENCE)

    def claim(self, transaction: Transaction, generation: int) -> bool:
        """Take over a generation that nobody holds; return whether this server holds it."""
        if generation in self.held:
            return True
        row = self.rows(transaction).get(generation)
        if row is None:
            self.adopt_orphans(transaction, self.transactions.generation, {generation})
        elif row.taken_by != ENDED or not self.take(
            transaction, self.transactions.generation, row, forced=True
        ):
            return False
        self.held.add(generation)
        return True

    def adopt_orphans(self, transaction: Transaction, generation: int, orphans: set[int]) -> None:
        """Write a row for each of these generations that says who holds its jobs."""
        join = self.statements.join
        transaction.run(
            [(join, (orphan, b"", b"", b"", 0.0, generation)) for orphan in sorted(orphans)]
        )

    # Rows.

    def rows(self, transaction: Transaction) -> dict[int, ServerRow]:
        """Return the rows of all generations, in their order."""
        found = map(ServerRow, transaction.read(self.statements.servers))
        return {row.generation: row for row in found}

    def used_generations(self, transaction: Transaction) -> set[int]:
        """Return with which generations numbers of jobs start."""
        used: set[int] = set()
        at = LEAST_NUMBER
        while at <= LARGEST_NUMBER:
            ((number,),) = transaction.read(self.statements.next_number, (at,))
            if number is None:
                break
            used.add(number >> GENERATION_BITS)
            at = bounds(number >> GENERATION_BITS)[1] + 1
        return used

    def first_number(self, transaction: Transaction, generation: int) -> bool:
        """Return whether a generation has any job."""
        first, last = bounds(generation)
        ((number,),) = transaction.read(self.statements.next_number, (first,))
        return number is not None and number <= last

    def forget_rows(
        self,
        transaction: Transaction,
        generation: int,
        rows: dict[int, ServerRow],
        used: set[int],
    ) -> None:
        """Forget earlier generations that have no jobs; the latest is kept, to count on."""
        transaction.run(
            [
                (self.statements.forget, (row.generation,))
                for row in rows.values()
                if row.generation < generation and row.generation not in used
            ]
        )
