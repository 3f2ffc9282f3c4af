"""An idle worker does nothing at all."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, closing

import pytest

from tests.acceptance.job_server import JobServer, eventually
from tests.worker.processes import WorkerProgram, children_of, cpu_ticks, wake_ups

KINDS = ("thread", "inline", "process", "async")
# Seconds: of watching, and of silence after which the last grabs are no longer under way.
WATCH = 1.5
SILENCE = 0.3

# CPU time and wake-ups of each process of a worker.
Usage = dict[int, tuple[int, int]]


def usage(programs: dict[str, WorkerProgram]) -> dict[str, Usage]:
    """Return what each kind of worker has used so far, with its children."""
    return {
        kind: {
            pid: (cpu_ticks(pid), wake_ups(pid))
            for pid in (
                program.process.pid,
                *(child.pid for child in children_of(program.process.pid)),
            )
        }
        for kind, program in programs.items()
    }


def usage_after(programs: dict[str, WorkerProgram], seconds: float) -> dict[str, Usage]:
    """Return the same in a while; a worker that ends meanwhile fails the test."""
    with pytest.raises(subprocess.TimeoutExpired):
        programs[KINDS[0]].process.wait(seconds)
    # One that has died uses nothing either.
    assert all(program.process.poll() is None for program in programs.values())
    return usage(programs)


def test_an_idle_worker_uses_no_cpu_and_is_never_woken(job_server: JobServer) -> None:
    """All kinds side by side: each is watched for the same second and a half."""
    with ExitStack() as stack:
        programs = {
            kind: stack.enter_context(
                closing(WorkerProgram(kind, job_server.port, 10.0, concurrency=4))
            )
            for kind in KINDS
        }
        for program in programs.values():
            program.wait_until_ready()
        eventually(
            lambda: usage(programs) == usage_after(programs, SILENCE), "their grabs are answered"
        )
        before = usage(programs)
        assert usage_after(programs, WATCH) == before
