"""Schedulers on one database that are killed and stopped: no moment is lost, none has two rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.schedulers import run
from tests.faults.stores import rig
from tests.services.availability import require

pytestmark = pytest.mark.timeout(120)


def test_no_moment_is_lost_or_fires_twice_whoever_is_killed_or_stopped(tmp_path: Path) -> None:
    require("postgresql")
    with rig("postgresql", tmp_path) as store:
        outcome = run(store, tmp_path, 6.0, 7, 40)
    assert outcome.moments > 40
    assert (outcome.lost, outcome.twice, outcome.unaccounted) == ([], [], [])
