"""The server is killed again and again, and every acknowledged job runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killing import kill_again_and_again

# `make faults` has a hundred of each store.
ROUNDS = 30


@pytest.mark.timeout(120)
def test_no_acknowledged_job_is_lost_when_the_server_is_killed_again_and_again(
    tmp_path: Path,
) -> None:
    verdict = kill_again_and_again("geartrain", tmp_path, ROUNDS, seed=1)
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []
    assert verdict.kills == ROUNDS
    # The faults were real: jobs were in flight when servers died.
    assert verdict.acked > 20 * ROUNDS
