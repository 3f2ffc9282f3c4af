"""Long lists: made as their reader takes them, in their place among the answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from geartrain.server.exchange import MAX_LINES
from tests.server.bystander import UNDISTURBED, Bystander
from tests.server.peer import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GRAB_JOB,
    NOOP,
    PRE_SLEEP,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
    request,
    response,
)
from tests.server.servers import ProcessServer, ThreadServer, eventually
from tests.server.stage import Stage

ADMIN = 1
CLIENT = 2
WORKER = 3

COUNT = 3 * MAX_LINES + 7
JOBS = b"".join(b"H:lap:%d\t0\t0\t1\n" % number for number in range(1, COUNT + 1)) + b".\n"


@pytest.fixture
def stage() -> Stage:
    """A stage with more jobs than go into one pass."""
    stage = Stage()
    for _ in range(COUNT):
        stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    return stage


def begin(stage: Stage, session: int, said: bytes) -> bytes:
    """Let a session say something, and return what it is sent in the first pass."""
    peer = stage.peer(session)
    stage.exchange.receive(stage.now, peer, said)
    return b"".join(peer.outbox.take())


@pytest.mark.parametrize("count", [0, 1, MAX_LINES - 1, MAX_LINES, MAX_LINES + 1, COUNT])
@pytest.mark.parametrize("line", [b"show jobs\n", b"show unique jobs\n"])
def test_a_list_of_any_length_is_whole(count: int, line: bytes) -> None:
    stage = Stage()
    for _ in range(count):
        stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    reply = stage.say(ADMIN, line)
    assert reply.count(b"\n") == count + 1
    assert reply.endswith(b".\n")
    assert stage.say(ADMIN, line) == reply


def test_lists_of_functions_and_connections_may_be_long_too() -> None:
    stage = Stage()
    for number in range(COUNT):
        stage.say(10 + number, request(CAN_DO, b"f%d" % number))
    assert stage.say(ADMIN, b"status\n").count(b"\t0\t0\t1\n") == COUNT
    assert stage.say(ADMIN, b"prioritystatus\n").count(b"\t0\t0\t0\t1\n") == COUNT
    assert stage.say(ADMIN, b"workers\n").count(b" 127.0.0.1 - :") == COUNT + 1


def test_a_long_list_takes_more_than_one_pass(stage: Stage) -> None:
    first = begin(stage, ADMIN, b"show jobs\n")
    assert first.count(b"\n") == MAX_LINES
    assert first + stage.hear(ADMIN) == JOBS


def test_answers_come_behind_the_list(stage: Stage) -> None:
    first = begin(stage, ADMIN, b"show jobs\n" + request(ECHO_REQ, b"x") + b"version\nshow jobs\n")
    rest = stage.hear(ADMIN)
    assert first + rest == JOBS + response(ECHO_RES, b"x") + b"OK 1.2.3\n" + JOBS


def test_what_arrives_during_the_list_is_answered_behind_it(stage: Stage) -> None:
    first = begin(stage, ADMIN, b"show jobs\n")
    first += begin(stage, ADMIN, request(ECHO_REQ, b"x"))
    assert first + stage.hear(ADMIN) == JOBS + response(ECHO_RES, b"x")


def test_results_and_calls_do_not_come_between_the_lines(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"g"))
    stage.say(ADMIN, request(CAN_DO, b"h"), request(PRE_SLEEP), request(SUBMIT_JOB, b"g", b"", b""))
    jobs = JOBS.removesuffix(b".\n") + b"H:lap:%d\t0\t0\t0\n.\n" % (COUNT + 1)
    first = begin(stage, ADMIN, b"show jobs\n")
    stage.say(WORKER, request(GRAB_JOB))
    stage.say(WORKER, request(WORK_COMPLETE, b"H:lap:%d" % (COUNT + 1), b"done"))
    stage.say(CLIENT, request(SUBMIT_JOB, b"h", b"", b""))
    behind = response(WORK_COMPLETE, b"H:lap:%d" % (COUNT + 1), b"done") + response(NOOP)
    assert first + stage.hear(ADMIN) == jobs + behind


def test_what_breaks_the_protocol_is_told_behind_the_list(stage: Stage) -> None:
    first = begin(stage, ADMIN, b"show jobs\n" + request(SUBMIT_JOB, b"f"))
    assert not stage.is_closing(ADMIN)
    text = b"SUBMIT_JOB does not carry the arguments of its type"
    assert first + stage.hear(ADMIN) == JOBS + response(ERROR, b"INVALID_PACKET", text)
    assert stage.is_closing(ADMIN)


def test_jobs_that_end_meanwhile_do_not_spoil_the_list(stage: Stage) -> None:
    first = begin(stage, ADMIN, b"show jobs\n")
    stage.say(CLIENT, b"drop function f force\n")
    assert first + stage.hear(ADMIN) == JOBS


def test_connections_that_leave_meanwhile_are_left_out(stage: Stage) -> None:
    for session in range(10, 10 + COUNT):
        stage.peer(session)
    first = begin(stage, ADMIN, b"workers\n")
    for session in range(10, 10 + COUNT):
        stage.leave(session)
    reply = first + stage.hear(ADMIN)
    # The asking one is the last.
    assert reply.count(b"\n") == MAX_LINES + 2
    assert reply.endswith(b"\n31 127.0.0.1 - :\n.\n")


def test_too_much_behind_a_list_is_not_kept() -> None:
    stage = Stage(output_limit=10_000)
    for _ in range(COUNT):
        stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    stage.say(WORKER, request(CAN_DO, b"g"))
    stage.say(ADMIN, request(SUBMIT_JOB, b"g", b"", b""))
    stage.say(WORKER, request(GRAB_JOB))
    begin(stage, ADMIN, b"show jobs\n")
    stage.say(WORKER, request(WORK_COMPLETE, b"H:lap:%d" % (COUNT + 1), b"x" * 20_000))
    assert stage.peer(ADMIN).outbox.overrun


# With sockets.


def submit_many(peer: Peer, count: int) -> None:
    for _ in range(count // 1000):
        peer.send_bytes(request(SUBMIT_JOB_BG, b"f", b"", b"") * 1000)
        for _ in range(1000):
            peer.receive()


def test_lists_of_many_jobs_hold_nobody_up(server_process: ProcessServer) -> None:
    peer = server_process.peer()
    submit_many(peer, 100_000)
    with Bystander(server_process.address, pid=server_process.pid) as bystander:
        for _ in range(5):
            assert peer.ask(b"show jobs").count(b"\n") == 100_000
    assert bystander.slowest() < UNDISTURBED


def test_lists_are_not_kept_for_those_who_do_not_read_them(server_process: ProcessServer) -> None:
    """Forty times ten lists of 3 MB are more than a gigabyte."""
    peer = server_process.peer()
    submit_many(peer, 100_000)
    before = server_process.resident()
    for asker in [server_process.peer() for _ in range(40)]:
        asker.send_bytes(b"show jobs\n" * 10)
    # Whoever asks behind them is answered when they have got what they take.
    assert peer.ask(b"show jobs").count(b"\n") == 100_000
    assert server_process.peak() - before < 80 << 20


@pytest.mark.parametrize("event_loop", ["", "asyncio"])
def test_a_client_that_ended_its_side_gets_the_whole_list(
    start_process: Callable[..., ProcessServer], event_loop: str
) -> None:
    """As in ``echo show jobs | nc -N``."""
    server = start_process(event_loop=event_loop)
    submit_many(server.peer(), 20_000)
    peer = server.peer()
    peer.send_bytes(b"show jobs\nversion\n")
    peer.end()
    reply = peer.expect_closed()
    assert reply.count(b"\n") == 20_002
    assert reply.startswith(b"H:")
    assert b"\n.\nOK " in reply


def test_a_connection_goes_on_after_its_list(job_server: ThreadServer) -> None:
    peer = job_server.peer()
    submit_many(peer, 5000)
    for _ in range(3):
        assert peer.ask(b"show jobs").count(b"\n") == 5000
        peer.echo()
    exchange = job_server.server.exchange
    eventually(lambda: not any(one.is_busy() for one in exchange.peers.values()), "all is done")


def test_waits_are_told_by_function() -> None:
    stage = Stage()
    assert stage.say(ADMIN, b"show waits\n") == b".\n"
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"a"))
    stage.pass_time(2.5)
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"b"))
    stage.say(WORKER, request(CAN_DO, b"g"))
    stage.pass_time(1.0)
    assert stage.say(ADMIN, b"show waits\n") == b"f\t2\t0\t3.500\ng\t0\t0\t-\n.\n"
    stage.say(WORKER, request(CAN_DO, b"f"), request(GRAB_JOB))
    assert stage.say(ADMIN, b"show waits\n") == b"f\t1\t1\t1.000\ng\t0\t0\t-\n.\n"
