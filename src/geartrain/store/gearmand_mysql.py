"""
gearmand's table in MySQL or MariaDB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
import pymysql.cursors

from geartrain.errors import StoreUnavailable, UsageError
from geartrain.store.gearmand_table import COLUMNS, check_table

__all__ = ["MysqlSource"]

PORT: Final = 3306
PATIENCE: Final = 10
# gearmand sets none, so its connection has what MariaDB's library begins with. One that was built
# with an older library of MySQL's has latin1.
CHARSET: Final = "utf8mb4"


class MysqlSource:
    """
    A table in a database.

    Args:
        url: Of the database; ``?charset=latin1`` where gearmand's connection had that.
        table: The table's name.

    """

    def __init__(self, url: str, table: str) -> None:
        check_table(table)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or PORT
        except ValueError:
            raise UsageError("the URL has no valid port: mysql://USER@HOST:PORT/DATABASE") from None
        database = parts.path.strip("/")
        if not host or not database:
            raise UsageError("the URL names no host or no database: mysql://USER@HOST/DATABASE")
        self.table = table
        self.name = f"mysql://{host}:{port}/{database}, table {table}"
        query = dict(parse_qsl(parts.query))
        charset = query.pop("charset", CHARSET)
        if query:
            raise UsageError("the URL takes ?charset= and nothing else")
        self._arguments: dict[str, Any] = {
            "charset": charset,
            "host": host,
            "port": port,
            "database": database,
            "user": unquote(parts.username or "") or None,
            "password": unquote(parts.password or ""),
        }

    def is_there(self) -> bool:
        """Return whether there is a table with gearmand's columns."""
        with self._cursor() as cursor:
            return {*self._columns(cursor), "when_to_run"} == set(COLUMNS)

    def rows(self) -> Iterator[tuple[str, Sequence[object]]]:
        """Yield each row, in the order of the unique key: gearmand keeps no other."""
        with self._cursor() as cursor:
            when_name = "when_to_run" if "when_to_run" in self._columns(cursor) else "NULL"
            cursor.execute(
                f"SELECT unique_key, function_name, priority, data, {when_name} "
                f"FROM `{self.table}` ORDER BY unique_key, function_name"
            )
            for number, values in enumerate(cursor, 1):
                yield f"row {number} of {self.table}", values

    def put_away(self) -> str:
        """Rename the table."""
        with self._cursor() as cursor:
            name, number = f"{self.table}_imported", 1
            while self._columns(cursor, name):
                number += 1
                name = f"{self.table}_imported_{number}"
            cursor.execute(f"RENAME TABLE `{self.table}` TO `{name}`")
        return name

    def close(self) -> None:
        """Do nothing: no connection outlives a call."""

    def _columns(self, cursor: Any, table: str = "") -> list[str]:
        """Return the columns of a table, none where there is no such table."""
        cursor.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = %s",
            (table or self.table,),
        )
        return [name.decode() for (name,) in cursor.fetchall()]

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Give a cursor that reads row by row, and names as gearmand's connection sent them."""
        try:
            connection = pymysql.connect(
                **self._arguments,
                use_unicode=False,
                connect_timeout=PATIENCE,
                cursorclass=pymysql.cursors.SSCursor,
                autocommit=True,
            )
            with connection, connection.cursor() as cursor:
                yield cursor
        except pymysql.Error as error:
            text = " ".join(str(one) for one in error.args)
            raise StoreUnavailable(f"{self.name} can't be read: {text}") from error
