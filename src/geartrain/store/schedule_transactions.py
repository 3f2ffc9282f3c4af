"""
Transactions on a database of schedules: tried again, fenced, and over in time.

A transaction that another one stood in the way of is run once more while there is time. One that
lost its connection is run again as well, on a new connection, unless its COMMIT was under way:
then nobody knows, and only work that is harmless twice is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from random import uniform
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Executable, Table, bindparam, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from geartrain.errors import LeaseLost, StoreError, StoreUnavailable
from geartrain.store.link import CONFLICT, LOST
from geartrain.store.schedule_database import ScheduleDatabase
from geartrain.store.schedule_rows import Owner
from geartrain.store.schedule_tables import instances

__all__ = ["LONG", "PATIENCE", "ScheduleTransactions", "Transaction", "lots"]

T = TypeVar("T")
R = TypeVar("R")

# Seconds until a transaction is given up, with all its attempts.
PATIENCE: Final = 2.0
# For what a person waits for, such as adding many entries.
LONG: Final = 30.0
# Seconds between two attempts, at most.
PAUSE: Final = 0.02
# Values that one statement names.
LOT: Final = 500


def lots(values: Sequence[T], size: int = LOT) -> Iterable[Sequence[T]]:
    """Yield values in lots that one statement can name."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


class Transaction:
    """
    What may be done within one transaction.

    Attributes:
        now: The database's time at its beginning.
        attempt: 0 for the first attempt.
        dialect: SQLAlchemy's name of the database.

    """

    def __init__(
        self, connection: Connection, database: ScheduleDatabase, now: float, attempt: int
    ) -> None:
        self._connection = connection
        self._database = database
        self.now = now
        self.attempt = attempt
        self.dialect = connection.dialect.name

    def rows(
        self, statement: Executable, parameters: Mapping[str, object] | None = None
    ) -> Sequence[Any]:
        """Return the rows of a query."""
        return self._connection.execute(statement, parameters).fetchall()

    def run(self, statement: Executable, parameters: Mapping[str, object] | None = None) -> int:
        """Run a statement; return how many rows it found."""
        return self._connection.execute(statement, parameters).rowcount

    def many(self, statement: Executable, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a statement once for each row."""
        if rows:
            self._connection.execute(statement, rows)

    def insert(self, statement: Executable, row: Mapping[str, object]) -> int:
        """Insert one row; return the key that the database gave it."""
        found = self._connection.execute(statement, row).inserted_primary_key
        assert found is not None, "the table's key is given by the database"
        return int(found[0])

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows; those whose key is there already are left as they are."""
        if rows:
            self._connection.execute(self._database.insert_new(table), rows)

    def fence(self, me: Owner) -> None:
        """Raise LeaseLost unless ``me`` holds its lease; whoever ends it waits from here on."""
        found = self.run(FENCE, {"instance": me.instance, "held": me.epoch, "now": self.now})
        if found != 1:
            raise LeaseLost(
                f"the scheduler {me.instance} has lost its lease: its fires are another's by now"
            )


class ScheduleTransactions:
    """
    Runs transactions, in any thread.

    Args:
        database: Where.
        clock: The time instead of the database's, for tests.

    """

    def __init__(self, database: ScheduleDatabase, clock: Callable[[], float] | None) -> None:
        self.database = database
        self._clock = clock
        self._errors: tuple[type[Exception], ...] = (SQLAlchemyError, *database.errors)
        # Until when others shall be able to write, by ``time.monotonic``.
        self._rests_until = 0.0

    def read(self, work: Callable[[Transaction], T], patience: float = PATIENCE) -> T:
        """Do something that writes nothing."""
        return self.run(work, writes=False, again=True, patience=patience)

    def run(
        self,
        work: Callable[[Transaction], T],
        *,
        writes: bool = True,
        again: bool = False,
        durable: bool = False,
        patience: float = PATIENCE,
    ) -> T:
        """
        Do something in a transaction and commit it.

        Args:
            work: Called again for another attempt.
            writes: False for queries that need not see one state.
            again: Whether it may be done again after a COMMIT of unknown outcome.
            durable: Whether it has to outlive a power cut also where that makes others wait.
            patience: Seconds for all attempts.

        Raises StoreUnavailable, StoreDamaged, and what ``work`` raises.
        """
        end = monotonic() + patience
        attempt = 0
        while True:
            once = Once(self, end, writes, durable)
            if writes:
                sleep(max(0.0, min(end, self._rests_until) - monotonic()))
            try:
                return once.run(work, attempt)
            except PoolTimeout as error:
                raise StoreUnavailable(f"{self.database.name}: all connections are busy") from error
            except self._errors as error:
                cause = cause_of(error)
                if isinstance(cause, StoreError):
                    raise
                if isinstance(cause, SQLAlchemyError):
                    # A mistake of ours, not the database's.
                    raise
                meaning = self.database.meaning(cause)
                doubtful = once.committing and meaning == LOST
                may = meaning == CONFLICT or (meaning == LOST and (again or not doubtful))
                if not may or monotonic() + PAUSE >= end:
                    failure = self.database.translated(cause)
                    if isinstance(failure, StoreUnavailable):
                        failure.unknown = doubtful
                    raise failure from error
            attempt += 1
            # Two that stood in each other's way should not meet again.
            sleep(uniform(0, PAUSE) if attempt > 1 else uniform(0, PAUSE / 10))

    def rest(self, seconds: float) -> None:
        """Leave the database to others for some time, after having it for so long."""
        self._rests_until = monotonic() + seconds * self.database.rest

    def now(self, connection: Connection) -> float:
        """Return the time."""
        return self._clock() if self._clock else self.database.now(connection)

    def close(self) -> None:
        """Close all connections."""
        self.database.engine.dispose()


class Once:
    """
    One attempt of a transaction.

    Attributes:
        committing: Whether its COMMIT was begun.

    """

    def __init__(
        self, transactions: ScheduleTransactions, end: float, writes: bool, durable: bool
    ) -> None:
        self._transactions = transactions
        self._database = transactions.database
        self._end = end
        self._writes = writes
        self._durable = durable
        self.committing = False

    def run(self, work: Callable[[Transaction], T], attempt: int) -> T:
        """Run it; whatever is raised, the connection is given back clean or not at all."""
        connection = self._database.engine.connect()
        began = 0.0
        try:
            self._database.begin(connection, self._end, self._writes, self._durable)
            began = monotonic()
            now = self._transactions.now(connection)
            done = work(Transaction(connection, self._database, now, attempt))
            self.committing = self._writes
            connection.commit()
        except BaseException as error:
            self._give_up(connection, error)
            raise
        finally:
            if self._writes and began:
                self._transactions.rest(monotonic() - began)
        connection.close()
        return done

    def _give_up(self, connection: Connection, error: BaseException) -> None:
        """Undo what was begun; drop a connection that may be broken, and those beside it."""
        cause = cause_of(error)
        lost = False
        if isinstance(error, (DBAPIError, *self._database.errors)) and isinstance(cause, Exception):
            lost = not isinstance(cause, StoreError) and self._database.meaning(cause) != CONFLICT
        with suppress(SQLAlchemyError, *self._database.errors):
            if lost:
                connection.invalidate()
                self._database.engine.dispose()
            else:
                connection.rollback()
        with suppress(SQLAlchemyError, *self._database.errors):
            connection.close()


def cause_of(error: BaseException) -> Any:
    """Return the driver's error that SQLAlchemy has wrapped."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    return error


FENCE: Final = (
    update(instances)
    .values(writes=instances.c.writes + 1)
    .where(
        instances.c.name == bindparam("instance"),
        instances.c.epoch == bindparam("held"),
        instances.c.expires > bindparam("now"),
    )
)
