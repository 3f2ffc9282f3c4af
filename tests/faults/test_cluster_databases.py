"""Several servers on a database of several machines, one of which is lost under load."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Load, load, lose_database
from tests.services.galera import Galera, shared_galera
from tests.services.instance import started
from tests.services.postgresql import Postgresql, Replica, cluster_url, require

pytestmark = pytest.mark.timeout(120)

# Seconds until service resumes.
RESUMES = 10.0
# Seconds until somebody has noticed that the primary is gone.
NOTICED = 1.5


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgresql]:
    require("postgresql")
    with started(Postgresql()) as server:
        yield server


@pytest.fixture(scope="module")
def replica(primary: Postgresql) -> Iterator[Replica]:
    with started(Replica(primary)) as server:
        yield server


def check(running: Load, silence: float) -> None:
    verdict = running.finish()
    assert silence < RESUMES
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []


def test_the_primary_is_lost_and_the_replica_takes_over(
    tmp_path: Path, primary: Postgresql, replica: Replica
) -> None:
    def lose() -> None:
        primary.kill()
        threading.Event().wait(NOTICED)
        replica.promote()

    with load(tmp_path, cluster_url(primary, replica)) as running:
        running.run_for(600)
        check(running, lose_database(running, lose, lambda: None))


@pytest.fixture(scope="module")
def galera() -> Galera:
    return shared_galera()


def test_a_node_of_a_galera_cluster_is_lost_and_comes_back(tmp_path: Path, galera: Galera) -> None:
    # The one that all servers write to.
    node = galera.nodes[0]
    with load(tmp_path, galera.url(galera.new_database())) as running:
        running.run_for(600)
        check(running, lose_database(running, node.kill, node.start))
