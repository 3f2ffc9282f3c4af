"""Fixtures of the tasks' tests: a job server, and workers of every pool for the shop's tasks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from geartrain import App
from geartrain.testing import TestServer
from tests.tasks.running import RunningPool
from tests.tasks.shop import app as shop_app

POOLS = ["thread", "process", "async"]


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with TestServer() as server:
        yield server


@pytest.fixture
def app(server: TestServer) -> Iterator[App]:
    """The shop, connected to the server."""
    shop_app.servers = server.address
    yield shop_app
    shop_app.close()


@pytest.fixture(scope="module", params=POOLS)
def pool(request: pytest.FixtureRequest, server: TestServer) -> Iterator[str]:
    """Each pool, at work for the module."""
    shop_app.servers = server.address
    with RunningPool(request.param):
        yield str(request.param)
