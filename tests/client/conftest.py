"""Fixtures of the clients' tests."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from geartrain.client.address import Address
from tests.client.real_servers import KINDS, RealServer
from tests.client.scripted_server import Script, ScriptedServer
from tests.client.shells import AioShell, SyncShell


@pytest.fixture(params=[SyncShell, AioShell], ids=["blocking", "asyncio"])
def shell(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Opens clients of one kind or the other."""
    shell = request.param()
    yield shell
    shell.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts servers that follow a script."""
    servers: list[ScriptedServer] = []

    def start(script: Script, *place: Any, **words: Any) -> ScriptedServer:
        servers.append(ScriptedServer(script, *place, **words))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module", params=KINDS)
def job_server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A real job server: gearmand, and ours."""
    server = RealServer(request.param)
    yield server
    server.stop()


@pytest.fixture
def full_listener() -> Iterator[Address]:
    """The address of a listener whose backlog is full, so that connecting hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        waiting = []
        try:
            for _ in range(4):
                connection = socket.socket()
                connection.setblocking(False)
                connection.connect_ex(listening.getsockname())
                waiting.append(connection)
            yield Address(*listening.getsockname())
        finally:
            for connection in waiting:
                connection.close()
