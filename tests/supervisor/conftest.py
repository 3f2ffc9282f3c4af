"""Fixtures of the supervisor's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.running import Start, starting


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Start]:
    """Starts `geartrain up` with programs, given as keyword arguments."""
    yield from starting(tmp_path)
