"""Fixtures of the agent's tests: a job server and agents, as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geartrain.client.sync import Client
from tests.agent.processes import AgentProcess
from tests.cli.servers import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A job server of the module's tests; agents are told apart by their names."""
    running = Server("geartrain", tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(f"127.0.0.1:{server.port}") as client:
        yield client


@pytest.fixture
def start_agent(server: Server, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Starts agents of the server, or of none; settings are those of ``[agent]``."""
    started: list[AgentProcess] = []

    def start(name: str, *args: str, ready: bool = True, **settings: Any) -> AgentProcess:
        settings.setdefault("servers", [f"127.0.0.1:{server.port}"])
        agent = AgentProcess(name, tmp_path, *args, **settings)
        started.append(agent)
        if ready:
            agent.wait_for("ready: agent")
        return agent

    yield start
    for agent in started:
        agent.end()
