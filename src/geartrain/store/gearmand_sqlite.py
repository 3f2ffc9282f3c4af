"""
gearmand's table in an SQLite file, read without writing to it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote

from geartrain.errors import StoreError, StoreUnavailable, UsageError
from geartrain.store.gearmand_table import check_table, columns, free_name, is_gearmands

__all__ = ["SqliteSource"]


class SqliteSource:
    """
    A table in a file.

    Args:
        path: The file.
        table: The table's name.

    """

    def __init__(self, path: str, table: str) -> None:
        check_table(table)
        self.path = os.path.realpath(path)
        self.table = table

    @property
    def name(self) -> str:
        """File and table."""
        return f"sqlite:///{self.path}, table {self.table}"

    def is_there(self) -> bool:
        """Return whether the file has a table with gearmand's columns."""
        if not os.path.exists(self.path):
            raise UsageError(f"there is no file {self.path}")
        with self._connected() as connection:
            return is_gearmands(connection, self.table)

    def rows(self) -> Iterator[tuple[str, Sequence[object]]]:
        """Yield each row in the order in which it was written."""
        with self._connected() as connection:
            when_name = (
                "when_to_run" if "when_to_run" in columns(connection, self.table) else "NULL"
            )
            found = connection.execute(
                f"SELECT rowid, unique_key, function_name, priority, data, {when_name} "
                f'FROM "{self.table}" ORDER BY rowid'
            )
            for rowid, *values in found:
                yield f"rowid {rowid} of {self.table}", [as_bytes(value) for value in values]

    def put_away(self) -> str:
        """Rename the table."""
        with self._connected("rw") as connection:
            name = free_name(connection, self.table)
            connection.execute(f'ALTER TABLE "{self.table}" RENAME TO "{name}"')
        return name

    def close(self) -> None:
        """Do nothing: no connection outlives a call."""

    @contextmanager
    def _connected(self, mode: str = "ro") -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(
                f"file:{quote(os.fsencode(self.path))}?mode={mode}", uri=True, isolation_level=None
            )
            # Text is told from binary, and never decoded: gearmand wrote what clients sent.
            connection.text_factory = bytearray
            try:
                yield connection
            finally:
                connection.close()
        except StoreError:
            raise
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.path} can't be read: {error}") from error


def as_bytes(value: object) -> object:
    """Return text as bytes, and anything else as it is."""
    return bytes(value) if isinstance(value, bytearray) else value
