"""
Which store a URL names. The stores' own files are imported when one is named.
"""

from __future__ import annotations

from difflib import get_close_matches
from socket import gethostname
from typing import TYPE_CHECKING, Final

from geartrain.errors import UsageError
from geartrain.store.queue_store import QueueStore

if TYPE_CHECKING:
    from geartrain.store.link import Database

__all__ = ["open_store"]

KNOWN: Final = (
    "mariadb",
    "memcached",
    "memory",
    "mysql",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "sqlite",
    "valkey",
    "valkeys",
)
FORMS: Final = (
    "memory:, sqlite:///relative.db, sqlite:////absolute.db, postgresql://USER@HOST/DATABASE, "
    "mysql://USER@HOST/DATABASE or redis://HOST:PORT/0"
)
# Databases that several servers can share.
DATABASES: Final = ("mariadb", "mysql", "postgres", "postgresql")


def open_store(
    url: str,
    *,
    handle_prefix: bytes,
    table: str = "gearman_queue",
    server: str = "",
    address: str = "",
    lease: float = 3.0,
    reader: str = "",
) -> QueueStore:
    """
    Return the store that a URL names, not connected yet.

    Args:
        url: ``memory:``, ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
            ``redis://HOST:PORT/DATABASE`` (see ``redis_url``), ``memcached://HOST:PORT``,
            ``postgresql://USER:PASSWORD@HOST1,HOST2/DATABASE``, ``mysql://`` or ``mariadb://``.
        handle_prefix: Start of the handles of jobs that are imported; the broker's.
        table: Where gearmand's table is looked for, and a view like it is offered.
        server: Name of the server, for those it shares the store with; the host's by default.
        address: ``HOST:PORT`` at which these reach it.
        lease: For how many seconds they leave its jobs alone after it was heard of last.
        reader: URL of a copy of the database that is asked for counts; none by default.

    Raises:
        UsageError: The URL names no store. The message says what it may have meant,
            and repeats nothing of a URL that may hold a password.

    """
    scheme, colon, rest = url.partition(":")
    name = scheme.lower().partition("+")[0]
    if colon and name == "memory" and rest in ("", "//"):
        from geartrain.store.memory import MemoryStore

        return MemoryStore()
    if colon and name == "sqlite":
        from geartrain.store.sqlite import SqliteStore

        return SqliteStore(sqlite_path(rest), handle_prefix=handle_prefix, table=table)
    if colon and name in ("redis", "rediss", "valkey", "valkeys"):
        return redis_store(url, server, address, lease)
    if colon and name == "memcached":
        return memcached_store(url, server, address, lease)
    if colon and name in DATABASES:
        return shared_store(url, handle_prefix, server, address, lease, reader)
    raise UsageError(unknown(name, url))


def redis_store(url: str, server: str, address: str, lease: float) -> QueueStore:
    """Return the store in a Redis; raises UsageError where its library is not installed."""
    try:
        from geartrain.store.redis import RedisStore
        from geartrain.store.redis_url import read_place
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise UsageError("a store in Redis needs its library: pip install redis") from None
    return RedisStore(read_place(url), server, address, lease)


def memcached_store(url: str, server: str, address: str, lease: float) -> QueueStore:
    """Return the store in a memcached; raises UsageError where its library is not installed."""
    try:
        from geartrain.store.memcached import MemcachedStore
        from geartrain.store.memcached_url import read_place
    except ModuleNotFoundError as error:
        if error.name != "pymemcache":
            raise
        raise UsageError("a store in memcached needs its library: pip install pymemcache") from None
    return MemcachedStore(read_place(url), server, address, lease)


def shared_store(
    url: str, handle_prefix: bytes, server: str, address: str, lease: float, reader: str
) -> QueueStore:
    """Return the store in a database that several servers can share."""
    from geartrain.store.shared_sql import SharedSqlStore

    return SharedSqlStore(
        database(url),
        handle_prefix=handle_prefix,
        server=server or gethostname(),
        address=address,
        lease=lease,
        reader=database(reader) if reader else None,
    )


def database(url: str) -> Database:
    """Return the database that a URL names; raises UsageError where its driver is missing."""
    scheme = url.partition(":")[0].lower().partition("+")[0]
    try:
        if scheme in ("postgres", "postgresql"):
            from geartrain.store.postgresql import PostgresqlDatabase

            return PostgresqlDatabase(url)
        from geartrain.store.mysql import MysqlDatabase

        return MysqlDatabase(url)
    except ImportError as error:
        if error.name not in ("psycopg", "pymysql"):
            raise
        library = "'psycopg[binary]'" if error.name == "psycopg" else "PyMySQL"
        raise UsageError(f"a store in {scheme} needs its library: pip install {library}") from None


def sqlite_path(rest: str) -> str:
    """Return the path from what follows ``sqlite:``; taken as it is, without escapes."""
    path = rest.removeprefix("///")
    if path in ("", "/", "//", ":memory:"):
        raise UsageError(
            "the store URL names no file: say sqlite:///geartrain.db, or memory: to keep nothing"
        )
    if path == rest:
        meant = rest.removeprefix("//")
        raise UsageError(f"sqlite:{rest} lacks a slash: did you mean sqlite:///{meant}?")
    if "?" in path:
        raise UsageError(f"a sqlite URL has no parameters: leave out the ? and the rest of {path}")
    return path


def unknown(name: str, url: str) -> str:
    """Return what to do about a URL of no known store."""
    meant = get_close_matches(name, KNOWN, 1)
    if meant:
        return f"no store is called {name!r}: did you mean {meant[0]}:? There are {FORMS}"
    if "@" not in url and "://" not in url:
        return f"a store is named by a URL: did you mean sqlite:///{url}?"
    return f"no store is called {name!r}: use {FORMS}"
