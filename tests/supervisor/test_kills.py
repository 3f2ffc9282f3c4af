"""
Supervisor, worker and child are killed in turn, and every acknowledged job runs.

The workers are a shell worker, as users of any language have them, and our own with a task, in
threads and in child processes. Each job leaves a line; a job may run twice, never not at all.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from geartrain import Client
from tests.server.servers import ThreadServer
from tests.supervisor.running import GEARTRAIN, Start, Up, eventually
from tests.supervisor.test_readiness import worker

JOBS = 100
TASKS = """
import sys, time
from geartrain import App
app = App()

@app.task
def note(line: str) -> None:
    time.sleep(0.02)
    with open("done", "a") as out:
        out.write(line + "\\n")
"""


@pytest.fixture
def job_server() -> Iterator[str]:
    server = ThreadServer()
    yield f"127.0.0.1:{server.addresses[0][1]}"
    server.stop()


def done_of(directory: Path) -> set[str]:
    path = directory / "done"
    return set(path.read_text().split()) if path.exists() else set()


def kill_a_child(leader: int) -> None:
    """Kill a process that a worker has for its jobs."""
    process = psutil.Process(leader)
    child = eventually(lambda: next(iter(process.children()), None), "a child")
    with contextlib.suppress(psutil.NoSuchProcess):
        child.kill()


def kill_in_turn(
    up: Start, manager: Up, programs: dict[str, dict[str, object]], server: str
) -> None:
    """Kill a worker and the supervisor, each while there is work."""

    def waits_for_more() -> None:
        before = len(done_of(manager.directory))
        eventually(lambda: len(done_of(manager.directory)) > before, "progress")

    os.kill(manager.pid("work:0"), signal.SIGKILL)
    waits_for_more()
    manager.process.kill()
    manager.process.wait()
    up({"servers": [server]}, **programs)
    waits_for_more()


def test_every_job_of_shell_workers_runs(up: Start, tmp_path: Path, job_server: str) -> None:
    script = ["sh", "-c", "read -r line; sleep 0.01; echo $line >> done"]
    command = [*worker(job_server, "work")[:-1], "--", *script]
    programs = {"work": {"command": command, "numprocs": 2, "startsecs": 0, "stopwaitsecs": 1}}
    lines = {f"job-{number}" for number in range(JOBS)}
    with Client(job_server) as client:
        for line in lines:
            client.submit("work", line.encode() + b"\n", background=True)
    manager = up({"servers": [job_server]}, **programs)
    eventually(lambda: done_of(tmp_path), "the first job")
    kill_in_turn(up, manager, programs, job_server)
    eventually(lambda: done_of(tmp_path) == lines, "the last job")


def submit_notes(server: str, lines: set[str]) -> None:
    with Client(server) as client:
        for line in lines:
            client.submit("note", f'["{line}"]'.encode(), background=True)


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_every_job_of_a_task_runs(up: Start, tmp_path: Path, job_server: str, pool: str) -> None:
    (tmp_path / "jobs.py").write_text(TASKS)
    what: dict[str, object] = {"task": "jobs:app"}
    if pool == "process":
        what = {"command": [*GEARTRAIN, "worker", "jobs:app", "--pool", "process", "-c", "1"]}
    keys = {"numprocs": 2, "startsecs": 0, "stopwaitsecs": 1, "ready": "gearman:note"}
    programs = {"work": {**what, **keys}}
    lines = {f"job-{number}" for number in range(JOBS)}
    submit_notes(job_server, lines)
    manager = up({"servers": [job_server]}, **programs)
    eventually(lambda: done_of(tmp_path), "the first job")
    if pool == "process":
        kill_a_child(manager.pid("work:1"))
    kill_in_turn(up, manager, programs, job_server)
    eventually(lambda: done_of(tmp_path) == lines, "the last job")
