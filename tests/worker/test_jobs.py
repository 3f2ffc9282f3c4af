"""Jobs from a client, through a real server, to workers of every kind, and back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.acceptance.connection import (
    JOB_CREATED,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    Connection,
)
from tests.acceptance.job_server import JobServer, eventually
from tests.worker.running import MakeGate, RunningWorker, StartWorker

OPTION_REQ, OPTION_RES, WORK_DATA, WORK_WARNING = 26, 27, 28, 29
SUBMIT_REDUCE_JOB = 37
NUMBERS = itertools.count(1)


def function() -> str:
    """Return a function's name that no other test uses."""
    return f"worker{next(NUMBERS)}"


class Asking:
    """A server, a worker that can do one function on it, and a client of it."""

    def __init__(self, server: JobServer, worker: RunningWorker, name: str) -> None:
        assert worker.wait_until_ready()
        self.server = server
        self.worker = worker
        self.name = name.encode()
        self.client = Connection(server.port)

    def submit(self, workload: bytes = b"", unique: bytes = b"") -> bytes:
        return self.client.submit(SUBMIT_JOB, self.name, unique, workload)

    def wait_until_running(self, count: int) -> None:
        """Wait until the server has given so many jobs away."""
        name = self.name.decode()
        eventually(lambda: self.server.status(name)[1] == count, f"{count} jobs are held")

    def answers(self, last: int) -> list[tuple[int, bytes]]:
        """Return the packets about one job, without its handle, up to one of type ``last``."""
        packets = []
        while True:
            kind, body = self.client.receive()
            packets.append((kind, body.partition(b"\0")[2]))
            if kind == last:
                return packets

    def result(self, workload: bytes = b"", unique: bytes = b"") -> bytes:
        """Return the result of a job that does nothing but end well."""
        self.submit(workload, unique)
        ((_, result),) = self.answers(WORK_COMPLETE)
        return result


Ask = Callable[..., Asking]


@pytest.fixture
def ask(job_server: JobServer, start_worker: StartWorker) -> Iterator[Ask]:
    """Start a worker with one handler, and return what asks it."""
    made: list[Asking] = []

    def start(kind: str, handler: str, **options: Any) -> Asking:
        name = function()
        worker = start_worker(kind, [job_server.port], {name: handler}, **options)
        made.append(Asking(job_server, worker, name))
        return made[-1]

    yield start
    for asking in made:
        asking.client.socket.close()


def test_a_result_goes_back_to_the_client(ask: Ask, kind: str) -> None:
    asking = ask(kind, "reverse")
    assert asking.result(b"a\0b\xff") == b"\xffb\0a"
    assert asking.result(b"") == b""


def test_text_is_sent_as_utf_8(ask: Ask, kind: str) -> None:
    assert ask(kind, "shout").result(b"hey") == "HEY é".encode()


def test_none_is_the_empty_result(ask: Ask, kind: str) -> None:
    assert ask(kind, "nothing").result(b"hey") == b""


def test_a_job_carries_handle_function_unique_reducer_and_workload(ask: Ask, kind: str) -> None:
    asking = ask(kind, "show")
    handle = asking.submit(b"data", b"key")
    ((_, shown),) = asking.answers(WORK_COMPLETE)
    assert shown == b"|".join([handle, asking.name, b"key", b"", b"data"])
    asking.client.send(SUBMIT_REDUCE_JOB, asking.name, b"key2", b"sum", b"", b"data")
    _, handle = asking.client.receive()
    ((_, shown),) = asking.answers(WORK_COMPLETE)
    assert shown == b"|".join([handle, asking.name, b"key2", b"sum", b"data"])


def test_reports_come_in_order_and_before_the_result(ask: Ask, kind: str) -> None:
    asking = ask(kind, "tell")
    asking.submit()
    assert asking.answers(WORK_COMPLETE) == [
        (WORK_STATUS, b"1\x002"),
        (WORK_DATA, b"part"),
        (WORK_WARNING, b"careful"),
        (WORK_COMPLETE, b"rest"),
    ]


def test_an_exception_is_told_once_to_clients_that_want_it(ask: Ask, kind: str) -> None:
    asking = ask(kind, "explode")
    asking.client.send(OPTION_REQ, b"exceptions")
    assert asking.client.receive()[0] == OPTION_RES
    asking.submit(b"luck")
    assert asking.answers(WORK_EXCEPTION) == [(WORK_EXCEPTION, b"ValueError: no luck here")]
    # Nothing follows: the next answers are those of the next job, by the same worker.
    asking.submit(b"joy")
    assert asking.answers(WORK_EXCEPTION) == [(WORK_EXCEPTION, b"ValueError: no joy here")]


def test_an_exception_is_a_failure_to_other_clients(ask: Ask, kind: str) -> None:
    asking = ask(kind, "explode")
    asking.submit()
    assert [kind for kind, _ in asking.answers(WORK_FAIL)] == [WORK_FAIL]


def test_fail_is_a_failure_to_all_clients(ask: Ask, kind: str) -> None:
    asking = ask(kind, "give_up")
    asking.client.send(OPTION_REQ, b"exceptions")
    assert asking.client.receive()[0] == OPTION_RES
    asking.submit()
    assert [kind for kind, _ in asking.answers(WORK_FAIL)] == [WORK_FAIL]


def test_a_handler_that_returns_what_cannot_be_sent_is_told_so_at_once(ask: Ask, kind: str) -> None:
    asking = ask(kind, "number")
    asking.client.send(OPTION_REQ, b"exceptions")
    assert asking.client.receive()[0] == OPTION_RES
    for _ in range(2):
        asking.submit()
        ((_, text),) = asking.answers(WORK_EXCEPTION)
        assert text.startswith(b"TypeError: the handler of ")
        assert text.endswith(b"returned int; return bytes, str or None")


def test_a_handler_that_exits_does_not_take_the_worker_along(ask: Ask, kind: str) -> None:
    asking = ask(kind, "leave")
    asking.client.send(OPTION_REQ, b"exceptions")
    assert asking.client.receive()[0] == OPTION_RES
    for _ in range(2):
        asking.submit()
        assert asking.answers(WORK_EXCEPTION) == [(WORK_EXCEPTION, b"SystemExit: 3")]


def test_large_results_go_out_while_the_socket_is_full(ask: Ask, kind: str) -> None:
    result = ask(kind, "enlarge").result(b"8000000")
    assert len(result) == 8_000_000
    assert result.strip(b"x") == b""


def test_data_faster_than_the_server_takes_it_all_arrives(ask: Ask, kind: str) -> None:
    asking = ask(kind, "flood")
    asking.submit()
    *parts, last = asking.answers(WORK_COMPLETE)
    assert last == (WORK_COMPLETE, b"done")
    assert parts == [(WORK_DATA, b"y" * 256 * 1024)] * 64


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_as_many_jobs_run_at_once_as_there_are_slots(
    ask: Ask, kind: str, make_gate: MakeGate
) -> None:
    asking = ask(kind, "hold", concurrency=3)
    gates = [make_gate() for _ in range(4)]
    handles = [asking.submit(gate.workload) for gate in gates]
    for gate in gates[:3]:
        gate.wait()
    total, running, _ = asking.server.status(asking.name.decode())
    assert (total, running) == (4, 3)
    assert not gates[3].is_reached()
    # Any of them may end first, and makes room for the fourth.
    gates[1].open(b"second")
    assert asking.client.receive() == (WORK_COMPLETE, handles[1] + b"\0second")
    gates[3].open(b"fourth")
    assert asking.client.receive() == (WORK_COMPLETE, handles[3] + b"\0fourth")
    for gate in (gates[0], gates[2]):
        gate.open()
        asking.client.receive()


def test_only_what_can_start_is_held_unless_prefetch_says_otherwise(
    ask: Ask, make_gate: MakeGate
) -> None:
    careful = ask("thread", "hold")
    eager = ask("thread", "hold", prefetch=2)
    for asking, held in ((careful, 1), (eager, 3)):
        gates = [make_gate() for _ in range(4)]
        for gate in gates:
            asking.submit(gate.workload)
        gates[0].wait()
        asking.wait_until_running(held)
        for gate in gates:
            gate.open()
            asking.client.receive()


@pytest.mark.parametrize("kind", ["inline", "async"])
def test_many_jobs_at_once_come_back_each_with_its_own_result(ask: Ask, kind: str) -> None:
    asking = ask(kind, "reverse", concurrency=8)
    for number in range(500):
        asking.client.send(SUBMIT_JOB, asking.name, b"", b"%d" % number)
    expected: dict[bytes, bytes] = {}
    results: dict[bytes, bytes] = {}
    while len(results) < 500:
        packet, body = asking.client.receive()
        handle, _, result = body.partition(b"\0")
        if packet == JOB_CREATED:
            expected[handle] = (b"%d" % len(expected))[::-1]
        else:
            assert packet == WORK_COMPLETE
            assert handle not in results
            results[handle] = result
    assert results == expected


def test_a_job_that_outlasts_its_timeout_goes_to_another_worker(
    job_server: JobServer, start_worker: StartWorker, make_gate: MakeGate
) -> None:
    """And the late result of the first one does no harm to it."""
    name = function()
    # gearmand raises shorter times to one second.
    slow = start_worker("thread", [job_server.port], {name: "hold"}, {name: 1.0})
    asking = Asking(job_server, slow, name)
    first, second = make_gate(), make_gate()
    handle = asking.submit(first.workload)
    first.wait()
    with Connection(job_server.port) as other:
        other.send(1, name.encode())

        def taken() -> bool:
            return other.grab() == handle

        eventually(taken, "the job was given to the other worker")
        first.open(b"too late")
        # The slow worker is told that the job is not its own, and takes the next one.
        asking.submit(second.workload)
        second.open(b"in time")
        assert asking.answers(WORK_COMPLETE) == [(WORK_COMPLETE, b"in time")]
        other.send(WORK_COMPLETE, handle, b"by the other")
        assert asking.answers(WORK_COMPLETE) == [(WORK_COMPLETE, b"by the other")]
    asking.client.socket.close()


def test_servers_show_the_worker_s_client_id(ask: Ask, job_server: JobServer) -> None:
    asking = ask("thread", "reverse", client_id="tester-1")
    line = next(line for line in job_server.ask("workers").splitlines() if "tester-1" in line)
    assert line.endswith(f"tester-1 : {asking.name.decode()}")


def test_functions_can_be_registered_while_the_worker_sleeps(
    ask: Ask, job_server: JobServer
) -> None:
    """gearmand does not wake a worker that learns a function while a job for it waits."""
    asking = ask("thread", "reverse")
    late = function()
    asking.client.submit(SUBMIT_JOB, late.encode(), b"", b"abc")
    asking.worker.worker.register(late, lambda job: job.workload + b"!")
    assert asking.answers(WORK_COMPLETE) == [(WORK_COMPLETE, b"abc!")]
    assert asking.worker.wait_until_ready()


def test_a_background_job_is_done_without_a_client(ask: Ask, kind: str) -> None:
    asking = ask(kind, "reverse")
    for _ in range(5):
        asking.client.submit(SUBMIT_JOB_BG, asking.name, b"", b"data")
    name = asking.name.decode()
    eventually(lambda: asking.server.status(name)[0] == 0, "all jobs are done")
