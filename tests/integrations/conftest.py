"""Fixtures: job servers in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.job_server import JobServer


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], JobServer]]:
    """Starts job servers: ``gearmand`` or ``geartrain``."""
    servers: list[JobServer] = []

    def start(name: str) -> JobServer:
        directory: Path = tmp_path_factory.mktemp(name)
        servers.append(JobServer(name, directory))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def job_server(start_server: Callable[[str], JobServer]) -> str:
    """The address of one of our servers."""
    return f"127.0.0.1:{start_server('geartrain').port}"
