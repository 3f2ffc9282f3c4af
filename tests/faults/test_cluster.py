"""Several servers on one database, one of which is killed, stopped, restarted or cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Load, kill_one, load, pause_one, restart_all
from tests.services.postgresql import shared_postgresql

pytestmark = pytest.mark.timeout(90)

# Seconds from a server's death until all that it held has run elsewhere.
TAKEOVER = 5.0


@pytest.fixture(scope="module")
def url() -> str:
    """An empty database."""
    server = shared_postgresql()
    return server.url(server.new_database())


@pytest.fixture
def running(tmp_path: Path, url: str) -> Iterator[Load]:
    with load(tmp_path, url) as running:
        running.run_for(600)
        yield running


def test_what_a_killed_server_had_runs_elsewhere_within_seconds(running: Load) -> None:
    seconds = kill_one(running)
    running.run_for(200)
    verdict = running.finish()
    assert seconds < TAKEOVER
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []


def test_a_server_that_slept_past_its_lease_is_fenced(running: Load) -> None:
    assert pause_one(running, 0, 1.0) == []
    running.run_for(200)
    verdict = running.finish()
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []


def test_servers_are_restarted_one_by_one_and_nothing_is_lost_or_run_twice(running: Load) -> None:
    restart_all(running)
    verdict = running.finish()
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.twice == {}
