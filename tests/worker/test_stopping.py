"""How a worker's program ends: signals, grace, and what becomes of the jobs it holds."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.connection import (
    JOB_CREATED,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Connection,
)
from tests.acceptance.job_server import DEADLINE, JobServer, eventually
from tests.worker.processes import WorkerProgram, children_of, is_running
from tests.worker.running import Gate, MakeGate, StartWorker

StartProgram = Callable[..., WorkerProgram]


@pytest.fixture
def start_program(job_server: JobServer) -> Iterator[StartProgram]:
    """Start worker programs, and return once the server knows their functions."""
    programs: list[WorkerProgram] = []

    def start(kind: str, grace: float = DEADLINE, **options: object) -> WorkerProgram:
        programs.append(WorkerProgram(kind, job_server.port, grace, **options))
        programs[-1].wait_until_ready()
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def hold_one(server: JobServer, gate: Gate) -> bytes:
    """Have a worker hold one background job, and return its handle."""
    with Connection(server.port) as client:
        handle = client.submit(SUBMIT_JOB_BG, b"hold", b"", gate.workload)
    gate.wait()
    return handle


def wait_until_waiting(server: JobServer) -> None:
    """Wait until the job is back in its waiting line, and then take it out."""
    eventually(lambda: server.status("hold")[:2] == (1, 0), "the job waits again")
    with Connection(server.port) as other:
        other.send(1, b"hold")
        handle = other.grab()
        other.send(WORK_COMPLETE, handle, b"")
        eventually(lambda: server.status("hold")[0] == 0, "the job is done")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_worker_at_once(
    kind: str, start_program: StartProgram, job_server: JobServer, number: signal.Signals
) -> None:
    program = start_program(kind)
    program.process.send_signal(number)
    assert program.wait() == 0
    job_server.wait_for_workers("reverse", 0)


def test_the_first_signal_lets_a_held_job_end_and_takes_no_other(
    kind: str, start_program: StartProgram, job_server: JobServer, make_gate: MakeGate
) -> None:
    program = start_program(kind)
    with Connection(job_server.port) as client:
        gate = make_gate()
        handle = client.submit(SUBMIT_JOB, b"hold", b"", gate.workload)
        gate.wait()
        program.process.send_signal(signal.SIGTERM)
        # From here on it asks for no job, though inline it can tell the server afterwards only.
        program.wait_for_log("stopping")
        if kind != "inline":
            job_server.wait_for_workers("reverse", 0)
        client.send(SUBMIT_JOB, b"reverse", b"", b"abc")
        kind_of_packet, _ = client.receive()
        assert kind_of_packet == JOB_CREATED
        gate.open(b"to the end")
        assert client.receive() == (WORK_COMPLETE, handle + b"\0to the end")
        assert program.wait() == 0
        assert job_server.status("reverse") == (1, 0, 0)
        with Connection(job_server.port) as other:
            other.send(1, b"reverse")
            other.send(WORK_COMPLETE, other.grab(), b"")
            assert client.receive()[0] == WORK_COMPLETE


def test_a_job_that_outlasts_the_grace_time_goes_back(
    kind: str, start_program: StartProgram, job_server: JobServer, make_gate: MakeGate
) -> None:
    program = start_program(kind, grace=0.3)
    hold_one(job_server, make_gate())
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 3
    wait_until_waiting(job_server)


def test_the_second_signal_leaves_at_once(
    kind: str, start_program: StartProgram, job_server: JobServer, make_gate: MakeGate
) -> None:
    program = start_program(kind, grace=1000.0)
    hold_one(job_server, make_gate())
    program.process.send_signal(signal.SIGTERM)
    # Two signals in one breath are one; the kernel does not count them.
    program.wait_for_log("stopping")
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 3
    wait_until_waiting(job_server)


def test_children_leave_signals_to_their_parent(
    start_program: StartProgram, job_server: JobServer, make_gate: MakeGate
) -> None:
    """A service manager, or a terminal, signals the whole group."""
    program = start_program("process")
    with Connection(job_server.port) as client:
        gate = make_gate()
        handle = client.submit(SUBMIT_JOB, b"hold", b"", gate.workload)
        gate.wait()
        for child in children_of(program.process.pid):
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGINT)
        program.process.send_signal(signal.SIGTERM)
        job_server.wait_for_workers("reverse", 0)
        gate.open(b"to the end")
        assert client.receive() == (WORK_COMPLETE, handle + b"\0to the end")
    assert program.wait() == 0


def test_a_worker_killed_takes_its_children_along_and_its_job_goes_back(
    start_program: StartProgram, job_server: JobServer, make_gate: MakeGate
) -> None:
    program = start_program("process", concurrency=2)
    hold_one(job_server, make_gate())
    children = children_of(program.process.pid)
    assert len(children) >= 2
    program.process.kill()
    for child in children:
        eventually(lambda child=child: not is_running(child.pid), "the child has ended")  # type: ignore[misc]
    wait_until_waiting(job_server)


def test_stop_from_another_thread_lets_held_jobs_end(
    kind: str, start_worker: StartWorker, job_server: JobServer, make_gate: MakeGate
) -> None:
    worker = start_worker(kind, [job_server.port], ["hold"])
    with Connection(job_server.port) as client:
        gate = make_gate()
        handle = client.submit(SUBMIT_JOB, b"hold", b"", gate.workload)
        gate.wait()
        worker.worker.stop()
        gate.open(b"to the end")
        assert client.receive() == (WORK_COMPLETE, handle + b"\0to the end")
        assert worker.join() is True
    job_server.wait_for_workers("hold", 0)


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_stop_with_no_grace_gives_held_jobs_back(
    kind: str, start_worker: StartWorker, job_server: JobServer, make_gate: MakeGate
) -> None:
    worker = start_worker(kind, [job_server.port], ["hold"])
    gate = make_gate()
    hold_one(job_server, gate)
    worker.worker.stop(0)
    wait_until_waiting(job_server)
    assert worker.join() is False


def test_stop_before_the_start_leaves_nothing_to_run(
    kind: str, start_worker: StartWorker, job_server: JobServer
) -> None:
    worker = start_worker(kind, [job_server.port], ["hold"])
    # Or at any moment of it.
    assert worker.stop() is True


def test_signals_are_answered_as_before_once_the_worker_has_ended(
    start_program: StartProgram,
) -> None:
    script = (
        "import signal, threading\n"
        "from geartrain.worker.sync import Worker\n"
        "before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]\n"
        "worker = Worker(('127.0.0.1', 1))\n"
        "worker.register('f', bytes)\n"
        "worker.stop()\n"
        "worker.run()\n"
        "assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before\n"
    )
    subprocess.run([WorkerProgram.PYTHON, "-c", script], check=True, timeout=DEADLINE)
