"""Packets between a server and the database that it shares are dropped, and nobody refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faults import namespaces
from tests.faults.partition import is_broken
from tests.services.availability import MISSING, ROOT, require


@pytest.mark.timeout(90)
@pytest.mark.parametrize("store", ["postgresql", "redis"])
def test_a_server_whose_packets_are_dropped_refuses_is_taken_over_and_joins_again(
    store: str,
) -> None:
    require(store)
    if not namespaces.are_available():
        pytest.skip(f"{MISSING}network namespaces (run as root, apt install iproute2)")
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.partition", "--rounds", "1", "--store", store],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=80,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # Nothing acknowledged is lost, nothing refused has run; answers, echoes of others, takeover
    # and recovery are in time.
    assert not is_broken(found), found
    assert done.returncode == 0, done.stderr
    assert found["run"] == found["acked"] > 300
    # It was asked while it was cut off.
    assert found["asked"] >= 3
