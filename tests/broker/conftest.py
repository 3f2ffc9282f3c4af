from __future__ import annotations

import pytest

from tests.broker.story import Stage


@pytest.fixture
def play() -> Stage:
    """A broker that keeps jobs in memory only."""
    return Stage()


@pytest.fixture
def durable() -> Stage:
    """A broker that acknowledges background jobs once they are on disk."""
    return Stage(durable=True)
