"""What becomes of connections: cuts, hanging servers, several servers, and the way back."""

from __future__ import annotations

import logging
import socket
from itertools import pairwise

import pytest

from geartrain.wire.packet import (
    ECHO_RES,
    ERROR,
    JOB_ASSIGN_UNIQ,
    NO_JOB,
    NOOP,
    REQUEST,
)
from geartrain.wire.writer import pack
from geartrain.worker.job import Job
from geartrain.worker.sync import ExecutionName, Worker
from tests.acceptance.job_server import eventually, free_port
from tests.worker.fake_server import (
    FakeConnection,
    FakeServer,
    accept_all_asleep,
    wait_for_packet,
)
from tests.worker.handlers import reverse
from tests.worker.running import MakeGate, StartWorker

ANNOUNCEMENT = ["SET_CLIENT_ID", "OPTION_REQ", "CAN_DO", "CAN_DO_TIMEOUT", "ECHO_REQ"]


def test_everything_is_announced_again_after_a_cut(
    kind: str, start_worker: StartWorker, fake_server: FakeServer
) -> None:
    start_worker(
        kind, [fake_server.port], ["reverse", "show"], {"show": 1.5}, client_id="me", concurrency=1
    )
    for _ in range(3):
        connection = fake_server.accept()
        said = [connection.receive() for _ in range(6)]
        assert [name for name, _ in said] == [*ANNOUNCEMENT, "GRAB_JOB_ALL"]
        assert said[0][1] == [b"me"]
        assert said[1][1] == [b"exceptions"]
        assert said[2][1] == [b"reverse"]
        assert said[3][1] == [b"show", b"1500"]
        connection.cut()


@pytest.mark.parametrize(
    "nonsense",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0RES\0\0\0\x2b\0\0\0\0", pack(REQUEST, NOOP, [])],
    ids=["text", "unknown type", "a request"],
)
def test_a_server_that_talks_nonsense_is_left_and_tried_again(
    kind: str, start_worker: StartWorker, fake_server: FakeServer, nonsense: bytes
) -> None:
    start_worker(kind, [fake_server.port], ["reverse"])
    connection = fake_server.accept_asleep()
    connection.socket.sendall(nonsense)
    assert connection.receive() == ("END", [])
    again = fake_server.accept_asleep()
    again.assign(b"H:1", b"reverse", b"abc")
    assert again.receive() == ("WORK_COMPLETE", [b"H:1", b"cba"])


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_the_result_of_a_cut_job_is_dropped_with_a_line_in_the_log(
    kind: str,
    start_worker: StartWorker,
    fake_server: FakeServer,
    make_gate: MakeGate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start_worker(kind, [fake_server.port], ["hold", "reverse"])
    gate = make_gate()
    connection = fake_server.accept_asleep()
    connection.assign(b"H:cut", b"hold", gate.workload)
    gate.wait()
    connection.cut()
    again = fake_server.accept()
    # Its slot is still taken by the handler, so no job is asked for.
    assert again.receive_names("ECHO_REQ") == ["OPTION_REQ", "CAN_DO", "CAN_DO", "ECHO_REQ"]
    again.send(ECHO_RES, b"alive")
    gate.open()
    assert again.receive() == ("GRAB_JOB_ALL", [])
    again.send(JOB_ASSIGN_UNIQ, b"H:next", b"reverse", b"", b"abc")
    assert again.receive() == ("WORK_COMPLETE", [b"H:next", b"cba"])

    def dropped() -> list[logging.LogRecord]:
        return [record for record in caplog.records if "dropped" in record.getMessage()]

    # The thread that had the job says so, while another goes on with the next.
    eventually(lambda: bool(dropped()), "it is said")
    (line,) = dropped()
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("H:cut: ")
    assert line.handle == "H:cut"  # type: ignore[attr-defined]


def test_a_job_taken_away_is_no_reason_to_leave(
    kind: str, start_worker: StartWorker, fake_server: FakeServer
) -> None:
    start_worker(kind, [fake_server.port], ["reverse"])
    connection = fake_server.accept_asleep()
    for number in range(2):
        connection.assign(b"H:%d" % number, b"reverse", b"abc")
        assert connection.receive() == ("WORK_COMPLETE", [b"H:%d" % number, b"cba"])
        connection.send(ERROR, b"JOB_NOT_FOUND", b"Job given in work result not found")
        connection.put_to_sleep()


def test_a_job_for_a_function_nobody_registered_runs_nothing(
    kind: str, start_worker: StartWorker, fake_server: FakeServer
) -> None:
    start_worker(kind, [fake_server.port], ["reverse"])
    connection = fake_server.accept_asleep()
    connection.assign(b"H:1", b"os.system", b"true")
    assert connection.receive() == (
        "WORK_EXCEPTION",
        [b"H:1", b"LookupError: this worker has no handler for 'os.system'"],
    )


def test_a_server_that_hangs_is_given_up_and_others_get_its_slot(
    kind: str, start_worker: StartWorker, fake_server: FakeServer, other_server: FakeServer
) -> None:
    """The only slot is lent to a server that never answers the grab."""
    start_worker(kind, [fake_server.port, other_server.port], ["reverse"], answer_timeout=0.4)
    hanging, other = fake_server.accept(), other_server.accept()
    words = {connection: _first_words(connection) for connection in (hanging, other)}
    if "GRAB_JOB_ALL" not in words[hanging]:
        hanging, other = other, hanging
    other.send(ECHO_RES, b"alive")
    assert hanging.receive() == ("END", [])
    assert other.receive() == ("GRAB_JOB_ALL", [])
    other.send(JOB_ASSIGN_UNIQ, b"H:1", b"reverse", b"", b"abc")
    assert other.receive() == ("WORK_COMPLETE", [b"H:1", b"cba"])


def _first_words(connection: FakeConnection) -> list[str]:
    """Return the names of all packets that are there after the announcement has come."""
    names = connection.receive_names("ECHO_REQ")
    # Announcement and grab go out in one write, so they are here together.
    return names + [connection.receive()[0] for _ in list(connection.packets)]


def test_a_server_that_is_not_there_keeps_nobody_from_the_others(
    kind: str,
    start_worker: StartWorker,
    fake_server: FakeServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    start_worker(kind, [port, fake_server.port], ["reverse"])
    connection = fake_server.accept_asleep()
    connection.assign(b"H:1", b"reverse", b"abc")
    assert connection.receive() == ("WORK_COMPLETE", [b"H:1", b"cba"])
    eventually(
        lambda: any(f"127.0.0.1:{port}: " in record.getMessage() for record in caplog.records),
        "the log names the server that is missing",
    )


def test_busy_servers_take_turns(
    kind: str, start_worker: StartWorker, fake_server: FakeServer, other_server: FakeServer
) -> None:
    start_worker(kind, [fake_server.port, other_server.port], ["reverse"])
    connections = accept_all_asleep(fake_server, other_server)
    for connection in connections:
        connection.send(NOOP)
    asked: list[FakeConnection] = []
    for number in range(10):
        asked.append(wait_for_packet(connections))
        assert asked[-1].receive() == ("GRAB_JOB_ALL", [])
        asked[-1].send(JOB_ASSIGN_UNIQ, b"H:%d" % number, b"reverse", b"", b"ab")
        assert asked[-1].receive() == ("WORK_COMPLETE", [b"H:%d" % number, b"ba"])
    # From the moment that the worker has heard of work at both.
    both = asked[asked.index(next(other for other in asked if other is not asked[0])) - 1 :]
    assert len(both) > 5
    assert all(one is not other for one, other in pairwise(both))


def test_ready_means_that_every_connected_server_knows_the_functions(
    kind: str, start_worker: StartWorker, fake_server: FakeServer, other_server: FakeServer
) -> None:
    worker = start_worker(kind, [fake_server.port, other_server.port], ["reverse"])
    first, second = fake_server.accept(), other_server.accept()
    first.receive_names("ECHO_REQ")
    second.receive_names("ECHO_REQ")
    first.send(ECHO_RES, b"alive")
    assert not worker.wait_until_ready(0.1)
    second.send(ECHO_RES, b"alive")
    assert worker.wait_until_ready()


def test_a_worker_without_a_server_is_not_ready(kind: str, start_worker: StartWorker) -> None:
    worker = start_worker(kind, [free_port()], ["reverse"])
    assert not worker.wait_until_ready(0.2)
    assert worker.stop() is True


def test_one_wake_up_for_one_job_costs_few_packets(
    start_worker: StartWorker, fake_server: FakeServer
) -> None:
    """A worker with many slots does not ask for that many jobs when one comes."""
    start_worker("inline", [fake_server.port], ["reverse"], concurrency=50)
    connection = fake_server.accept_asleep()
    connection.assign(b"H:1", b"reverse", b"ab")
    names = [connection.receive()[0] for _ in range(3)]
    assert sorted(names) == ["GRAB_JOB_ALL", "GRAB_JOB_ALL", "WORK_COMPLETE"]
    connection.send(NO_JOB)
    connection.send(NO_JOB)
    assert connection.receive() == ("PRE_SLEEP", [])


@pytest.mark.parametrize(
    ("execution", "leaves_at_once"),
    # The first job just ends, the second one reports something before.
    [("thread", [True, True, True]), ("inline", [False, True, False])],
)
def test_short_results_may_gather_but_nothing_waits_behind_a_report(
    fake_server: FakeServer, execution: ExecutionName, leaves_at_once: list[bool]
) -> None:
    seen = []
    worker = Worker([("127.0.0.1", fake_server.port)], execution=execution)

    def note() -> None:
        seen.append(sends_at_once(worker))

    @worker.function("report")
    def report(job: Job) -> None:
        if job.workload:
            job.progress(1, 2)
        note()

    worker.start()
    try:
        connection = fake_server.accept_asleep()
        for handle, workload in (b"H:1", b""), (b"H:2", b"report"), (b"H:3", b""):
            connection.assign(handle, b"report", workload)
            connection.put_to_sleep()
    finally:
        worker.stop(0)
        worker.join()
    assert seen == leaves_at_once


def test_an_inline_worker_goes_to_sleep_and_sends_what_nobody_answers_at_once(
    fake_server: FakeServer,
) -> None:
    """Or the server would hear of it 40 ms later, and wake it for the next job only then."""
    worker = Worker([("127.0.0.1", fake_server.port)], execution="inline", concurrency=16)
    worker.register("reverse", reverse)
    worker.start()
    try:
        connection = fake_server.accept_asleep()
        eventually(lambda: sends_at_once(worker), "nothing waits")
        connection.assign(b"H:1", b"reverse", b"ab")
        names = [connection.receive()[0] for _ in range(3)]
        assert names.count("GRAB_JOB_ALL") == 2
        # Its result is on its way alone, and has no answer.
        eventually(lambda: sends_at_once(worker), "nothing waits")
        for _ in range(2):
            connection.send(NO_JOB)
        assert connection.receive() == ("PRE_SLEEP", [])
        eventually(lambda: sends_at_once(worker), "nothing waits")
    finally:
        worker.stop(0)
        worker.join()


def sends_at_once(worker: Worker) -> bool:
    (link,) = worker._keeper.execution.groups[0].links
    assert link.socket is not None
    return bool(link.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
