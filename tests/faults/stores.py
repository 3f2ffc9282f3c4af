"""
Stores of each kind that can be lost, frozen, slowed down, filled up and brought back.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cut import Way
from tests.faults.disk import Disk
from tests.faults.peers import wait_for
from tests.services.galera import Galera, Node
from tests.services.instance import START_TIMEOUT, Instance, started
from tests.services.key_value import MemcachedServer, RedisServer, Service
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql

KINDS = ("sqlite", "postgresql", "mariadb", "galera", "redis", "memcached")
# Megabytes of a disk that is to be full.
DISK = 600
# Seconds that a slow store takes for an answer, or a slow disk for a sync.
DELAY = 0.3

# What begins a trouble; and what ends it, and returns when the store works.
Trouble = tuple[Callable[[], None], Callable[[], None]]


@dataclass
class Rig:
    """
    One store and the trouble it can be given.

    Attributes:
        url: Of geartrain's store.
        troubles: ``down``: it is ended at once, and started again on its files. ``hang``:
            connections stay, or the file stays locked, and nobody answers. ``slow``: each answer
            or sync takes its time. ``full``: its disk has no room.

    """

    url: str
    troubles: dict[str, Trouble] = field(default_factory=dict)


@contextmanager
def rig(kind: str, folder: Path, fault: str = "", pid: Callable[[], int] = int) -> Iterator[Rig]:
    """
    Start a store of a kind, its files on this disk where it has any.

    Args:
        kind: One of `KINDS`.
        folder: For its files.
        fault: ``full`` puts them on a disk of their own, ``slow`` a way before the store.
        pid: Tells the process of the job server, whose syncs are slow with SQLite.

    """
    if kind == "sqlite":
        with sqlite(folder, fault, pid) as found:
            yield found
    elif kind in ("redis", "memcached"):
        with key_value(kind, folder, fault) as found:
            yield found
    elif kind == "galera":
        with galera(fault) as found:
            yield found
    else:
        with database(kind, fault) as found:
            yield found


@contextmanager
def sqlite(folder: Path, fault: str, pid: Callable[[], int]) -> Iterator[Rig]:
    """A file in the folder, which another program locks."""
    place = folder / "store"
    place.mkdir()
    troubles: dict[str, Trouble] = {"slow": slow_syncs(pid)}
    with ExitStack() as stack:
        if fault == "full":
            disk = stack.enter_context(closing(Disk(place, DISK)))
            troubles["full"] = (disk.fill, disk.free)
        file = place / "queue.db"
        other = sqlite3.connect(file, isolation_level=None, timeout=10)
        stack.enter_context(closing(other))
        troubles["hang"] = (
            lambda: other.execute("BEGIN IMMEDIATE") and None,
            lambda: other.execute("ROLLBACK") and None,
        )
        yield Rig(f"sqlite:///{file}", troubles)


def slow_syncs(pid: Callable[[], int]) -> Trouble:
    """Have a process wait in each of its syncs."""
    tracers: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        inject = f"inject=fsync,fdatasync:delay_enter={int(DELAY * 1e6)}"
        words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject, "-p", str(pid())]
        tracers.append(subprocess.Popen(words))

    def end() -> None:
        tracer = tracers.pop()
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)

    return begin, end


@contextmanager
def key_value(kind: str, folder: Path, fault: str) -> Iterator[Rig]:
    """A Redis or a memcached."""
    place = folder / "store"
    place.mkdir()
    with ExitStack() as stack:
        disk = stack.enter_context(closing(Disk(place, DISK))) if fault == "full" else None
        service = (RedisServer if kind == "redis" else MemcachedServer)(place)
        stack.callback(service.kill)
        service.start()
        down, hang = (service.kill, service.start), (service.freeze, service.thaw)
        yield stack.enter_context(rigged(service, service.url(), fault, disk, down, hang))


@contextmanager
def database(kind: str, fault: str) -> Iterator[Rig]:
    """A PostgreSQL or a MariaDB."""
    server = Postgresql() if kind == "postgresql" else Mariadb()
    with ExitStack() as stack:
        stack.callback(server.remove)
        disk = None
        if fault == "full":
            disk = stack.enter_context(closing(Disk(server.data, DISK, server.user)))
            stack.callback(server.kill)
        server.create()
        server.start()
        url = server.url(server.new_database())
        down, hang = (server.kill, server.start), (server.pause, server.resume)
        yield stack.enter_context(rigged(server, url, fault, disk, down, hang))


@contextmanager
def rigged(
    server: Instance | Service,
    url: str,
    fault: str,
    disk: Disk | None,
    down: Trouble,
    hang: Trouble,
) -> Iterator[Rig]:
    """Add the troubles that need a disk or a way to those that a program itself can have."""
    troubles = {"down": down, "hang": hang}
    if disk is not None:
        troubles["full"] = (disk.fill, lambda: room(disk, server))
    if fault != "slow":
        yield Rig(url, troubles)
        return
    with closing(Way(server.port)) as way:
        troubles["slow"] = (lambda: way.slow(DELAY), lambda: way.slow(0.0))
        yield Rig(url.replace(f":{server.port}", f":{way.here}"), troubles)


def room(disk: Disk, server: Instance | Service) -> None:
    """Make room, and start a server again that did not survive that there was none."""
    disk.free()
    process = server.process
    assert process is not None

    def settled() -> bool:
        ended = process.poll() is not None
        return ended or not isinstance(server, Instance) or server.answers()

    assert wait_for(settled, START_TIMEOUT)
    if process.poll() is not None:
        server.process = None
        server.start()


@contextmanager
def galera(fault: str) -> Iterator[Rig]:
    """Three nodes; trouble is for the one that servers write to first."""
    cluster = Galera()
    node = cluster.nodes[0]

    def lose() -> None:
        node.kill()
        # One that comes back before the others have noticed is not let in.
        cluster.nodes[1].wait_until(lambda: size(cluster.nodes[1]) == 2)

    with ExitStack() as stack:
        stack.enter_context(started(cluster))
        url = cluster.url(cluster.new_database())
        down, hang = (lose, node.start), (node.pause, node.resume)
        yield stack.enter_context(rigged(node, url, fault, None, down, hang))


def size(node: Node) -> int:
    """Return of how many nodes a node believes its cluster to be."""
    with node.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'wsrep_cluster_size'")
        ((_, count),) = cursor.fetchall()
    return int(count)
