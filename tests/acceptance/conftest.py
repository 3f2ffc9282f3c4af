"""Fixtures of the acceptance tests: a job server, and programs of other languages that use it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.connection import ECHO_REQ, ECHO_RES, Connection
from tests.acceptance.job_server import JobServer
from tests.acceptance.peer import Peers

FUNCTION_NUMBERS = itertools.count(1)


class JobServers:
    """The servers of this run, each started when the first test wants it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: dict[str, JobServer] = {}
        self.count = itertools.count(1)

    def start(self, name: str) -> JobServer:
        directory = self.directory / f"{name}-{next(self.count)}"
        directory.mkdir()
        return JobServer(name, directory)

    def take(self, name: str) -> JobServer:
        if name not in self.running:
            self.running[name] = self.start(name)
        return self.running[name]

    def check(self, server: JobServer) -> None:
        """Fail, and start a new one for the next test, if the server did not survive this one."""
        if not server.is_running():
            del self.running[server.name]
            pytest.fail(f"the test ended {server.name}:\n{server.last_words()}")
        with Connection(server.port) as connection:
            connection.send(ECHO_REQ, b"still there?")
            assert connection.receive() == (ECHO_RES, b"still there?")

    def stop(self) -> None:
        for server in self.running.values():
            server.stop()


@pytest.fixture(scope="session")
def job_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobServers]:
    servers = JobServers(tmp_path_factory.mktemp("job-servers"))
    yield servers
    servers.stop()


@pytest.fixture(params=["gearmand", "geartrain"])
def job_server(request: pytest.FixtureRequest, job_servers: JobServers) -> Iterator[JobServer]:
    """A server that other tests use too, so a test names its functions with `function`."""
    server = job_servers.take(request.param)
    yield server
    job_servers.check(server)


@pytest.fixture(params=["gearmand", "geartrain"])
def fresh_job_server(
    request: pytest.FixtureRequest, job_servers: JobServers
) -> Iterator[JobServer]:
    """A server of the test's own, for what shows in listings or what it may spoil."""
    server = job_servers.start(request.param)
    yield server
    server.stop()


@pytest.fixture
def function() -> str:
    """A function name no other test uses."""
    return f"f{next(FUNCTION_NUMBERS)}"


def text_file(path: Path, mebibytes: int) -> Path:
    # Text, because gearmanode sends every result as UTF-8.
    path.write_bytes(b"0123456789abcdef" * 65536 * mebibytes)
    return path


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """
    A file of 1 MiB.

    libgearman, which is also in PHP and in gearmand, has so small a send buffer that on one machine
    it sends a segment and waits for its delayed ACK, 1.5 MB/s: more would make every test long.
    """
    return text_file(tmp_path / "large", 1)


@pytest.fixture
def very_large_file(tmp_path: Path) -> Path:
    """A file of 8 MiB, for the tests that want that much."""
    return text_file(tmp_path / "very-large", 8)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def peers(job_server: JobServer, compiled: Path) -> Iterator[Peers]:
    """Programs that use the shared job server; they end with the test."""
    peers = Peers(job_server, compiled)
    yield peers
    peers.close()


@pytest.fixture
def fresh_peers(fresh_job_server: JobServer, compiled: Path) -> Iterator[Peers]:
    """Programs that use a job server of the test's own."""
    peers = Peers(fresh_job_server, compiled)
    yield peers
    peers.close()
