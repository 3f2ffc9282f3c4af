"""
A queue that gearmand has left behind, whatever it kept it in.

A source is read from the beginning to the end and decides nothing: a row is
given as it was found, and ``gearmand_table.reason`` says whether it can be a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from geartrain.errors import UsageError

__all__ = ["KINDS", "GearmandSource", "open_source"]

KINDS: Final = ("sqlite", "mysql", "postgres", "redis")
SCHEMES: Final = {
    "mariadb": "mysql",
    "mysql": "mysql",
    "postgres": "postgres",
    "postgresql": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "sqlite": "sqlite",
    "valkey": "redis",
    "valkeys": "redis",
}


class GearmandSource(Protocol):
    """
    Rows of one queue of gearmand's, not connected yet.

    Each method raises UsageError where there is no such queue, and StoreUnavailable
    where it can't be read now.
    """

    @property
    def name(self) -> str:
        """Where it is, for people; passwords masked."""
        ...

    def is_there(self) -> bool:
        """Return whether there is a queue of gearmand's."""
        ...

    def rows(self) -> Iterator[tuple[str, Sequence[object]]]:
        """
        Yield each row: what identifies it, for people, and its columns.

        These are ``gearmand_table.COLUMNS``: unique key, function, priority, data, epoch.
        Names and data are bytes; what has another type was stored as that.
        """
        ...

    def put_away(self) -> str:
        """Rename the queue, so that nobody finds it again, and return its new name."""
        ...

    def close(self) -> None:
        """Disconnect. Safe to call twice."""
        ...


def open_source(
    kind: str, url: str, *, table: str = "", functions: Sequence[str] = ()
) -> GearmandSource:
    """
    Return the queue that a URL names.

    Args:
        kind: One of ``KINDS``.
        url: As for a store of that kind; ``prefix`` of a Redis is gearmand's, ``_gear_``.
        table: The table's name; empty for gearmand's default.
        functions: Functions whose names have dashes in them, for a Redis.

    Raises:
        UsageError: The URL is of another kind, or its library is not installed.

    """
    scheme = url.partition(":")[0].lower().partition("+")[0]
    if SCHEMES.get(scheme) != kind:
        forms = {"sqlite": "sqlite:////FILE", "mysql": "mysql://USER@HOST/DATABASE"}
        forms |= {"postgres": "postgresql://USER@HOST/DATABASE", "redis": "redis://HOST:PORT/0"}
        raise UsageError(f"gearmand-{kind} takes a URL like {forms[kind]}")
    try:
        return source(kind, url, table, functions)
    except ModuleNotFoundError as error:
        if error.name not in ("psycopg", "pymysql", "redis"):
            raise
        library = {"psycopg": "'psycopg[binary]'", "pymysql": "PyMySQL"}.get(error.name, error.name)
        raise UsageError(
            f"reading a queue in {kind} needs a library: pip install {library}"
        ) from None


def source(kind: str, url: str, table: str, functions: Sequence[str]) -> GearmandSource:
    """Return the source of a kind."""
    if kind == "sqlite":
        from geartrain.store.gearmand_sqlite import SqliteSource
        from geartrain.store.url import sqlite_path

        return SqliteSource(sqlite_path(url.partition(":")[2]), table or "gearman_queue")
    if kind == "mysql":
        from geartrain.store.gearmand_mysql import MysqlSource

        return MysqlSource(url, table or "gearman_queue")
    if kind == "postgres":
        from geartrain.store.gearmand_postgresql import PostgresqlSource

        return PostgresqlSource(url, table or "queue")
    from geartrain.store.gearmand_redis import RedisSource

    return RedisSource(url, functions)
