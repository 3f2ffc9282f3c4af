"""
The engines that the conformance suite runs on.

An engine hands out stores that share one place, as a server does that is
started again. To have a new engine tested, add it to ``ENGINES``.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import msgspec
import redis
from pymemcache.client.base import Client

from geartrain.store.number_set import NumberSet
from geartrain.store.queue_store import QueueStore
from geartrain.store.rows import COLUMNS
from geartrain.store.url import open_store
from geartrain.store.values import pack_values
from tests.services.galera import shared_galera
from tests.services.key_value import shared_memcached, shared_redis
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql

counter = itertools.count()


class Engine(Protocol):
    """
    One place where jobs are kept, for one test.

    Attributes:
        typed: Its columns hold values of one type only.
        shared: Several servers may use it at once, and unique keys coalesce over them.

    """

    typed: bool
    shared: bool

    def __init__(self, directory: Path) -> None: ...

    def store(self) -> QueueStore:
        """Return a store of this place, not opened."""
        ...

    def write_row(self, row: Sequence[object]) -> None:
        """Write a row past the store, as somebody with a tool of the database's would."""
        ...


class Sqlite:
    typed = False
    shared = False

    def __init__(self, directory: Path) -> None:
        self.path = directory / "queue.db"

    def store(self) -> QueueStore:
        return open_store(f"sqlite:///{self.path}", handle_prefix=b"H:test:import")

    def write_row(self, row: Sequence[object]) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(f"INSERT INTO geartrain_jobs VALUES ({marks})", row)
        connection.close()


class Redis:
    typed = False
    shared = False

    def __init__(self, directory: Path) -> None:
        self.server = shared_redis()
        self.prefix = f"{directory.name}-{next(counter)}"

    def store(self) -> QueueStore:
        return open_store(self.server.url(self.prefix), handle_prefix=b"H:test:import")

    def write_row(self, row: Sequence[object]) -> None:
        number, *columns = row
        with redis.Redis(port=self.server.port) as client:
            client.hset(f"{self.prefix}:jobs", str(number), pack_values(columns))


class Memcached:
    typed = False
    shared = False

    def __init__(self, directory: Path) -> None:
        self.server = shared_memcached()
        self.prefix = f"{directory.name}-{next(counter)}"

    def store(self) -> QueueStore:
        return open_store(self.server.url(self.prefix), handle_prefix=b"H:test:import")

    def write_row(self, row: Sequence[object]) -> None:
        number, *columns = row
        assert isinstance(number, int)
        with closing(Client(("127.0.0.1", self.server.port), default_noreply=False)) as client:
            client.set(f"{self.prefix}:job:{number}", pack_values(columns))
            head = list(msgspec.msgpack.decode(client.get(f"{self.prefix}:head")))
            head[3] = NumberSet.unpacked(head[3]).changed([number], ()).packed()
            client.set(f"{self.prefix}:head", msgspec.msgpack.encode(head))


class Postgresql:
    typed = True
    shared = True

    def __init__(self, _: Path) -> None:
        self.server = shared_postgresql()
        self.database = self.server.new_database()

    def store(self, **options: Any) -> QueueStore:
        return open_store(
            self.server.url(self.database),
            **{"handle_prefix": b"H:test:import", "server": "one", "address": "a:1", **options},
        )

    def write_row(self, row: Sequence[object]) -> None:
        with self.server.connect(self.database) as connection:
            connection.execute(INSERT.encode(), row)


class Mariadb:
    typed = True
    shared = True

    def __init__(self, _: Path) -> None:
        self.server = shared_mariadb()
        self.database = self.server.new_database()

    def store(self, **options: Any) -> QueueStore:
        return open_store(
            self.server.url(self.database),
            **{"handle_prefix": b"H:test:import", "server": "one", "address": "a:1", **options},
        )

    def write_row(self, row: Sequence[object]) -> None:
        with self.server.connect(self.database) as connection, connection.cursor() as cursor:
            cursor.execute(INSERT, row)


class Galera(Mariadb):
    """Each store begins with another node of one cluster."""

    def __init__(self, _: Path) -> None:
        self.cluster = shared_galera()
        self.server = self.cluster.nodes[0]
        self.database = self.server.new_database()
        self.nodes = itertools.cycle(self.cluster.nodes)

    def store(self, **options: Any) -> QueueStore:
        self.server = next(self.nodes)
        return super().store(**options)


# Without the key it would coalesce by, which is nobody's but the store's to write.
INSERT = (
    f"INSERT INTO geartrain_jobs ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
)

ENGINES: dict[str, type[Engine]] = {
    "sqlite": Sqlite,
    "redis": Redis,
    "memcached": Memcached,
    "postgresql": Postgresql,
    "mariadb": Mariadb,
}
# Takes a minute more: GALERA=1 pytest tests/store -k galera
if os.environ.get("GALERA"):
    ENGINES["galera"] = Galera
UNTYPED = [name for name, kind in ENGINES.items() if not kind.typed]
ALONE = [name for name, kind in ENGINES.items() if not kind.shared]
SHARED = [name for name, kind in ENGINES.items() if kind.shared]
