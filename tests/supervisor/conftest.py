"""Fixtures of the supervisor's tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.running import Start, starting


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Start]:
    """Starts `geartrain up` with programs, given as keyword arguments."""
    yield from starting(tmp_path)


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
