"""
MySQL and MariaDB, with PyMySQL; also as a Galera cluster of several nodes.

Transactions are READ COMMITTED. A commit decides nothing by what it read before; REPEATABLE READ
would only add locks between the rows, on which servers that add jobs at the same time wait for
each other, and would hide from a server what the one it waited for has just committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, cast

import pymysql
from pymysql.constants import CR, ER

from geartrain.errors import StoreDamaged
from geartrain.store.link import CONFLICT, DAMAGED, LOST, PASSING, REFUSED, Link
from geartrain.store.mysql_large import LARGE, LargeStatement, has_large
from geartrain.store.mysql_statements import HEAD, STATEMENTS
from geartrain.store.mysql_url import Place, read_place
from geartrain.store.secret import masked_url, without_secrets

__all__ = ["MysqlDatabase"]

# Seconds until a host that doesn't answer is given up for the next.
CONNECT_TIMEOUT: Final = 2.0
# Nothing is cut to fit, and a backslash is what the driver takes it for.
SQL_MODE: Final = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
SETTINGS: Final = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    # The hour that a change of the clock repeats must not be two things.
    "SET SESSION time_zone = '+00:00'",
    # No second is too few for MySQL; the client breaks off earlier.
    "SET SESSION innodb_lock_wait_timeout = 1",
    "SET SESSION lock_wait_timeout = 1",
)
# Seconds without a statement, above those that a transaction may have: MySQL has no limit for
# transactions alone, and the server renews its lease more often than this.
IDLE: Final = 8
UNKNOWN_VARIABLE: Final = 1193

CONFLICTS: Final = frozenset(
    (
        ER.LOCK_DEADLOCK,
        ER.LOCK_WAIT_TIMEOUT,
        ER.CHECKREAD,
        # A number of a server was taken at the same moment.
        ER.DUP_ENTRY,
    )
)
LOSSES: Final = frozenset(
    (
        0,  # the driver: closed
        CR.CR_CONNECTION_ERROR,
        CR.CR_CONN_HOST_ERROR,
        CR.CR_SERVER_GONE_ERROR,
        CR.CR_SERVER_LOST,
        CR.CR_SERVER_LOST_EXTENDED,
        ER.SERVER_SHUTDOWN,
        ER.UNKNOWN_COM_ERROR,  # a node of Galera that has lost the others
        ER.OPTION_PREVENTS_STATEMENT,  # read-only
        1792,  # a transaction that is read-only
        1836,  # in read-only mode
        1927,  # the connection was killed
        4031,  # it was idle for too long
    )
)
PASSES: Final = frozenset(
    (
        ER.DISK_FULL,
        ER.ERROR_ON_WRITE,
        ER.GET_ERRNO,
        ER.OUT_OF_SORTMEMORY,
        ER.CON_COUNT_ERROR,
        ER.OUT_OF_RESOURCES,
        ER.DBACCESS_DENIED_ERROR,
        ER.ACCESS_DENIED_ERROR,
        ER.TABLEACCESS_DENIED_ERROR,
        ER.BAD_DB_ERROR,
        ER.RECORD_FILE_FULL,
        ER.HOST_IS_BLOCKED,
        ER.HOST_NOT_PRIVILEGED,
        ER.TOO_MANY_USER_CONNECTIONS,
        ER.LOCK_TABLE_FULL,
        ER.USER_LIMIT_REACHED,
        ER.QUERY_INTERRUPTED,
        1180,  # during COMMIT
        1969,  # a statement took too long
    )
)
REFUSALS: Final = frozenset(
    (
        ER.OUTOFMEMORY,
        ER.NET_PACKET_TOO_LARGE,
        ER.WARN_ALLOWED_PACKET_OVERFLOWED,
        ER.DATA_TOO_LONG,
        ER.TRUNCATED_WRONG_VALUE_FOR_FIELD,
        1118,  # a row too large, or a tenth of InnoDB's log
        1534,  # larger than the binary log's cache
        1197,  # so is the whole transaction
    )
)
THERE: Final = frozenset((ER.TABLE_EXISTS_ERROR, ER.DUP_KEYNAME))


class MysqlLink:
    """
    A connection to MySQL; see ``Link``.

    Args:
        connection: The driver's.
        waits: What lets a query wait for all that other nodes have committed.

    """

    def __init__(self, connection: pymysql.Connection[Any], waits: str) -> None:
        self._connection = connection
        self._waits = waits
        self._end = float("inf")
        self._idle = 0

    def limit(self, end: float, idle: int) -> None:
        """Let what follows fail in time; see ``Link``."""
        self._end = end
        if idle == self._idle:
            return
        self._hurry()
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION wait_timeout = %s", (idle + IDLE,))
            try:
                cursor.execute("SET SESSION idle_transaction_timeout = %s", (idle,))
            except pymysql.MySQLError as error:
                if number_of(error) != UNKNOWN_VARIABLE:
                    raise
        self._idle = idle

    def _hurry(self) -> None:
        left = min(3600.0, max(0.001, self._end - monotonic()))
        # The driver has no other way to give each statement a time of its own.
        self._connection._read_timeout = left  # type: ignore[attr-defined]
        self._connection._write_timeout = left  # type: ignore[attr-defined]

    def run(self, statements: Sequence[tuple[str, Sequence[object]]]) -> list[int]:
        """Run statements in their order."""
        counts = []
        with self._connection.cursor() as cursor:
            for statement, parameters in statements:
                self._hurry()
                if has_large(parameters):
                    large = cast("Any", self._large(statement, parameters))
                    counts.append(cursor.execute(large))
                else:
                    counts.append(cursor.execute(statement, parameters or None))
        return counts

    def _large(self, statement: str, parameters: Sequence[object]) -> LargeStatement:
        """Return a statement that is written out as it is sent."""
        texts = statement.split("%s")
        parts: list[bytes | memoryview] = [texts[0].encode()]
        for parameter, text in zip(parameters, texts[1:], strict=True):
            if type(parameter) is bytes and len(parameter) > LARGE:
                parts += [b"X'", memoryview(parameter), b"'", text.encode()]
            else:
                parts.append((self._connection.escape(parameter) + text).encode())
        return LargeStatement(parts)

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[Sequence[Any]]:
        """Return the rows of a query."""
        self._hurry()
        with self._connection.cursor() as cursor:
            cursor.execute(self._waits + statement, parameters or None)
            return cast("list[Sequence[Any]]", list(cursor.fetchall()))

    def commit(self) -> None:
        """Make it durable."""
        self._hurry()
        self._connection.commit()

    def rollback(self) -> None:
        """Undo it."""
        self._hurry()
        self._connection.rollback()

    def close(self) -> None:
        """Drop the connection."""
        self._hurry()
        self._connection.close()


class MysqlDatabase:
    """
    A database of MySQL or MariaDB; see ``Database``.

    Args:
        url: ``mysql://USER:PASSWORD@HOST1:PORT,HOST2/DATABASE``; see ``read_place``.

    """

    statements = STATEMENTS
    head = HEAD
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
    now = "UNIX_TIMESTAMP(NOW(6))"
    free = ""
    errors: tuple[type[Exception], ...] = (pymysql.MySQLError, OSError)
    room_setting = "max_allowed_packet"

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = masked_url(url)
        self.place: Place = read_place(url)
        self.room = 16 * 1024 * 1024
        self.remarks: list[str] = []

    def connect(self) -> Link:
        """Connect to the first of the hosts that serves."""
        connection, in_cluster = self.dial()
        # A node may not have applied yet what another has committed.
        return MysqlLink(connection, "SET STATEMENT wsrep_sync_wait = 1 FOR " if in_cluster else "")

    def dial(self, flags: int = 0) -> tuple[pymysql.Connection[Any], bool]:
        """
        Return the driver's connection, set up, and whether it is to a node of a Galera cluster.

        Args:
            flags: Of the protocol (``CLIENT``), beside the driver's own.

        """
        failure: Exception | None = None
        for host, port in self.place.hosts:
            try:
                connection = self._connect(host, port, flags)
            except self.errors as error:
                failure = error
                continue
            try:
                return connection, self._set_up(connection)
            except self.errors as error:
                failure = error
                connection.close()
        assert failure is not None
        raise failure

    def _connect(self, host: str, port: int, flags: int = 0) -> pymysql.Connection[Any]:
        connection: pymysql.Connection[Any] = pymysql.connect(
            host=host,
            port=port,
            user=self.place.user,
            password=self.place.password,
            database=self.place.database,
            charset="utf8mb4",
            sql_mode=SQL_MODE,
            connect_timeout=cast("int", CONNECT_TIMEOUT),
            read_timeout=CONNECT_TIMEOUT,
            write_timeout=CONNECT_TIMEOUT,
            program_name="geartrain",
            client_flag=flags,
            **self.place.options,
        )
        return connection

    def _set_up(self, connection: pymysql.Connection[Any]) -> bool:
        with connection.cursor() as cursor:
            for setting in SETTINGS:
                cursor.execute(setting)
            cursor.execute("SELECT @@max_allowed_packet, @@innodb_flush_log_at_trx_commit")
            ((self.room, flush),) = cursor.fetchall()
            cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
            in_cluster = ("wsrep_on", "ON") in cursor.fetchall()
            if in_cluster:
                cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
                if cursor.fetchall() != (("wsrep_ready", "ON"),):
                    raise pymysql.OperationalError(
                        ER.UNKNOWN_COM_ERROR, "the node is not part of its cluster"
                    )
            cursor.execute("SELECT @@global.read_only")
            if len(self.place.hosts) > 1 and cursor.fetchall() != ((0,),):
                raise pymysql.OperationalError(ER.OPTION_PREVENTS_STATEMENT, "it is read-only")
        connection.commit()
        self.remarks = [] if flush == 1 else [FLUSH_REMARK % flush]
        return in_cluster

    def migrate(self) -> None:
        """Bring tables of an earlier release up to date."""
        from sqlalchemy import NullPool, create_engine
        from sqlalchemy.exc import DBAPIError

        from geartrain.store.migrations import upgrade

        def creator() -> Any:
            return self._connect(*self.place.hosts[0])

        engine = create_engine("mysql+pymysql://", creator=creator, poolclass=NullPool)
        try:
            with engine.begin() as connection:
                upgrade(connection)
        except DBAPIError as error:
            said = self.masked(error.orig or error)
            raise StoreDamaged(f"{self.name} can't be migrated: {said}") from error
        finally:
            engine.dispose()

    def escaped_size(self, data: bytes) -> int:
        """Return how many bytes of a statement a parameter takes: two hexadecimal digits each."""
        return 2 * len(data)

    def meaning(self, error: Exception) -> int:
        """Return what an error means for the transaction."""
        if isinstance(error, OSError):
            return LOST
        number = number_of(error)
        if number in CONFLICTS:
            return CONFLICT
        if number in LOSSES:
            return LOST
        if number in REFUSALS:
            return REFUSED
        if number in PASSES:
            return PASSING
        return DAMAGED

    def is_there(self, error: BaseException | None) -> bool:
        """Return whether what was to be created is there already."""
        return number_of(error) in THERE

    def masked(self, error: BaseException) -> str:
        """Return what an error says, in one line and without a password."""
        said = str(error.args[-1]) if error.args else type(error).__name__
        return without_secrets(" ".join(said.split()), self.url)


FLUSH_REMARK: Final = (
    "innodb_flush_log_at_trx_commit is %s, not 1: a crash of the database or of its machine "
    "may lose acknowledged jobs"
)


def number_of(error: BaseException | None) -> int:
    """Return MySQL's number of an error; -1 when it has none."""
    first = error.args[0] if error is not None and error.args else -1
    return first if isinstance(first, int) else -1
