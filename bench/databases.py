"""
What durable submission costs on each store that is a program of its own.

Starts PostgreSQL, MariaDB, Redis that syncs each write and, with ``--galera``, a cluster of three
nodes, their files on this disk, and a server of ours over each; prints a line for each and each
way of submitting::

    python -m bench.databases [--jobs N] [--galera]

Round trips are between the server and the database. PostgreSQL answers all statements of a
transaction together, and the COMMIT; MariaDB answers each statement, and counts them itself;
Redis counts what it reads.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import redis

from tests.services.galera import Galera
from tests.services.instance import Instance
from tests.services.key_value import RedisServer
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql

from .load import Load, compile_load
from .servers import Server, Setup

# Producers, and how many submissions each has under way.
WAYS = ((32, 20), (1, 1))


def transactions(server: Postgresql, database: str) -> float:
    """Return how many transactions a database of PostgreSQL's has committed."""
    with server.connect() as connection:
        row = connection.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = %s", (database,)
        ).fetchone()
    assert row is not None
    return float(str(row[0]))


def questions(server: Mariadb) -> float:
    """Return how many statements a MariaDB was sent."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
        ((_, count),) = cursor.fetchall()
    return float(count)


def reads(server: RedisServer) -> float:
    """Return how often a Redis has read from a connection."""
    with redis.Redis(port=server.port) as connection:
        return float(connection.info("stats")["total_reads_processed"])


def measure(name: str, url: str, trips: Callable[[], float], jobs: int, program: Path) -> None:
    """Print a line for each way of submitting."""
    for clients, outstanding in WAYS:
        count = jobs if clients > 1 else jobs // 10
        before = trips()
        with tempfile.TemporaryDirectory() as folder:
            with Server(Setup("geartrain", url), Path(folder)) as server:
                load = Load(program, {"port": server.port, "server_pid": server.pid})
                keys = {"unique": "distinct", "jobs": count}
                figures = load.run("submit", clients=clients, outstanding=outstanding, **keys)
            # PostgreSQL counts a connection's transactions for certain when that has ended.
            spent = (trips() - before) / count
            print(
                f"{name:12} {clients:3} x {outstanding:2}  {figures['rate']:8.0f} acks/s  "
                f"{spent:6.3f} round trips a job  p99 {figures['p99_us'] / 1000:6.1f} ms",
                flush=True,
            )
            with Server(Setup("geartrain", url), Path(folder)) as server:
                load = Load(program, {"port": server.port, "server_pid": server.pid})
                load.run("drain", workers=8, **keys)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.databases", description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000, help="jobs of 32 producers (50000)")
    parser.add_argument("--galera", action="store_true", help="a cluster of three nodes, too")
    options = parser.parse_args()
    # A sync has to cost what it costs.
    Instance.in_memory = False
    with tempfile.TemporaryDirectory() as folder:
        program = compile_load(Path(folder))
        postgresql = Postgresql()
        mariadb = Mariadb()
        key_value = RedisServer(Path(folder))
        cluster = Galera() if options.galera else None
        try:
            postgresql.create()
            postgresql.start()
            database = postgresql.new_database()
            measure(
                "PostgreSQL",
                postgresql.url(database),
                lambda: 2 * transactions(postgresql, database),
                options.jobs,
                program,
            )
            mariadb.create()
            mariadb.start()
            url = mariadb.url(mariadb.new_database())
            measure("MariaDB", url, lambda: questions(mariadb), options.jobs, program)
            key_value.start()
            measure("Redis", key_value.url(), lambda: reads(key_value), options.jobs, program)
            if cluster is not None:
                cluster.create()
                cluster.start()
                url = cluster.url(cluster.new_database())
                node = cluster.nodes[0]
                measure("Galera", url, lambda: questions(node), options.jobs, program)
        finally:
            key_value.kill()
            for server in (postgresql, mariadb, cluster):
                if server is not None:
                    server.remove()


if __name__ == "__main__":
    main()
