"""
Transactions of one server on a database that others share: fenced, tried again, never in doubt.

A fenced transaction begins by writing the server's own row, and ends without a trace when
another server has taken it over. One that failed before its COMMIT was sent has changed
nothing, and is tried again while there is time; one that lost its connection later is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from geartrain.errors import JobsRefused, LeaseLost, StoreDamaged, StoreError, StoreUnavailable
from geartrain.store.link import CONFLICT, DAMAGED, LOST, REFUSED, Connector, Database, Link
from geartrain.store.shared_statements import ServerStatements

__all__ = ["PATIENCE", "Transaction", "Transactions"]

T = TypeVar("T")

# Seconds until a transaction is given up, with all its attempts: refused within a second.
PATIENCE: Final = 0.8
# Seconds between two statements of a transaction until the database ends it.
IDLE: Final = 2
# Less than so many seconds are not enough for another attempt.
ATTEMPT: Final = 0.1
# Between two attempts to connect, in seconds.
PAUSE: Final = 0.02

Statement = tuple[str, Sequence[object]]


class Transaction:
    """
    What may be done within one transaction.

    Args:
        link: The connection.
        first: Statements to run before any other.
        fenced: Whether the first of these has to change a row.

    """

    def __init__(self, link: Link, first: Sequence[Statement], fenced: bool) -> None:
        self._link = link
        self._first = first
        self._fenced = fenced

    def run(self, statements: Sequence[Statement]) -> list[int]:
        """Run statements in their order; return how many rows each of them changed."""
        first, self._first = self._first, ()
        counts = self._link.run([*first, *statements])
        if first and self._fenced and counts[0] == 0:
            raise LeaseLost("another server has taken this one's jobs over")
        return counts[len(first) :]

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[Sequence[Any]]:
        """Return the rows of a query."""
        if self._first:
            self.run(())
        return self._link.read(statement, parameters)


class Transactions:
    """
    Runs transactions, one at a time.

    Args:
        database: Where.
        statements: The statements about servers.

    Attributes:
        generation: Of the server; 0 for none, and then no transaction may be fenced.
        lease: How long a renewal lasts, in seconds.

    """

    def __init__(self, database: Database, statements: ServerStatements) -> None:
        self.database = database
        self.statements = statements
        self.generation = 0
        self.lease = 0.0
        self._renewals = 0
        self._connector = Connector(database.connect)
        self._link: Link | None = None

    def run(
        self,
        work: Callable[[Transaction], T],
        *,
        fenced: bool = True,
        patience: float = PATIENCE,
        idle: int = IDLE,
    ) -> T:
        """
        Do something in a transaction and commit it.

        Args:
            work: Called again for another attempt.
            fenced: Whether it renews the lease, and has to hold it.
            patience: Seconds for all attempts.
            idle: Seconds that may pass between two of its statements.

        Raises LeaseLost, StoreUnavailable and StoreDamaged, and what ``work`` raises.
        """
        started = monotonic()
        end = started + patience
        doubtful: tuple[int, T] | None = None
        while True:
            finished: tuple[int, T] | None = None
            try:
                link = self._linked(end)
                link.limit(end, idle)
                if doubtful is not None and self._is_at(link, doubtful[0]):
                    finished = doubtful
                    link.rollback()
                else:
                    done = work(self._begin(link, fenced))
                    finished = (self._renewals, done)
                    link.commit()
                return finished[1]
            except self.database.errors as error:
                meaning = self.database.meaning(error)
                if finished is not None and meaning == LOST and fenced:
                    doubtful = finished
                linked = self._link is not None
                self._give_way(meaning)
                # Who waits for longer than usual does not wait for a database that is not there.
                last = end if linked else min(end, started + PATIENCE)
                if meaning in (CONFLICT, LOST) and monotonic() + ATTEMPT < last:
                    if not linked:
                        # Where connecting fails at once, not again and again in that time.
                        sleep(PAUSE)
                    continue
                failure = self.translated(error)
                if isinstance(failure, StoreUnavailable):
                    failure.unknown = doubtful is not None
                raise failure from error
            except BaseException as error:
                if isinstance(error, StoreUnavailable):
                    error.unknown = doubtful is not None
                self._give_way(CONFLICT)
                raise

    def _begin(self, link: Link, fenced: bool) -> Transaction:
        if not fenced:
            return Transaction(link, (), False)
        self._renewals += 1
        renewal = (self.statements.renew, (self.lease, self._renewals, self.generation))
        return Transaction(link, (renewal,), True)

    def _is_at(self, link: Link, renewals: int) -> bool:
        """Return whether the transaction that wrote so many renewals got through."""
        # Waits for one that is still under way.
        rows = link.read(self.statements.renewals, (self.generation,))
        return [row[0] for row in rows] == [renewals]

    def translated(self, error: Exception) -> StoreError:
        """Return what a driver's error means for the server."""
        said = f"{self.database.name}: {self.database.masked(error)}"
        meaning = self.database.meaning(error)
        if meaning == DAMAGED:
            return StoreDamaged(said)
        if meaning == REFUSED:
            return JobsRefused(said)
        return StoreUnavailable(said)

    # The connection.

    def _linked(self, end: float) -> Link:
        if self._link is None:
            try:
                self._link = self._connector.take(max(ATTEMPT, end - monotonic()))
            except StoreUnavailable as error:
                raise StoreUnavailable(f"{self.database.name}: {error}") from None
        return self._link

    def _give_way(self, meaning: int) -> None:
        """Undo what was begun; use the connection no more if it may be broken."""
        if self._link is not None and meaning == CONFLICT:
            try:
                self._link.rollback()
                return
            except self.database.errors:
                pass
        self.drop()

    def drop(self) -> None:
        """Close the connection; the next transaction makes another."""
        link, self._link = self._link, None
        if link is not None:
            with suppress(*self.database.errors):
                link.close()

    def close(self) -> None:
        """Close the connection, and one that may be coming."""
        self._connector.close()
        self.drop()
