"""
The databases that schedules are kept in, as SQLAlchemy reaches them.

Here is what differs between SQLite, PostgreSQL and MySQL: how one connects, what the time is, who
waits for whom, and what an error means. ``schedule_transactions`` runs transactions on any of them.
"""

from __future__ import annotations

import os
import sqlite3
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, time
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from sqlalchemy import (
    Connection,
    Engine,
    QueuePool,
    Select,
    Table,
    create_engine,
    literal_column,
    select,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.sql import Insert

from geartrain.errors import StoreDamaged, StoreError, StoreUnavailable
from geartrain.store.link import CONFLICT, DAMAGED, PASSING
from geartrain.store.shared_schema import bring_up_to_date
from geartrain.store.shared_statements import ServerStatements
from geartrain.store.sqlite import PASSING_CODES, migrate, translated
from geartrain.store.sqlite_file import WAY_OUT, check_file, check_place, identity
from geartrain.store.sqlite_statements import HEAD, STATEMENTS
from geartrain.store.sqlite_turn import LOCKED, patiently, take_turn
from geartrain.store.transactions import Transactions

if TYPE_CHECKING:
    from geartrain.store.mysql import MysqlDatabase
    from geartrain.store.postgresql import PostgresqlDatabase

__all__ = [
    "MysqlSchedules",
    "PostgresqlSchedules",
    "ScheduleDatabase",
    "SqliteSchedules",
]

# Connections that are kept, and how many more there may be at a time.
POOL: Final[dict[str, Any]] = {"pool_size": 4, "max_overflow": 12, "pool_timeout": 2.0}
# Seconds until the database ends the transaction of an instance that was stopped in the middle.
IDLE: Final = 2
# Seconds for which a measured clock is trusted.
MEASURED_FOR: Final = 1.0
# Seconds for opening, in which others may create the tables.
PATIENCE: Final = 15.0


class ScheduleDatabase(Protocol):
    """
    What differs between the databases.

    Attributes:
        name: The URL, without a password.
        engine: SQLAlchemy's.
        errors: What is raised while connecting, beside SQLAlchemy's own errors.
        rest: How long a writer has to leave the database to others, in times of what it took.

    """

    name: str
    engine: Engine
    errors: tuple[type[Exception], ...]
    rest: float

    def open(self) -> None:
        """Create or migrate the tables."""

    def begin(self, connection: Connection, end: float, writes: bool, durable: bool) -> None:
        """
        Begin a transaction that is over, or fails, at a time of ``time.monotonic``.

        Whether it is ``durable`` matters only where a sync makes other programs wait.
        """

    def now(self, connection: Connection) -> float:
        """Return the database's time."""

    def insert_new(self, table: Table) -> Insert:
        """Return an insert that leaves alone what is there already."""

    def meaning(self, error: Exception) -> int:
        """Return which of CONFLICT, LOST, PASSING and DAMAGED a driver's error is."""

    def translated(self, error: Exception) -> StoreError:
        """Return what a driver's error means for callers."""


class SqliteSchedules:
    """
    The file that is the queue's store as well; a server may have it open at the same time.

    Args:
        path: The file; created where there is none.

    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, MemoryError, StoreUnavailable)
    # One writes at a time, and a job server that finds no gap would refuse what is submitted.
    rest = 0.25

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self.name = f"sqlite:///{self.path}"
        self.engine = create_engine("sqlite://", creator=self._dial, poolclass=QueuePool, **POOL)
        # Device and inode of the file that was opened.
        self._identity = (0, 0)

    def open(self) -> None:
        """Create or migrate the tables."""
        check_place(self.path)
        self.engine.dispose()
        try:
            check_file(self.path, 0, is_shared=True)
            self._identity = identity(self.path)
            self._bring_up_to_date()
        except OSError as error:
            raise StoreUnavailable(f"{self.path} can't be used: {error.strerror}") from error
        except (sqlite3.Error, MemoryError) as error:
            raise self.translated(error) from error

    def _bring_up_to_date(self) -> None:
        connection = self._dial()
        try:
            # A server, or another scheduler, may be doing the same.
            take_turn(connection, monotonic() + PATIENCE)
            revision = find_revision(connection, self.path)
            if not revision:
                for statement in STATEMENTS.create:
                    connection.execute(statement).fetchall()
            connection.execute("COMMIT")
        finally:
            connection.close()
        if revision not in ("", HEAD):
            migrate(self.path)

    def _dial(self) -> sqlite3.Connection:
        if identity(self.path) != self._identity:
            raise StoreUnavailable(
                f"{self.path} is not the file that was opened: put that one back, or restart the "
                "scheduler to use this one"
            )
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(self.path))}?mode=rw",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            wal = "PRAGMA journal_mode = WAL"
            patiently(lambda: connection.execute(wal).fetchall(), monotonic() + IDLE)
            connection.execute("PRAGMA trusted_schema = OFF")
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, connection: Connection, end: float, writes: bool, durable: bool) -> None:
        """
        Begin a transaction; a query needs none.

        What a scheduler writes is not synced by itself, because the job server would have to wait
        for that as well, and refuse what is submitted meanwhile. A power cut may undo the last of
        it, never a part: then a fire is claimed, submitted or asked for once more. The next commit
        of the job server syncs it all.
        """
        if identity(self.path) != self._identity:
            self.engine.dispose()
            connection.invalidate()
            self._dial()
        if writes:
            driver: Any = connection.connection.driver_connection
            if connection.info.get("durable") != durable:
                driver.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                connection.info["durable"] = durable
            take_turn(driver, end)

    def now(self, _: Connection) -> float:
        """Return this machine's time, for the database is in this process."""
        return time()

    def insert_new(self, table: Table) -> Insert:
        """Return an insert that leaves alone what is there already."""
        return sqlite.insert(table).on_conflict_do_nothing()

    def meaning(self, error: Exception) -> int:
        """Return what an error means for the transaction."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in LOCKED or code == sqlite3.SQLITE_CONSTRAINT:
            return CONFLICT
        if code in PASSING_CODES or isinstance(error, MemoryError):
            return PASSING
        return DAMAGED

    def translated(self, error: Exception) -> StoreError:
        """Return what an error means for callers."""
        found = translated(error, self.path)
        return found if isinstance(found, StoreError) else StoreUnavailable(str(found))


def find_revision(connection: sqlite3.Connection, path: str) -> str:
    """Return the revision of a file's tables, empty where there are none."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in found}
    if "geartrain_version" in tables:
        rows = connection.execute("SELECT version_num FROM geartrain_version").fetchall()
        if len(rows) == 1:
            return str(rows[0][0])
    elif not any(name.startswith("geartrain_") for name in tables):
        return ""
    raise StoreDamaged(f"{path} lacks the revision of its tables. {WAY_OUT}")


class SharedSchedules:
    """
    A database that several machines share; one class for each kind says what is its own.

    Args:
        database: How it is reached.
        url: SQLAlchemy's name of its kind and driver.

    """

    rest = 0.0

    def __init__(self, database: PostgresqlDatabase | MysqlDatabase, url: str) -> None:
        self._database = database
        self._clock = ServerClock(database.now)
        self.name = database.name
        self.errors = database.errors
        self.engine = create_engine(url, creator=self._dial, poolclass=QueuePool, **POOL)

    def _dial(self) -> Any:
        """Return a new connection of the driver."""
        raise NotImplementedError

    def open(self) -> None:
        """Create or migrate the tables."""
        transactions = Transactions(self._database, ServerStatements(self._database.now))
        try:
            bring_up_to_date(self._database, transactions)
        finally:
            transactions.close()

    def begin(self, connection: Connection, end: float, writes: bool, durable: bool) -> None:
        """Begin a transaction; a query needs none."""
        raise NotImplementedError

    def now(self, connection: Connection) -> float:
        """Return the server's time."""
        return self._clock.now(connection)

    def insert_new(self, table: Table) -> Insert:
        """Return an insert that leaves alone what is there already."""
        raise NotImplementedError

    def meaning(self, error: Exception) -> int:
        """Return what an error means for the transaction."""
        return self._database.meaning(error)

    def translated(self, error: Exception) -> StoreError:
        """Return what an error means for callers."""
        said = f"{self.name}: {self._database.masked(error)}"
        if self._database.meaning(error) == DAMAGED:
            return StoreDamaged(said)
        return StoreUnavailable(said)


class PostgresqlSchedules(SharedSchedules):
    """
    A PostgreSQL database.

    Args:
        database: How it is reached.

    """

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.database = database
        super().__init__(database, "postgresql+psycopg://")

    def _dial(self) -> Any:
        connection = self.database.dial()
        try:
            connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE * 1000}")
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, connection: Connection, end: float, writes: bool, durable: bool) -> None:
        """Begin a transaction; a query needs none."""
        driver: Any = connection.connection.driver_connection
        driver.end = end
        driver.autocommit = not writes

    def insert_new(self, table: Table) -> Insert:
        """Return an insert that leaves alone what is there already."""
        return postgresql.insert(table).on_conflict_do_nothing()


class MysqlSchedules(SharedSchedules):
    """
    A database of MySQL from 8.0 or MariaDB from 10.6, Galera included.

    Args:
        database: How it is reached.

    """

    def __init__(self, database: MysqlDatabase) -> None:
        self.database = database
        super().__init__(database, "mysql+pymysql://")

    def _dial(self) -> Any:
        from pymysql import MySQLError
        from pymysql.constants import CLIENT

        # Counts are those of the rows that were found, changed or not.
        connection, in_cluster = self.database.dial(CLIENT.FOUND_ROWS)
        try:
            with connection.cursor() as cursor:
                if in_cluster:
                    # A node may not have applied yet what another has committed.
                    cursor.execute("SET SESSION wsrep_sync_wait = 1")
                try:
                    cursor.execute(f"SET SESSION idle_transaction_timeout = {IDLE}")
                except MySQLError as error:
                    if error.args[0] != UNKNOWN_VARIABLE:
                        raise
                    cursor.execute("SET SESSION wait_timeout = 30")
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, connection: Connection, end: float, writes: bool, durable: bool) -> None:
        """Begin a transaction; each of its statements fails at its end."""
        driver: Any = connection.connection.driver_connection
        left = max(0.1, end - monotonic())
        # The driver has no other way to give each transaction a time of its own.
        driver._read_timeout = driver._write_timeout = left

    def insert_new(self, table: Table) -> Insert:
        """Return an insert that leaves alone what is there already."""
        # INSERT IGNORE would also ignore what is cut off.
        key = next(iter(table.primary_key))
        return mysql.insert(table).on_duplicate_key_update({key.name: key})


UNKNOWN_VARIABLE: Final = 1193


class ServerClock:
    """
    A database server's clock, told without asking it each time.

    It is measured each second, by a clock of this machine that nobody sets and that goes on while
    the process is stopped. What is told is never ahead of the server's clock, and behind it by no
    more than an answer took.

    Args:
        query: SQL of the server's time.

    """

    def __init__(self, query: str) -> None:
        self._query: Select[tuple[Any]] = select(literal_column(query))
        self._ahead = 0.0
        self._took = 0.0
        self._measured = float("-inf")

    def now(self, connection: Connection) -> float:
        """Return the server's time."""
        here = clock_gettime(CLOCK_BOOTTIME)
        if not 0 <= here - self._measured < MEASURED_FOR:
            return self._measure(connection, here)
        return here + self._ahead

    def _measure(self, connection: Connection, asked: float) -> float:
        found = float(connection.execute(self._query).scalar_one())
        answered = clock_gettime(CLOCK_BOOTTIME)
        ahead, took = found - answered, answered - asked
        # An answer that was long on its way tells less than an earlier one, unless that is wrong.
        if took <= self._took or not 0 <= self._ahead - ahead <= took:
            self._ahead, self._took = ahead, took
        # In time a shorter one is forgotten, for clocks drift.
        self._took *= 1.1
        self._measured = answered
        return answered + self._ahead
