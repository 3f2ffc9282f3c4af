"""A database whose disk is full: refusals in time, and nothing refused ever runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults import disk
from tests.services.availability import MISSING, ROOT, require


@pytest.mark.timeout(90)
def test_full_disk_under_mariadb_refuses_and_heals() -> None:
    require("mariadb")
    if not disk.can_be_made():
        pytest.skip(f"{MISSING}mounts of one's own (run as root)")
    words = ["--store", "mariadb", "--fault", "full", "--rounds", "2", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=80,
    )
    # It says what is broken, and ends with 1 then; that something was refused it waits for.
    assert "refused but run 0" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
