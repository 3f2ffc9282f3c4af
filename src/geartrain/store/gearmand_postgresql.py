"""
gearmand's table in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from geartrain.errors import StoreUnavailable
from geartrain.store.gearmand_table import COLUMNS, check_table

__all__ = ["PostgresqlSource"]

PATIENCE: Final = 10
PAGE: Final = 1000


class PostgresqlSource:
    """
    A table in a database.

    Args:
        url: Of the database, as libpq takes it.
        table: The table's name.

    """

    def __init__(self, url: str, table: str) -> None:
        check_table(table)
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2]
        self.table = table
        self.name = f"postgresql://{where}{parts.path}, table {table}"
        self._url = f"postgresql{url[len(parts.scheme) :]}"

    def is_there(self) -> bool:
        """Return whether there is a table with gearmand's columns."""
        with self._connected() as connection:
            return {*self._columns(connection), "when_to_run"} == set(COLUMNS)

    def rows(self) -> Iterator[tuple[str, Sequence[object]]]:
        """Yield each row, in the order in which the table has them."""
        with self._connected() as connection:
            when_name = "when_to_run" if "when_to_run" in self._columns(connection) else "NULL::int"
            # The bytes of a name, whatever the database takes them for.
            unique_name, function_name = (
                f"convert_to({column}, getdatabaseencoding()::name)"
                for column in ("unique_key", "function_name")
            )
            query = (
                f"SELECT {unique_name}, {function_name}, priority, data, {when_name} "
                f'FROM "{self.table}" ORDER BY ctid'
            )
            with connection.cursor("gearmand") as cursor:
                cursor.itersize = PAGE
                cursor.execute(query.encode())
                for number, values in enumerate(cursor, 1):
                    yield f"row {number} of {self.table}", values

    def put_away(self) -> str:
        """Rename the table."""
        with self._connected() as connection:
            name, number = f"{self.table}_imported", 1
            while self._columns(connection, name):
                number += 1
                name = f"{self.table}_imported_{number}"
            connection.execute(f'ALTER TABLE "{self.table}" RENAME TO "{name}"'.encode())
        return name

    def close(self) -> None:
        """Do nothing: no connection outlives a call."""

    def _columns(self, connection: psycopg.Connection[Any], table: str = "") -> list[str]:
        """Return the columns of a table, none where there is no such table."""
        found = connection.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = ANY (current_schemas(false)) AND table_name = %s",
            (table or self.table,),
        )
        return [name for (name,) in found]

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(self._url, connect_timeout=PATIENCE) as connection:
                yield connection
        except psycopg.Error as error:
            text = " ".join(str(error).split())
            raise StoreUnavailable(f"{self.name} can't be read: {text}") from error
