"""Fixtures: a job server, Debian's or ours, and scripts that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.acceptance.conftest import fresh_job_server as fresh_job_server
from tests.acceptance.conftest import function as function
from tests.acceptance.conftest import job_server as job_server
from tests.acceptance.conftest import job_servers as job_servers
from tests.acceptance.job_server import JobServer
from tests.client.scripted_server import Script as Dialogue
from tests.client.scripted_server import ScriptedServer
from tests.compat.script import DISTRIBUTION, Script


@pytest.fixture
def run(job_server: JobServer) -> Iterator[Callable[..., Script]]:
    """Starts a script of this folder with the server's address and more arguments."""
    scripts = []

    def start(name: str, *arguments: str, place: Any = DISTRIBUTION, **more: str) -> Script:
        scripts.append(Script(name, job_server, *arguments, place=place, **more))
        return scripts[-1]

    yield start
    for script in scripts:
        script.kill()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts servers that follow a script."""
    servers: list[ScriptedServer] = []

    def start(script: Dialogue, **words: Any) -> ScriptedServer:
        servers.append(ScriptedServer(script, **words))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
