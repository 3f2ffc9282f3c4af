"""Several servers on one database, one of which is killed, stopped, restarted or cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.asleep import restarted, sleep_through
from tests.faults.cluster import LEASE, Load, cut_off_one, kill_one, load, restart_all
from tests.faults.cut import Way
from tests.services.postgresql import PASSWORD, shared_postgresql

pytestmark = pytest.mark.timeout(90)

# Seconds from a server's death until what it held runs elsewhere.
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
    takeover = kill_one(running)
    running.run_for(200)
    verdict = running.finish()
    # How fast workers run what was taken over is theirs, and the machine's.
    assert takeover.first < TAKEOVER
    assert takeover.first <= takeover.whole
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []


def test_a_server_that_slept_past_its_lease_assigns_and_ends_nothing_it_held(
    running: Load,
) -> None:
    woken = sleep_through(running, 0, LEASE)
    assert not woken, woken
    running.run_for(200)
    verdict = running.finish()
    assert restarted(running) == []
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []


def test_servers_are_restarted_one_by_one_and_nothing_is_lost_or_run_twice(running: Load) -> None:
    restart_all(running)
    verdict = running.finish()
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.twice == {}


def test_a_server_that_can_not_reach_the_database_is_taken_over(tmp_path: Path) -> None:
    instance = shared_postgresql()
    name = instance.new_database()
    way = Way(instance.port)
    try:
        with load(tmp_path, instance.url(name), start=False) as running:
            running.members[0].store = f"postgresql://gear:{PASSWORD}@127.0.0.1:{way.here}/{name}"
            running.start()
            running.run_for(600)
            seconds = cut_off_one(running, 0, way.cut, way.mend)
            running.run_for(200)
            verdict = running.finish()
    finally:
        way.close()
    assert seconds < TAKEOVER
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []
