"""Servers whose jobs are in a database, and that too, are killed while clients submit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.killing import kill_again_and_again
from tests.services.availability import require
from tests.services.instance import started
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql

KINDS = {"postgresql": Postgresql, "mariadb": Mariadb}
# The database is killed in each third.
ROUNDS = 6


@pytest.fixture(params=list(KINDS))
def database(request: pytest.FixtureRequest) -> Iterator[Postgresql | Mariadb]:
    require(request.param)
    with started(KINDS[request.param]()) as server:
        yield server


@pytest.mark.timeout(120)
def test_no_acknowledged_job_is_lost_when_server_and_database_are_killed(
    database: Postgresql | Mariadb, tmp_path: Path
) -> None:
    def kill_database(number: int) -> None:
        if number % 3 == 2:
            database.kill()
            database.start()

    url = database.url(database.new_database())
    verdict = kill_again_and_again("geartrain", tmp_path, ROUNDS, 1, url, kill_database)
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []
    assert verdict.kills == ROUNDS
    assert verdict.acked > 20 * ROUNDS
