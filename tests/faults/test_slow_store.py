"""A store whose every answer takes its time: refusals come in time, and others are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killing import trouble_again_and_again
from tests.faults.server import Server
from tests.faults.stores import rig
from tests.server.bystander import UNDISTURBED, at
from tests.services.availability import require

# Seconds until a submission is refused, and until a store that works again is used.
REFUSED = 1.0
HEALED = 5.0


@pytest.mark.timeout(90)
def test_slow_database_disturbs_nobody_and_refuses_in_time(tmp_path: Path) -> None:
    require("postgresql")
    server = Server("geartrain", tmp_path)
    with rig("postgresql", tmp_path, "slow") as store:
        server.store = store.url
        verdict, echoes = trouble_again_and_again(server, 2, 1, *store.troubles["slow"])
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.twice == {}
    assert verdict.slowest_refusal < REFUSED + UNDISTURBED
    assert max(verdict.recoveries) < HEALED
    assert at(echoes, 0.99) < UNDISTURBED
