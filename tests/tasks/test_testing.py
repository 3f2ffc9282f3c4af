"""``geartrain.testing`` as others use it: in a test suite of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from geartrain import App
from geartrain.testing import FakeClock, TestServer, drain
from tests.tasks import shop

SUITE = """
import pytest
from geartrain import App
from geartrain.errors import TaskError
from geartrain.testing import drain

app = App("nowhere:1")

@app.task
def small(url: str) -> str:
    return f"small {url}"

@pytest.mark.parametrize("pool", ["thread"])
def test_a_worker_runs_it(geartrain_worker, pool):
    with geartrain_worker(app, pool=pool):
        assert small.call("u") == "small u"
    assert app.servers == "nowhere:1"

def test_later(geartrain_clock, geartrain_server):
    geartrain_server.connect(app)
    small.options(delay=3600).delay("u")
    assert drain(app) == 0
    geartrain_server.advance(3600)
    assert drain(app) == 1
    app.close()

def test_eager():
    with app.eager(), pytest.raises(TaskError):
        small.call(3)
"""


def test_a_suite_of_others_finds_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_small.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "geartrain.testing.fixtures"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_fixtures_cost_other_runs_of_pytest_nothing() -> None:
    script = (
        "import sys, geartrain.testing.fixtures\n"
        "heavy = ('geartrain.server', 'geartrain.tasks', 'sqlalchemy', 'msgspec')\n"
        "sys.exit(', '.join(name for name in heavy if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""


def test_time_passes_by_itself_without_a_fake_clock() -> None:
    with TestServer() as server, pytest.raises(TypeError, match="TestServer"):
        server.advance(1)


def test_a_server_that_can_not_start_says_why() -> None:
    with TestServer() as server, pytest.raises(Exception, match="in use"):
        TestServer(listen=[server.address]).start()


def test_a_server_leaves_nothing_behind() -> None:
    before = threading.active_count()
    with TestServer():
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_drain_runs_what_fails_too() -> None:
    with TestServer(clock=FakeClock(1_000_000_000)) as server:
        shop.app.servers = server.address
        shop.explode.delay("x")
        shop.add.delay(1)
        assert drain(shop.app) == 2
        assert drain(shop.app) == 0
        shop.app.close()


def test_drain_says_when_there_is_no_server() -> None:
    app = App("127.0.0.1:1")
    app.task(name="x")(lambda: None)
    with pytest.raises(OSError, match="refused"):
        drain(app)
