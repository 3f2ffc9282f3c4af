"""
PostgreSQL, with psycopg.

Statements of one transaction go out together and are answered together, so a commit costs two
round trips however much is in it. Its isolation is READ COMMITTED: a commit decides nothing by
what it read before, and has to see what the server it waited for has just committed.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq.abc import PGconn
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.waiting import Ready, Wait

from geartrain.errors import StoreDamaged, UsageError
from geartrain.store.link import CONFLICT, DAMAGED, LOST, PASSING, REFUSED, Link
from geartrain.store.postgresql_statements import HEAD, STATEMENTS
from geartrain.store.secret import masked_url, without_secrets

__all__ = ["Connection", "PostgresqlDatabase"]

T = TypeVar("T")

# Seconds until a host that doesn't answer is given up for the next; libpq knows none less.
CONNECT_TIMEOUT: Final = 2
# For locks and for statements, in milliseconds; the client gives up earlier or breaks off.
LOCK_TIMEOUT: Final = 400
STATEMENT_TIMEOUT: Final = 60_000

SETTINGS: Final = (
    f"SET lock_timeout = {LOCK_TIMEOUT}; "
    f"SET statement_timeout = {STATEMENT_TIMEOUT}; "
    "SET default_transaction_isolation = 'read committed'; "
    "SET client_min_messages = 'error'"
)
# Classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
# 40 the transaction was undone for another one's sake; 55P03 a lock was not to be had;
# 23505 a number of a server or a table was taken at the same moment.
CONFLICTS: Final = ("40", "55P03", "23505")
# 08 connection, 57P0 the server is stopped or starts, 25006 it is a replica, 25P03 see above.
LOSSES: Final = ("08", "57P0", "25006", "25P03")
# 53 resources, 55 state, 57 intervention, 58 system, XX internal, 28 who one is,
# 42501 a right that somebody can grant.
PASSES: Final = ("53", "55", "57", "58", "XX", "28", "42501")
# 54 limits, 22 data, 53200 out of memory, and XX000 which is also said of a value too large.
REFUSALS: Final = ("54", "22", "53200", "XX000")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits for the server no longer than until ``end``."""

    end = float("inf")

    def wait(
        self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None
    ) -> T:
        """Wait for an answer."""
        left = max(0.001, self.end - monotonic())
        return super().wait(gen, interval, min(left, timeout) if timeout else left)


class PostgresqlLink:
    """
    A connection to PostgreSQL; see ``Link``.

    It stays in pipeline mode. When psycopg leaves that mode, it asks the server to flush, and
    that switches the server's clock for idle transactions off.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mode = connection.pipeline()
        self._pipeline = self._mode.__enter__()
        self._idle = 0

    def limit(self, end: float, idle: int) -> None:
        """Let what follows fail in time; see ``Link``."""
        self._connection.end = end
        if idle != self._idle:
            self._connection.execute(f"SET idle_in_transaction_session_timeout = {idle * 1000:d}")
            self._connection.commit()
            self._idle = idle

    def run(self, statements: Sequence[tuple[str, Sequence[object]]]) -> list[int]:
        """Run statements in their order, sent together."""
        cursors = []
        for statement, parameters in statements:
            cursor = self._connection.cursor()
            cursor.execute(statement.encode(), parameters)
            cursors.append(cursor)
        self._sync()
        return [cursor.rowcount for cursor in cursors]

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[Sequence[Any]]:
        """Return the rows of a query."""
        cursor = self._connection.cursor(binary=True)
        cursor.execute(statement.encode(), parameters)
        self._sync()
        return cast("list[Sequence[Any]]", cursor.fetchall())

    def _sync(self) -> None:
        """Send what was not sent yet, and wait for its results."""
        try:
            commands = self._pipeline.command_queue
            while commands:
                commands.popleft()()
            # psycopg leaves off as soon as all is queued, and would wait for the answer to what
            # is larger than the system's buffers and was not sent.
            self._connection.wait(flush(self._connection.pgconn))
            self._pipeline.sync()
        except psycopg.Error:
            if monotonic() >= self._connection.end:
                raise psycopg.OperationalError("the database does not answer in time") from None
            raise

    def commit(self) -> None:
        """Make it durable."""
        self._connection.commit()

    def rollback(self) -> None:
        """Undo it."""
        self._connection.rollback()

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()
        with suppress(psycopg.Error):
            self._mode.__exit__(None, None, None)


def flush(connection: PGconn) -> Generator[Wait, Ready, None]:
    """Send what is queued, and read what comes meanwhile."""
    while connection.flush():
        ready = yield Wait.RW
        if ready & Ready.R:
            connection.consume_input()


class PostgresqlDatabase:
    """
    A PostgreSQL database; see ``Database``.

    Args:
        url: As libpq has them, several hosts and parameters included.

    """

    statements = STATEMENTS
    head = HEAD
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    now = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
    # ``idle_in_transaction_session_timeout`` does not count for a client that was stopped in the
    # middle of what it sends, or of what it is sent.
    free = (
        "SELECT pg_terminate_backend(pid) FROM geartrain_servers "
        "JOIN pg_stat_activity ON backend_xid = geartrain_servers.xmax "
        "WHERE generation = %s AND pid <> pg_backend_pid() "
        "AND xact_start < clock_timestamp() - interval '1 second'"
    )
    errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)
    # A message of the protocol may have 1 GiB; the server's max_packet comes first.
    room = 1_000_000_000
    room_setting = "PostgreSQL takes"

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        self.url = f"{scheme.partition('+')[0]}://{rest}"
        self.name = masked_url(self.url)
        self.remarks: list[str] = []
        try:
            given = conninfo_to_dict(self.url)
        except psycopg.Error as error:
            raise UsageError(
                f"{self.name} is no URL for PostgreSQL: {self.masked(error)}"
            ) from None
        several = "," in str(given.get("host", ""))
        defaults: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": "geartrain",
            # Of several hosts the one that can be written to, whichever that is by now.
            "target_session_attrs": "read-write" if several else "any",
        }
        self._conninfo = make_conninfo(**{**defaults, **given})

    def connect(self) -> Link:
        """Connect to the first of the hosts that serves."""
        return PostgresqlLink(self.dial())

    def dial(self) -> Connection:
        """Return the driver's connection, set up and within no transaction."""
        connection = self._connect()
        try:
            # Statements and their parameters have the same types each time.
            connection.adapters.register_dumper(int, Int8BinaryDumper)
            connection.autocommit = True
            connection.execute(SETTINGS)
            self._look_at_settings(connection)
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> Connection:
        connection = Connection.connect(self._conninfo)
        connection.end = monotonic() + CONNECT_TIMEOUT
        return connection

    def _look_at_settings(self, connection: Connection) -> None:
        """Have commits synced, and remark on what a client can't change."""
        found = connection.execute(
            "SELECT current_setting('synchronous_commit'), current_setting('fsync'), "
            "current_setting('full_page_writes')"
        ).fetchall()
        ((commits, syncs, pages),) = found
        if commits == "off":
            # Else a commit that was answered could still be lost.
            connection.execute("SET synchronous_commit = on")
        self.remarks = [
            f"{name} is off in PostgreSQL: a crash of its machine may lose acknowledged jobs"
            for name, value in (("fsync", syncs), ("full_page_writes", pages))
            if value == "off"
        ]

    def migrate(self) -> None:
        """Bring tables of an earlier release up to date, all of it or nothing."""
        from sqlalchemy import NullPool, create_engine
        from sqlalchemy.exc import DBAPIError

        from geartrain.store.migrations import upgrade

        def creator() -> Any:
            return psycopg.connect(self._conninfo)

        engine = create_engine("postgresql+psycopg://", creator=creator, poolclass=NullPool)
        try:
            with engine.begin() as connection:
                upgrade(connection)
        except DBAPIError as error:
            said = self.masked(error.orig or error)
            raise StoreDamaged(f"{self.name} can't be migrated: {said}") from error
        finally:
            engine.dispose()

    def escaped_size(self, data: bytes) -> int:
        """Return how many bytes of a statement a parameter takes: it is sent as it is."""
        return len(data)

    def meaning(self, error: Exception) -> int:
        """Return what an error means for the transaction."""
        state = getattr(error, "sqlstate", None) or ""
        if state.startswith(CONFLICTS):
            return CONFLICT
        if state.startswith(LOSSES):
            return LOST
        if state.startswith(REFUSALS):
            return REFUSED
        if state.startswith(PASSES):
            return PASSING
        if not state and isinstance(error, (psycopg.OperationalError, OSError)):
            return LOST
        return DAMAGED

    def is_there(self, error: BaseException | None) -> bool:
        """Return whether what was to be created is there already."""
        return getattr(error, "sqlstate", None) == "42P07"

    def masked(self, error: BaseException) -> str:
        """Return what an error says, in one line and without a password."""
        lines = [line.strip() for line in str(error).splitlines()]
        return without_secrets("; ".join(line for line in lines if line), self.url)
