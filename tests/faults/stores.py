"""
Stores of each kind that can be lost, frozen and brought back, for the long form.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.galera import Galera, Node
from tests.services.key_value import MemcachedServer, RedisServer
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql

KINDS = ("sqlite", "postgresql", "mariadb", "galera", "redis", "memcached")


@dataclass
class Rig:
    """
    One store and the trouble it can be given.

    Attributes:
        url: Of geartrain's store.
        lose: Ends it at once; None where it is no program of its own.
        back: Starts it again on its files; returns when it works.
        freeze: Lets it hang: connections stay, or the file stays locked.
        thaw: Ends that.

    """

    url: str
    lose: Callable[[], None] | None
    back: Callable[[], None]
    freeze: Callable[[], None]
    thaw: Callable[[], None]


@contextmanager
def rig(kind: str, folder: Path) -> Iterator[Rig]:
    """Start a store of a kind, its files on this disk where it has any."""
    if kind == "sqlite":
        with sqlite(folder) as found:
            yield found
    elif kind in ("redis", "memcached"):
        service = (RedisServer if kind == "redis" else MemcachedServer)(folder)
        service.start()
        try:
            yield Rig(service.url(), service.kill, service.start, service.freeze, service.thaw)
        finally:
            service.kill()
    elif kind == "galera":
        with galera() as found:
            yield found
    else:
        with database(kind) as found:
            yield found


@contextmanager
def sqlite(folder: Path) -> Iterator[Rig]:
    """A file in the folder, which another program locks."""
    file = folder / "queue.db"
    with closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as other:
        yield Rig(
            f"sqlite:///{file}",
            None,
            lambda: None,
            lambda: other.execute("BEGIN IMMEDIATE") and None,
            lambda: other.execute("ROLLBACK") and None,
        )


@contextmanager
def database(kind: str) -> Iterator[Rig]:
    """A PostgreSQL or a MariaDB."""
    server = Postgresql() if kind == "postgresql" else Mariadb()
    try:
        server.create()
        server.start()
        url = server.url(server.new_database())
        yield Rig(url, server.kill, server.start, server.pause, server.resume)
    finally:
        server.remove()


@contextmanager
def galera() -> Iterator[Rig]:
    """Three nodes; trouble is for the one that servers write to first."""
    cluster = Galera()
    node = cluster.nodes[0]
    try:
        cluster.create()
        cluster.start()
        url = cluster.url(cluster.new_database())

        def lose() -> None:
            node.kill()
            # One that comes back before the others have noticed is not let in.
            cluster.nodes[1].wait_until(lambda: size(cluster.nodes[1]) == 2)

        yield Rig(url, lose, node.start, node.pause, node.resume)
    finally:
        cluster.remove()


def size(node: Node) -> int:
    """Return of how many nodes a node believes its cluster to be."""
    with node.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'wsrep_cluster_size'")
        ((_, count),) = cursor.fetchall()
    return int(count)
