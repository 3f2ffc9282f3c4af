"""
What durable submission costs on each engine that can keep the jobs, for geartrain and for gearmand.

Each engine is started for it, with its files on the disk and a sync for every commit, and each way
of submitting gets an empty database. The rigs are those of the tests (``tests/services``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .kinds import Class, Contestant, Line
from .load import Figures, Load, WrongResult
from .servers import Server, Setup, program_path

if TYPE_CHECKING:
    from tests.services.mariadb import Mariadb
    from tests.services.postgresql import Postgresql

__all__ = ["STORES"]


@dataclass(frozen=True)
class Place:
    """
    An empty database of an engine.

    Attributes:
        url: What our server is told.
        options: What gearmand is told.
        trips: Counts round trips to the engine so far, None where nobody does.
        syncs: Counts syncs of the engine so far, None where it doesn't; ``traced``, and the
            server has to be watched.

    """

    url: str
    options: tuple[str, ...] = ()
    trips: Callable[[], float] | None = None
    syncs: Callable[[], float] | None = None
    traced: bool = False


# Makes an empty database; called with a name that it may give it.
NewPlace = Callable[[str], Place]


@dataclass(frozen=True)
class Way:
    """So many producers with so many submissions under way; jobs for us, and for gearmand."""

    suffix: str
    clients: int
    outstanding: int
    jobs: int
    slow: int


WAYS = (Way("", 32, 20, 40_000, 1_000), Way("_serial", 1, 1, 2_000, 300))
# A run that is traced counts syncs and nothing else; it gets so much fewer jobs.
TRACED = 4


# Engines.


@contextmanager
def sqlite(folder: Path) -> Iterator[NewPlace]:
    def place(name: str) -> Place:
        file = folder / f"{name}.db"
        options = ("-q", "libsqlite3", "--libsqlite3-db", str(file))
        return Place(f"sqlite:///{file}", options, traced=shutil.which("strace") is not None)

    yield place


@contextmanager
def postgresql(_: Path) -> Iterator[NewPlace]:
    from tests.services.postgresql import PASSWORD, Postgresql

    server = Postgresql()

    def place(_: str) -> Place:
        name = server.new_database()
        about = f"host=127.0.0.1 port={server.port} user=gear password={PASSWORD} dbname={name}"
        return Place(
            server.url(name),
            ("-q", "Postgres", "--libpq-conninfo", about),
            # Our statements of a transaction are answered together, and then its COMMIT.
            lambda: 2 * transactions(server, name),
            lambda: asked(server, "SELECT wal_sync FROM pg_stat_wal"),
        )

    try:
        server.create()
        server.start()
        yield place
    finally:
        server.remove()


@contextmanager
def mariadb(_: Path) -> Iterator[NewPlace]:
    from tests.services.mariadb import PASSWORD, Mariadb

    server = Mariadb()

    def place(_: str) -> Place:
        name = server.new_database()
        options = (
            *("-q", "MySQL", "--mysql-host", "127.0.0.1", "--mysql-port", str(server.port)),
            *("--mysql-user", "gear", "--mysql-password", PASSWORD, "--mysql-db", name),
        )
        return Place(
            server.url(name),
            options,
            lambda: status(server, "Questions"),
            lambda: status(server, "Innodb_data_fsyncs"),
        )

    try:
        server.create()
        server.start()
        yield place
    finally:
        server.remove()


@contextmanager
def galera(_: Path) -> Iterator[NewPlace]:
    from tests.services.galera import Galera

    cluster = Galera()
    first = cluster.nodes[0]

    def place(_: str) -> Place:
        return Place(
            cluster.url(cluster.new_database()),
            trips=lambda: status(first, "Questions"),
            syncs=lambda: status(first, "Innodb_data_fsyncs"),
        )

    try:
        cluster.create()
        cluster.start()
        yield place
    finally:
        cluster.remove()


@contextmanager
def redis(folder: Path) -> Iterator[NewPlace]:
    import redis as library

    from tests.services.key_value import RedisServer

    server = RedisServer(folder)

    def reads() -> float:
        with library.Redis(port=server.port) as connection:
            return float(connection.info("stats")["total_reads_processed"])

    def place(name: str) -> Place:
        options = ("-q", "redis", "--redis-server", "127.0.0.1", "--redis-port", str(server.port))
        return Place(server.url(name), (*options, "--redis-prefix", name), reads)

    try:
        server.start()
        yield place
    finally:
        server.kill()


@contextmanager
def memcached(folder: Path) -> Iterator[NewPlace]:
    from tests.services.key_value import MemcachedServer

    server = MemcachedServer(folder)

    def place(name: str) -> Place:
        servers = f"127.0.0.1:{server.port}"
        options = ("-q", "libmemcached", "--libmemcached-servers", servers)
        return Place(server.url(name), (*options, "--libmemcached-prefix", f"{name}_"))

    try:
        server.start()
        yield place
    finally:
        server.kill()


ENGINES: dict[str, Callable[[Path], AbstractContextManager[NewPlace]]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "mariadb": mariadb,
    "galera": galera,
    "redis": redis,
    "memcached": memcached,
}


def transactions(server: Postgresql, database: str) -> float:
    return asked(server, f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{database}'")


def asked(server: Postgresql, question: str) -> float:
    with server.connect() as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return float(str(row[0]))


def status(server: Mariadb, name: str) -> float:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SHOW GLOBAL STATUS LIKE '{name}'")
        ((_, count),) = cursor.fetchall()
    return float(count)


def lacks(contestant: Contestant) -> str:
    """Return what is missing to measure a contestant, or nothing."""
    if contestant.side == "peer" and not program_path("gearmand"):
        return "gearmand is not installed"
    if contestant.store == "sqlite":
        return ""
    try:
        from tests.services.availability import SERVICES
    except ImportError as error:
        return f"it needs {error.name} (make .venv/.developer)"
    service = SERVICES[contestant.store]
    return "" if service.present() else f"it needs {service.packages}"


# A measurement.


def measure_store(
    contestant: Contestant, generator: Path, folder: Path, quick: bool
) -> tuple[Figures, list[str]]:
    """Submit in each way to a server over the engine: the figures, and what was run."""
    if contestant.store != "sqlite":
        from tests.services.instance import Instance

        # A sync has to cost what it costs.
        Instance.in_memory = False
    figures: Figures = {}
    commands: list[str] = []
    with ENGINES[contestant.store](folder) as new_place:
        for way in WAYS:
            trial = Trial(contestant, generator, folder, way)
            jobs = way.jobs if contestant.side == "ours" else way.slow
            jobs = max(jobs // 10, 100) if quick else jobs
            figures |= trial.run(new_place, jobs)
            commands += trial.commands
    return figures, commands


class Trial:
    """One contestant, and one way of submitting to it."""

    def __init__(self, contestant: Contestant, generator: Path, folder: Path, way: Way) -> None:
        self.side = contestant.side
        self.generator = generator
        self.folder = folder
        self.way = way
        self.commands: list[str] = []

    def run(self, new_place: NewPlace, jobs: int) -> Figures:
        """Submit so many jobs."""
        place = new_place(f"bench{self.way.suffix}")
        before = counts(place)
        found, _ = self.submit(place, jobs)
        after = counts(place)
        figures = {"acks": found["rate"], "acks_p99": found["p99_us"] / 1000}
        figures |= {name: (after[name] - before[name]) / jobs for name in before}
        if self.side != "ours":
            # How many statements a transaction of gearmand's has, nobody knows here.
            figures.pop("trips", None)
        if place.traced:
            fewer = max(jobs // TRACED, 100)
            other = new_place(f"traced{self.way.suffix}")
            figures["syncs"] = self.submit(other, fewer, "strace")[1].syncs() / fewer
        return {f"{name}{self.way.suffix}": value for name, value in figures.items()}

    def submit(self, place: Place, jobs: int, under: str = "") -> tuple[Figures, Server]:
        """Submit to a new server; returns that as well, stopped."""
        program = "geartrain" if self.side == "ours" else "gearmand"
        setup = Setup(program, place.url, queue=place.options)
        with Server(setup, self.folder, under) as server:
            load = Load(self.generator, {"port": server.port, "server_pid": server.pid})
            keys = {"unique": "distinct", "jobs": jobs}
            ways = {"clients": self.way.clients, "outstanding": self.way.outstanding}
            figures = load.run("submit", **ways, **keys)
            server.check_alone()
            if server.queued() != jobs:
                raise WrongResult(f"the server counts {server.queued()} jobs, not {jobs}")
        if not under:
            self.commands += load.commands
        return figures, server


def counts(place: Place) -> Figures:
    """What an engine counts; for certain once nobody is connected to it."""
    counters = {"trips": place.trips, "syncs": place.syncs}
    return {name: count() for name, count in counters.items() if count is not None}


# The class.


def both_sides(store: str) -> tuple[Contestant, Contestant]:
    return Contestant("ours", store), Contestant("peer", store)


COMPARED = ("sqlite", "postgresql", "mariadb", "redis", "memcached")
# Of those that count their syncs.
SYNCED = ("sqlite", "postgresql", "mariadb")

STORES = Class(
    "stores",
    "durable submit over each engine: 32 producers x 20 outstanding, and one by one",
    None,
    (
        *(Line("acks", ours=ours, against=(peer,)) for ours, peer in map(both_sides, COMPARED)),
        *(
            Line("acks_serial", ours=ours, against=(peer,))
            for ours, peer in map(both_sides, COMPARED)
        ),
        *(
            Line("syncs", at_most=0.1, ours=ours, against=(peer,))
            for ours, peer in map(both_sides, SYNCED)
        ),
        *(
            Line("syncs_serial", at_most=2, ours=ours, against=(peer,))
            for ours, peer in map(both_sides, SYNCED)
        ),
    ),
    (
        *(each for store in COMPARED for each in both_sides(store)),
        Contestant("ours", "galera"),
    ),
    note="40,000 jobs of 32 producers and 2,000 one by one for us, 1,000 and 300 for gearmand. "
    "It has a queue in each of these engines, but not on Galera, which has three nodes here. "
    "Engines sync each commit; memcached keeps nothing on disk. Round trips are between our server "
    "and the engine: PostgreSQL answers all statements of a transaction together, and then its "
    "COMMIT; MariaDB answers and counts each statement; Redis counts what it reads. Syncs of "
    "SQLite are counted by strace in runs of their own, those of the others by the engine, for "
    "all its files. One by one gearmand sends one statement, and we a transaction, which writes "
    "its server's row first: that is what lets servers take over from each other.",
    rounds=1,
    breakdown=("acks", "acks_p99", "trips", "syncs", "acks_serial", "trips_serial", "syncs_serial"),
    alone=measure_store,
    lacks=lacks,
)
