"""Workers that are killed at a job: another has it at once, before what came later."""

from __future__ import annotations

from pathlib import Path

from tests.faults.server import Server
from tests.faults.workers import kill_workers

ROUNDS = 4


def test_the_job_of_a_killed_worker_is_given_to_another_at_once_and_first(tmp_path: Path) -> None:
    server = Server("geartrain", tmp_path)
    server.start()
    try:
        found = kill_workers(server.port, ROUNDS)
    finally:
        server.stop()
    assert not found.is_broken(), found
    assert len(found.seconds) == ROUNDS // 2
