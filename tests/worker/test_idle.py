"""An idle worker does nothing at all."""

from __future__ import annotations

import subprocess

import pytest

from tests.acceptance.job_server import JobServer
from tests.worker.processes import WorkerProgram, children_of, cpu_ticks, wake_ups

# Seconds of watching.
WATCH = 1.5


@pytest.mark.parametrize("kind", ["thread", "inline", "process", "async"])
def test_an_idle_worker_uses_no_cpu_and_is_never_woken(job_server: JobServer, kind: str) -> None:
    program = WorkerProgram(kind, job_server.port, 10.0, concurrency=4)
    try:
        program.wait_until_ready()
        pids = [program.process.pid, *(child.pid for child in children_of(program.process.pid))]
        # Its last grabs may still be under way.
        with pytest.raises(subprocess.TimeoutExpired):
            program.process.wait(0.3)
        before = [(cpu_ticks(pid), wake_ups(pid)) for pid in pids]
        with pytest.raises(subprocess.TimeoutExpired):
            program.process.wait(WATCH)
        assert [(cpu_ticks(pid), wake_ups(pid)) for pid in pids] == before
    finally:
        program.close()
