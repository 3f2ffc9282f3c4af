"""Child processes that die, and what that does to their jobs and to others."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.connection import SUBMIT_JOB, WORK_COMPLETE, Connection
from tests.acceptance.job_server import JobServer, eventually
from tests.worker.fake_server import FakeServer
from tests.worker.running import MakeGate, StartWorker


def test_a_job_whose_child_is_killed_runs_again_soon(
    start_worker: StartWorker, job_server: JobServer, tmp_path: Path
) -> None:
    worker = start_worker("process", [job_server.port], ["die"])
    assert worker.wait_until_ready()
    marker = tmp_path / "died"
    with Connection(job_server.port) as client:
        started = time.monotonic()
        handle = client.submit(SUBMIT_JOB, b"die", b"", os.fsencode(marker))
        assert client.receive() == (WORK_COMPLETE, handle + b"\0lived")
        # Also on a busy machine, which has to start another child; nothing is timed out.
        assert time.monotonic() - started < 5.0


def test_the_job_of_a_killed_child_goes_to_another_that_is_free(
    start_worker: StartWorker, job_server: JobServer, tmp_path: Path
) -> None:
    start_worker("process", [job_server.port], ["die"], concurrency=2).wait_until_ready()
    marker = tmp_path / "died"
    with Connection(job_server.port) as client:
        handle = client.submit(SUBMIT_JOB, b"die", b"", os.fsencode(marker))
        assert client.receive() == (WORK_COMPLETE, handle + b"\0lived")


def test_the_death_of_one_child_leaves_the_jobs_of_others_alone(
    start_worker: StartWorker, job_server: JobServer, make_gate: MakeGate, tmp_path: Path
) -> None:
    worker = start_worker("process", [job_server.port], ["die", "hold"], concurrency=2)
    assert worker.wait_until_ready()
    with Connection(job_server.port) as patient, Connection(job_server.port) as client:
        gate = make_gate()
        held = patient.submit(SUBMIT_JOB, b"hold", b"", gate.workload)
        gate.wait()
        handle = client.submit(SUBMIT_JOB, b"die", b"", os.fsencode(tmp_path / "died"))
        assert client.receive() == (WORK_COMPLETE, handle + b"\0lived")
        # Had it been given to somebody else, he would have come to the gate and got nothing.
        gate.open(b"first run")
        assert patient.receive() == (WORK_COMPLETE, held + b"\0first run")


def test_only_the_connections_of_the_child_that_died_are_cut(
    start_worker: StartWorker, fake_server: FakeServer, tmp_path: Path
) -> None:
    start_worker("process", [fake_server.port], ["die", "reverse"], concurrency=2)
    first, second = fake_server.accept_asleep(), fake_server.accept_asleep()
    first.assign(b"H:1", b"die", os.fsencode(tmp_path / "died"))
    assert first.receive() == ("END", [])
    second.assign(b"H:2", b"reverse", b"abc")
    assert second.receive() == ("WORK_COMPLETE", [b"H:2", b"cba"])
    # The child is replaced before the connection is: nothing is asked for that could not run.
    third = fake_server.accept_asleep()
    third.assign(b"H:1", b"die", os.fsencode(tmp_path / "died"))
    assert third.receive() == ("WORK_COMPLETE", [b"H:1", b"lived"])


def test_an_idle_child_that_is_killed_is_replaced(
    start_worker: StartWorker, job_server: JobServer, caplog: pytest.LogCaptureFixture
) -> None:
    worker = start_worker("process", [job_server.port], ["process_id"])
    assert worker.wait_until_ready()
    with Connection(job_server.port) as client:
        client.submit(SUBMIT_JOB, b"process_id", b"", b"")
        first = int(client.receive()[1].partition(b"\0")[2])
        os.kill(first, signal.SIGKILL)
        eventually(
            lambda: any("was killed by SIGKILL" in line for line in caplog.messages),
            "the log says what became of the child",
        )
        client.submit(SUBMIT_JOB, b"process_id", b"", b"")
        assert int(client.receive()[1].partition(b"\0")[2]) not in (first, os.getpid())


def test_a_worker_is_not_ready_before_its_children_are(
    start_worker: StartWorker, fake_server: FakeServer
) -> None:
    worker = start_worker("process", [fake_server.port], ["reverse"], concurrency=2)
    fake_server.accept_asleep()
    assert not worker.wait_until_ready(0.1)
    fake_server.accept_asleep()
    assert worker.wait_until_ready()


def test_each_child_process_is_one_worker_to_the_server(
    start_worker: StartWorker, job_server: JobServer
) -> None:
    worker = start_worker("process", [job_server.port], {"only_here": "reverse"}, concurrency=3)
    assert worker.wait_until_ready()
    assert job_server.status("only_here") == (0, 0, 3)
