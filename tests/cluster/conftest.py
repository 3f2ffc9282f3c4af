"""Fixtures: servers of this process that share a database in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from geartrain.server.cluster import Cluster
from geartrain.server.shared_committer import boot_clock
from tests.cluster.fake import FakeDatabase, FakeSharedStore
from tests.server.conftest import start_server as start_server
from tests.server.servers import ThreadServer


class SharedServer(ThreadServer):
    """A job server of this process that shares a database with others."""

    def __init__(self, store: FakeSharedStore, **settings: object) -> None:
        self.shared = store
        super().__init__(store, name=store.server_name, **settings)  # type: ignore[arg-type]
        # Only now it is known where it listens.
        host, port = self.address
        store.address = f"{host}:{port}"
        store.database.servers[store.generation].address = store.address

    @property
    def cluster(self) -> Cluster:
        assert self.server.cluster is not None
        return self.server.cluster

    def look(self) -> None:
        """Have this server look for others that are gone, now."""
        committer = self.cluster.committer
        with committer.changed:
            committer.look_due = 0.0
            committer.changed.notify()

    def sleep(self, seconds: float) -> None:
        """Let time pass for this server alone, as if it had been stopped."""

        def later() -> float:
            return boot_clock() + seconds

        self.cluster.committer.clock = self.cluster.boot = later
        with self.cluster.committer.changed:
            self.cluster.committer.changed.notify()


class Skewed:
    """The database's clock; tests set it forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(Skewed())


@pytest.fixture
def start(database: FakeDatabase) -> Iterator[Callable[..., SharedServer]]:
    """Starts servers that share the database, by name."""
    servers: list[SharedServer] = []

    def start_one(name: str, lease: float = 3.0, **settings: object) -> SharedServer:
        server = SharedServer(
            database.store(name, prefix=b"H:" + name.encode(), lease=lease),
            handle_prefix=f"H:{name}",
            lease=lease,
            **settings,
        )
        servers.append(server)
        return server

    yield start_one
    for server in servers:
        server.shared.faults.gate.set()
        server.shared.faults.refuse = False
    for server in servers:
        server.stop()
