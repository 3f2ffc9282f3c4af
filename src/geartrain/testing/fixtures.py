"""
Fixtures for pytest, found by it where the package is installed.

::

    def test_thumbs(geartrain_worker):
        with geartrain_worker(app):
            assert thumbs.call("u") == "small u"

    def test_later(geartrain_clock, geartrain_server):
        geartrain_server.connect(app)
        thumbs.options(delay=3600).delay("u")
        geartrain_server.advance(3600)
        assert drain(app) == 1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from geartrain.testing.clock import FakeClock

if TYPE_CHECKING:
    from geartrain.tasks.app import App
    from geartrain.tasks.worker import TaskWorker
    from geartrain.testing.server import TestServer

# Seconds until a worker has to be ready.
_PATIENCE = 10.0

RunWorker: TypeAlias = "Callable[..., AbstractContextManager[TaskWorker]]"


@pytest.fixture
def geartrain_clock() -> FakeClock:
    """A clock; a test that asks for it has a server whose time passes by it alone."""
    return FakeClock()


@pytest.fixture
def geartrain_server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """A job server in this process, on a free port, that keeps its jobs in memory."""
    from geartrain.testing.server import TestServer

    turned = "geartrain_clock" in request.fixturenames
    clock = request.getfixturevalue("geartrain_clock") if turned else None
    with TestServer(clock=clock) as server:
        yield server


@pytest.fixture
def geartrain_worker(geartrain_server: TestServer) -> RunWorker:
    """
    Connects an app to the test's server, and runs its tasks for a ``with`` block.

    Called with the app, and with what `TaskWorker` takes.
    """

    @contextmanager
    def run(app: App, **options: Any) -> Iterator[TaskWorker]:
        from geartrain.tasks.worker import TaskWorker

        before, clock = app.servers, app.clock
        geartrain_server.connect(app)
        options.setdefault("concurrency", 2)
        try:
            with TaskWorker(app, **options) as worker:
                if not worker.wait_until_ready(_PATIENCE):
                    raise RuntimeError("the worker is not ready; see the log of geartrain.worker")
                yield worker
        finally:
            app.servers, app.clock = before, clock

    return run


__all__ = ["RunWorker", "geartrain_clock", "geartrain_server", "geartrain_worker"]
