"""Fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.servers import ProcessServer, ThreadServer


@pytest.fixture
def start_server() -> Iterator[Callable[..., ThreadServer]]:
    """Starts job servers in this process, with settings and a store of the test's choice."""
    servers: list[ThreadServer] = []

    def start(*args: object, **settings: object) -> ThreadServer:
        server = ThreadServer(*args, **settings)  # type: ignore[arg-type]
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def job_server(start_server: Callable[..., ThreadServer]) -> ThreadServer:
    """A job server in this process that keeps nothing."""
    return start_server()


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., ProcessServer]]:
    """Starts job servers in processes of their own."""
    servers: list[ProcessServer] = []

    def start(**words: object) -> ProcessServer:
        server = ProcessServer(tmp_path, **words)  # type: ignore[arg-type]
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server_process(start_process: Callable[..., ProcessServer]) -> ProcessServer:
    """A job server in a process of its own that keeps nothing."""
    return start_process()
