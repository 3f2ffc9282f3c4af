"""Fixtures of the clients' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

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
