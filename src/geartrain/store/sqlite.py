"""
The embedded store: one SQLite file, nothing to install.

A commit has returned when the write-ahead log is synced (``synchronous=FULL``),
so what was acknowledged survives kill -9 and power cuts. Whatever goes wrong
with the disk refuses the commit at hand and heals with a later one; a file
that can't be read is left as it is, and the store doesn't open.

The driver is used without SQLAlchemy: the statements were compiled beforehand,
and a database that is up to date needs no migration.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Final, TypeVar
from urllib.parse import quote

from geartrain.broker.job import Job
from geartrain.errors import JobsRefused, StoreDamaged, StoreError, StoreUnavailable, UsageError
from geartrain.store.batch import Batch, Coalesced, DeadLetter, Result
from geartrain.store.gearmand_table import (
    Imported,
    check_table,
    import_table,
    is_gearmands,
    offer_view,
)
from geartrain.store.lock import StoreLock
from geartrain.store.mapper import Cursor, SqlMapper, Step
from geartrain.store.queue_store import Damaged
from geartrain.store.rows import MAX_HANDLE
from geartrain.store.sqlite_file import (
    WAY_OUT,
    check_file,
    check_place,
    emptied,
    identity,
    no_database,
)
from geartrain.store.sqlite_statements import HEAD, STATEMENTS
from geartrain.store.sqlite_turn import LOCKED, is_locked, patiently, take_turn

__all__ = ["SqliteStore", "migrate", "translated"]

T = TypeVar("T")

# How long a commit waits for another program that writes, in seconds. Two waits in a row
# still refuse within a second.
PATIENCE: Final = 0.4
# The largest row SQLite has, in bytes, less what the other columns may take.
MAX_WORKLOAD: Final = 1_000_000_000 - 300_000
# Behind the prefix, an imported job's handle has a colon, a zero and the job's number.
ROOM: Final = 21
# Multi-row statements have up to 5,120 parameters.
OLDEST: Final = (3, 32, 0)

# What SQLite says when it can't write or read now; any other error is about what is there.
PASSING_CODES: Final = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    )
)
# While it serves, it waits for its turn by itself; see ``sqlite_turn``.
WAIT_YOURSELF: Final = "PRAGMA busy_timeout = 0"


class SqliteStore:
    """
    A queue store in one file.

    Its methods may be called from different threads, one at a time.

    Args:
        path: The file; created where there is none.
        handle_prefix: Start of the handles of jobs imported from gearmand, as the broker's.
        table: Where gearmand's table is looked for, and a view like it is offered.

    Attributes:
        path: The file, absolute and without links.
        imported: What ``open`` took over from gearmand's table, None if there was none.

    """

    def __init__(self, path: str, *, handle_prefix: bytes, table: str = "gearman_queue") -> None:
        check_table(table)
        if len(handle_prefix) > MAX_HANDLE - ROOM:
            raise UsageError(
                f"the handle prefix is longer than {MAX_HANDLE - ROOM} bytes: {handle_prefix!r}"
            )
        if sqlite3.sqlite_version_info < OLDEST:
            raise UsageError(f"SQLite {sqlite3.sqlite_version} is too old: 3.32 is needed")
        self.path = os.path.realpath(path)
        self.handle_prefix = handle_prefix
        self.table = table
        self.imported: Imported | None = None
        self._mapper = SqlMapper(STATEMENTS)
        self._lock = StoreLock(self.path)
        self._connection: sqlite3.Connection | None = None
        self._generation = 0
        # Device and inode of the file that was opened.
        self._identity = (0, 0)
        # Numbers and handles of a commit that failed after it began. The disk may have it.
        self._refused: list[tuple[int, bytes]] = []

    @property
    def durable(self) -> bool:
        """True."""
        return True

    @property
    def name(self) -> str:
        """The store's URL."""
        return f"sqlite:///{self.path}"

    # Opening.

    def open(self) -> int:
        """
        Create, migrate or import where needed, and start a generation.

        Raises:
            UsageError: The path can't be used, or another server uses it.
            StoreUnavailable: The file is locked by another program, or the disk is full.
            StoreDamaged: What is there is not, or no longer, this server's database.

        """
        check_place(self.path)
        self._lock.acquire()
        try:
            new = check_file(self.path, self._lock.generation)
            self._generation = self._start(new)
        except (sqlite3.Error, MemoryError) as error:
            self.close()
            raise translated(error, self.path) from error
        except OSError as error:
            self.close()
            raise StoreUnavailable(f"{self.path} can't be used: {error.strerror}") from error
        except BaseException:
            self.close()
            raise
        self._lock.remember(self._generation)
        return self._generation

    def _start(self, new: bool) -> int:
        """Bring the database up to date, and start a generation."""
        connection = self._connect()
        revision = "" if new else self._revision(connection)
        if revision not in ("", HEAD):
            self._drop()
            migrate(self.path)
            connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        if not revision:
            for statement in STATEMENTS.create:
                connection.execute(statement)
        generation, imported = self._import(connection)
        offer_view(connection, self.table)
        connection.execute("COMMIT")
        self.imported = imported
        # From here on the tables and the generation are in the file itself, whatever may
        # happen to the log.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._identity = identity(self.path)
        connection.execute(WAIT_YOURSELF)
        return generation

    def _revision(self, connection: sqlite3.Connection) -> str:
        """Return the revision of the database's tables, empty where there are none."""
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {bytes(name) for (name,) in found}
        if b"geartrain_version" in tables:
            versions = connection.execute("SELECT version_num FROM geartrain_version").fetchall()
            if len(versions) == 1:
                return str(bytes(versions[0][0]), "utf-8", "replace")
        elif not any(name.startswith(b"geartrain_") for name in tables):
            if not tables and self._lock.generation:
                raise StoreDamaged(emptied(self.path, self._lock.generation))
            return ""
        raise StoreDamaged(f"{self.path} lacks the revision of its tables. {WAY_OUT}")

    def _import(self, connection: sqlite3.Connection) -> tuple[int, Imported | None]:
        """Start a generation; before that, import gearmand's table, which takes one too."""
        cursor = connection.cursor()
        generation = self._mapper.start_generation(cursor, self._lock.generation)
        if not is_gearmands(connection, self.table):
            return generation, None
        imported = import_table(
            connection,
            self._mapper,
            self.table,
            generation=generation,
            handle_prefix=self.handle_prefix,
            now=time(),
        )
        return self._mapper.start_generation(cursor, generation), imported

    # Serving.

    def replay(self) -> Iterator[Job | Damaged]:
        """Yield every job added and not done in the order of numbers, and rows that are none."""
        try:
            yield from self._mapper.replay(self._connected().cursor())
        except (sqlite3.Error, MemoryError) as error:
            raise translated(error, self.path) from error

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        """Make all of it durable in one transaction, or none of it; see ``QueueStore``."""
        refuse_large(batch.adds)
        steps = self._mapper.steps(batch)
        if not steps:
            return ()
        try:
            connection = self._connected()
            self._forget_refused(connection)
            self._run(connection, steps, batch.adds)
            return ()
        except (sqlite3.Error, MemoryError) as error:
            raise translated(error, self.path) from error

    # What was kept of jobs that ended.

    def result(self, handle: bytes) -> Result | None:
        """Return what a job ended with; see ``QueueStore``."""
        return self._do(lambda cursor: self._mapper.result(cursor, handle))

    def results(self, after: bytes, limit: int) -> Sequence[Result]:
        """Return results in the order of handles; see ``QueueStore``."""
        return self._do(lambda cursor: self._mapper.results(cursor, after, limit))

    def forget_results(self, now: float) -> None:
        """Forget the results that have expired; see ``QueueStore``."""
        self._do(lambda cursor: cursor.execute(STATEMENTS.forget_results, (now,)), writes=True)

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters in the order of their numbers; see ``QueueStore``."""
        return self._do(lambda cursor: self._mapper.letters(cursor, after, limit))

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        """Return the dead letter of a handle; see ``QueueStore``."""
        return self._do(lambda cursor: self._mapper.letter(cursor, handle))

    def revive(self, handle: bytes) -> Job | None:
        """Make a dead letter a job again; see ``QueueStore``."""
        return self._do(lambda cursor: self._mapper.revive(cursor, handle), writes=True)

    def remove_dead_letter(self, handle: bytes) -> bool:
        """Forget a dead letter for good; see ``QueueStore``."""
        return self._do(lambda cursor: self._mapper.remove_letter(cursor, handle), writes=True)

    def _do(self, work: Callable[[Cursor], T], *, writes: bool = False) -> T:
        """Do something with a cursor; within a transaction where it is several statements."""
        try:
            connection = self._connected()
            self._forget_refused(connection)
            try:
                if writes:
                    take_turn(connection, monotonic() + PATIENCE)
                done = work(connection.cursor())
                if writes:
                    connection.execute("COMMIT")
            except BaseException:
                self._drop()
                raise
            return done
        except (sqlite3.Error, MemoryError) as error:
            raise translated(error, self.path) from error

    def close(self) -> None:
        """Release the file and its lock. Safe to call twice."""
        if self._refused:
            with suppress(sqlite3.Error, MemoryError, StoreError):
                self._forget_refused(self._connected())
        self._drop()
        self._lock.release()

    # The connection.

    def _connect(self) -> sqlite3.Connection:
        # Never creates the file: one that is missing after the start is no new store.
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(self.path))}?mode=rw",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        # Text is told from binary, and is never decoded: a row may hold anything.
        connection.text_factory = bytearray
        # Page size, cache and the moment of checkpoints are SQLite's own: others were measured
        # and made no difference.
        ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
        if mode != b"wal":
            raise UsageError(
                f"SQLite can't keep a write-ahead log beside {self.path}: "
                "put the store on a local file system"
            )
        connection.execute("PRAGMA synchronous = FULL")
        # A log that one huge commit has blown up shrinks again, to so many bytes.
        connection.execute("PRAGMA journal_size_limit = 67108864")
        # What the schema may call is not for others to choose.
        connection.execute("PRAGMA trusted_schema = OFF")

    def _connected(self) -> sqlite3.Connection:
        """Return the connection, a new one after a failure."""
        # SQLite would go on writing to a file that was removed, where nobody finds it again.
        if identity(self.path) != self._identity:
            raise StoreUnavailable(
                f"{self.path} is not the file that this server opened: put that one back, "
                "or restart the server to use this one"
            )
        connection = self._connection
        if connection is None:
            connection = self._connect()
            if self._mapper.last_generation(connection.cursor()) != self._generation:
                self._drop()
                raise StoreUnavailable(f"{self.path} was replaced by another: restart the server")
            connection.execute(WAIT_YOURSELF)
        return connection

    def _drop(self) -> None:
        """Close the connection, which undoes what was not committed."""
        connection = self._connection
        self._connection = None
        if connection is not None:
            if connection.in_transaction:
                # Closing would not end it as long as somebody holds a cursor.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            connection.close()

    def _run(
        self, connection: sqlite3.Connection, steps: Sequence[Step], adds: Sequence[Job]
    ) -> None:
        """Run the steps as one transaction."""
        # A single statement is a transaction by itself, and spares two waits for the interpreter.
        single = len(steps) == 1
        try:
            end = monotonic() + PATIENCE
            if single:
                patiently(lambda: self._mapper.run(connection.cursor(), steps), end)
            else:
                take_turn(connection, end)
                self._mapper.run(connection.cursor(), steps)
                connection.execute("COMMIT")
        except BaseException as error:
            if not is_locked(error):
                self._refused = [(job.number, job.handle) for job in adds]
            self._drop()
            raise

    def _forget_refused(self, connection: sqlite3.Connection) -> None:
        """
        Remove what a failed commit may have left, for its jobs were refused.

        A commit whose sync failed can still be in the log, and a new connection
        would find it there.
        """
        if not self._refused:
            return
        try:
            take_turn(connection, monotonic() + PATIENCE)
            connection.executemany(STATEMENTS.forget_refused, self._refused)
            connection.execute("COMMIT")
        except BaseException:
            self._drop()
            raise
        self._refused = []


def migrate(path: str) -> None:
    """Bring tables of an earlier release up to date, all of it or nothing."""
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import DBAPIError

    from geartrain.store.migrations import upgrade

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            # A table is altered by making another of its name; views needn't know.
            connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            upgrade(connection)
            connection.commit()
    except DBAPIError as error:
        raise error.orig or error from error


def refuse_large(jobs: Sequence[Job]) -> None:
    """Raise JobsRefused for workloads that are larger than a row can be."""
    large = [job.number for job in jobs if len(job.workload) > MAX_WORKLOAD]
    if large:
        raise JobsRefused(
            f"its workload is more than SQLite can hold ({MAX_WORKLOAD} bytes): lower max_packet",
            large,
        )


def translated(error: Exception, path: str) -> Exception:
    """Return what an error of SQLite's means for the server."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in LOCKED:
        return StoreUnavailable(f"{path} is locked by another program")
    if isinstance(error, MemoryError):
        return StoreUnavailable(f"{path} can't be written: out of memory")
    if code in PASSING_CODES:
        return StoreUnavailable(f"{path} can't be written: {error}")
    if code == sqlite3.SQLITE_NOTADB:
        return StoreDamaged(no_database(path))
    if code:
        return StoreDamaged(f"{path} is damaged ({error}). {WAY_OUT}")
    # Not SQLite's, but a mistake in how it is called.
    return error
