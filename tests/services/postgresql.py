"""PostgreSQL for the tests: a private instance, and a primary with a replica."""

from __future__ import annotations

import atexit
import functools
import itertools
import signal
from pathlib import Path

import psycopg

from tests.services.availability import find_program, require
from tests.services.instance import Instance, run_as

PASSWORD = "pg-s3cret"


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL's newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else find_program(name)
    assert path, f"{name} is not installed"
    return path


class Postgresql(Instance):
    """
    A PostgreSQL server.

    Args:
        settings: Settings beside those that make it small.

    """

    def __init__(self, **settings: object) -> None:
        super().__init__("postgres")
        self.settings = settings
        self.numbers = itertools.count(1)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def create(self) -> None:
        """Make its files."""
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        run_as(
            self.user,
            *(program("initdb"), "-D", self.data, "-U", "gear", "--pwfile", secret),
            *("--auth=password", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"),
        )
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host replication gear 127.0.0.1/32 password\n")
            # It listens on 127.0.0.1, unless a test wants otherwise.
            rules.write("host all gear all password\n")

    def command(self) -> list[object]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            # In its own folder, so that nothing is left of one that is killed.
            "dynamic_shared_memory_type": "mmap",
            "max_connections": 100,
            "autovacuum": "off",
            "max_wal_size": "256MB",
            **self.settings,
        }
        options = [word for item in settings.items() for word in ("-c", "{}={}".format(*item))]
        return [program("postgres"), "-D", self.data, "-p", self.port, *options]

    def stop(self) -> None:
        """End it in good order, without waiting for clients to leave."""
        self.end(signal.SIGINT)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://gear:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection that commits each statement."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=2)

    def answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.Error:
            return False
        return True

    def new_database(self) -> str:
        """Create an empty database, and return its name."""
        name = f"test{next(self.numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name


class Replica(Postgresql):
    """
    A streaming replica of a primary; ``promote`` makes it a primary.

    The primary acknowledges nothing that the replica has not on disk.
    """

    def __init__(self, primary: Postgresql) -> None:
        super().__init__()
        self.primary = primary

    def create(self) -> None:
        """Copy the primary's files, and let it wait for this one from now on."""
        source = f"{self.primary.url()}?application_name=replica".replace("/postgres?", "?")
        run_as(
            self.user,
            *(program("pg_basebackup"), "-D", self.data, "-d", source, "-R", "--no-sync"),
            *("--checkpoint=fast", "-X", "stream"),
        )

    def start(self, *, wait: bool = True) -> None:
        super().start(wait=wait)
        with self.primary.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'replica'")
            connection.execute("SELECT pg_reload_conf()")
        self.wait_until(self.is_synchronous)

    def is_synchronous(self) -> bool:
        """Return whether the primary waits for this replica."""
        with self.primary.connect() as connection:
            found = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
        return found == [("sync",)]

    def promote(self) -> None:
        """Make it a primary, which waits for no other replica."""
        with self.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_reload_conf(), pg_promote(true, 20)")


@functools.cache
def shared_postgresql() -> Postgresql:
    """Return one server for all tests that do not harm it; each uses a database of its own."""
    require("postgresql")
    server = Postgresql()
    atexit.register(server.remove)
    server.create()
    server.start()
    return server


def cluster_url(*servers: Postgresql, database: str = "postgres") -> str:
    """Return the URL of whichever of the servers is the primary."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql://gear:{PASSWORD}@{hosts}/{database}?target_session_attrs=read-write"
