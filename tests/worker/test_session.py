"""A worker's session, byte by byte."""

from __future__ import annotations

import pytest

from geartrain.wire.packet import (
    CAN_DO,
    CAN_DO_TIMEOUT,
    CANT_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    JOB_CREATED,
    NOOP,
    OPTION_REQ,
    OPTION_RES,
    RESET_ABILITIES,
    SET_CLIENT_ID,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)
from geartrain.wire.writer import pack_request, pack_response
from geartrain.worker.session import Assignment, Slots, WorkerSession

# The worker's part of the exchange printed byte by byte in PROTOCOL.
CAN_DO_REVERSE = bytes.fromhex("00524551 00000001 00000007 72657665727365")
JOB_ASSIGN_TEST = bytes.fromhex(
    "00524553 0000000b 00000014 483a6c61703a31 00 72657665727365 00 74657374"
)
NO_JOB_BYTES = bytes.fromhex("00524553 0000000a 00000000")
PRE_SLEEP_BYTES = bytes.fromhex("00524551 00000004 00000000")
NOOP_BYTES = bytes.fromhex("00524553 00000006 00000000")
WORK_COMPLETE_TSET = bytes.fromhex("00524551 0000000d 0000000c 483a6c61703a31 00 74736574")
# Printed there are GRAB_JOB and GRAB_JOB_UNIQ; this is the youngest of the three.
GRAB = bytes.fromhex("00524551 00000027 00000000")

ECHO = pack_request(ECHO_REQ, [b"alive"])
ECHOED = pack_response(ECHO_RES, [b"alive"])


def make_session(
    slots: Slots | None = None, client_id: bytes = b"", **abilities: int
) -> WorkerSession:
    """Return an announced session of a worker that can reverse, its first bytes still unsent."""
    timeouts = {name.encode(): milliseconds for name, milliseconds in abilities.items()}
    session = WorkerSession(slots or Slots(1), client_id, timeouts or {b"reverse": 0}, [])
    session.announce()
    return session


def sent(session: WorkerSession) -> bytes:
    return b"".join(session.take_output())


def assign(handle: bytes, function: bytes = b"reverse", workload: bytes = b"") -> bytes:
    return pack_response(JOB_ASSIGN_UNIQ, [handle, function, b"", workload])


def give(session: WorkerSession, handle: bytes, function: bytes = b"reverse") -> Assignment:
    """Assign one job, and return it as the session hands it out."""
    (job,) = session.receive_data(assign(handle, function))
    return job


@pytest.fixture
def session() -> WorkerSession:
    """Return a session with one slot, announced, its first grab sent."""
    session = make_session()
    session.take_output()
    return session


def test_exchange_as_printed_in_protocol() -> None:
    session = make_session()
    assert sent(session) == CAN_DO_REVERSE + ECHO + GRAB
    assert session.receive_data(ECHOED + NO_JOB_BYTES) == []
    assert sent(session) == PRE_SLEEP_BYTES
    assert session.receive_data(NOOP_BYTES) == []
    assert sent(session) == GRAB
    (job,) = session.receive_data(JOB_ASSIGN_TEST)
    assert (job.handle, job.function, job.workload) == (b"H:lap:1", b"reverse", b"test")
    assert session.complete(job, b"tset")
    assert sent(session) == WORK_COMPLETE_TSET + GRAB


def test_announcement_says_who_and_what_before_it_asks_for_a_job() -> None:
    session = WorkerSession(Slots(1), b"w1", {b"a": 0, b"b": 1500}, [b"exceptions"])
    session.announce()
    assert sent(session) == b"".join(
        [
            pack_request(SET_CLIENT_ID, [b"w1"]),
            pack_request(OPTION_REQ, [b"exceptions"]),
            pack_request(CAN_DO, [b"a"]),
            # Milliseconds, as text.
            pack_request(CAN_DO_TIMEOUT, [b"b", b"1500"]),
            ECHO,
            GRAB,
        ]
    )


def test_every_kind_of_assignment_is_understood() -> None:
    session = make_session(Slots(3))
    session.asked = 3
    jobs = session.receive_data(
        pack_response(JOB_ASSIGN, [b"H:1", b"f", b"a\0b"])
        + pack_response(JOB_ASSIGN_UNIQ, [b"H:2", b"f", b"u", b"a\0b"])
        + pack_response(JOB_ASSIGN_ALL, [b"H:3", b"f", b"u", b"r", b"a\0b"])
    )
    assert [(job.handle, job.unique, job.reducer, job.workload) for job in jobs] == [
        (b"H:1", b"", b"", b"a\0b"),
        (b"H:2", b"u", b"", b"a\0b"),
        (b"H:3", b"u", b"r", b"a\0b"),
    ]


def test_reports_go_out_in_order_with_the_job_s_handle(session: WorkerSession) -> None:
    job = give(session, b"H:1")
    session.status(job, 3, 10)
    session.data(job, b"d\0d")
    session.warning(job, b"w")
    assert sent(session) == b"".join(
        [
            pack_request(WORK_STATUS, [b"H:1", b"3", b"10"]),
            pack_request(WORK_DATA, [b"H:1", b"d\0d"]),
            pack_request(WORK_WARNING, [b"H:1", b"w"]),
        ]
    )


def test_failure_is_one_packet_and_the_next_grab(session: WorkerSession) -> None:
    job = give(session, b"H:1")
    assert session.fail(job)
    assert sent(session) == pack_request(WORK_FAIL, [b"H:1"]) + GRAB


def test_exception_is_one_packet_and_no_failure_follows(session: WorkerSession) -> None:
    job = give(session, b"H:1")
    assert session.exception(job, b"ValueError: no")
    assert sent(session) == pack_request(WORK_EXCEPTION, [b"H:1", b"ValueError: no"]) + GRAB


def test_a_job_is_ended_once(session: WorkerSession) -> None:
    job = give(session, b"H:1")
    session.complete(job, b"")
    session.take_output()
    session.status(job, 1, 1)
    session.data(job, b"late")
    assert session.take_output() == []
    with pytest.raises(KeyError):
        session.complete(job, b"again")


def test_worker_sleeps_only_when_every_grab_is_answered() -> None:
    session = make_session(Slots(2))
    session.receive_data(assign(b"H:1"))
    session.receive_data(assign(b"H:2"))
    for job in list(session.held):
        session.complete(job, b"")
    session.take_output()
    assert session.asked == 2
    session.receive_data(NO_JOB_BYTES)
    # A grab on its way would wake the connection again.
    assert sent(session) == b""
    session.receive_data(NO_JOB_BYTES)
    assert sent(session) == PRE_SLEEP_BYTES
    assert session.asleep


def test_a_job_after_a_no_job_is_a_reason_to_ask_again() -> None:
    session = make_session(Slots(4))
    session.asked, session.slots.free = 2, 2
    session.take_output()
    session.receive_data(NO_JOB_BYTES + assign(b"H:1"))
    assert sent(session) == GRAB * 2
    assert not session.asleep


def test_one_wake_up_asks_for_one_job_and_for_more_as_jobs_come() -> None:
    session = make_session(Slots(8))
    session.receive_data(NO_JOB_BYTES)
    session.take_output()
    session.receive_data(NOOP_BYTES)
    assert sent(session) == GRAB
    session.receive_data(assign(b"H:1"))
    assert sent(session) == GRAB * 2
    session.receive_data(assign(b"H:2") + assign(b"H:3"))
    assert sent(session) == GRAB * 5


def test_no_job_is_asked_for_without_a_slot() -> None:
    session = make_session(Slots(2))
    session.receive_data(assign(b"H:1"))
    session.receive_data(assign(b"H:2"))
    session.take_output()
    session.receive_data(NOOP_BYTES)
    assert sent(session) == b""
    session.complete(next(iter(session.held)), b"")
    assert sent(session).endswith(GRAB)


def test_an_assignment_nobody_asked_for_ends_the_connection(session: WorkerSession) -> None:
    assert [job.handle for job in session.receive_data(assign(b"H:1") + assign(b"H:2"))] == [b"H:1"]
    assert "nobody had asked" in str(session.fault)


def test_a_late_result_is_no_reason_to_stop(session: WorkerSession) -> None:
    job = give(session, b"H:1")
    session.complete(job, b"")
    session.take_output()
    session.receive_data(pack_response(ERROR, [b"JOB_NOT_FOUND", b"Job given in work result"]))
    assert [error.code for error in session.take_errors()] == ["JOB_NOT_FOUND"]
    assert session.take_errors() == []
    assert session.fault is None
    assert give(session, b"H:2").handle == b"H:2"


def test_answers_to_options_and_echoes_are_taken(session: WorkerSession) -> None:
    session.receive_data(pack_response(OPTION_RES, [b"exceptions"]) + ECHOED + ECHOED)
    assert session.fault is None
    assert sent(session) == b""


@pytest.mark.parametrize(
    "bad",
    [
        pack_response(JOB_CREATED, [b"H:1"]),
        b"ERR out of order\r\n",
        pack_request(NOOP, []),
        b"\0RES\0\0\0\x2b\0\0\0\0",
        pack_response(JOB_ASSIGN, [b"H:1"]),
    ],
    ids=["client's packet", "text", "request", "unknown type", "short"],
)
def test_what_no_server_sends_to_a_worker_ends_the_connection(
    session: WorkerSession, bad: bytes
) -> None:
    assert session.receive_data(bad) == []
    assert session.fault is not None


def test_a_function_learned_while_asleep_is_asked_for(session: WorkerSession) -> None:
    session.receive_data(NO_JOB_BYTES)
    session.take_output()
    session.can_do(b"new", 0)
    assert sent(session) == pack_request(CAN_DO, [b"new"]) + ECHO + GRAB


def test_a_function_is_announced_once(session: WorkerSession) -> None:
    session.can_do(b"reverse", 0)
    assert sent(session) == b""


def test_a_function_is_taken_back_once_its_jobs_have_ended() -> None:
    session = make_session(Slots(2), a=0, b=0)
    job = give(session, b"H:1", b"a")
    session.take_output()
    session.cant_do(b"b")
    assert sent(session) == pack_request(CANT_DO, [b"b"])
    session.cant_do(b"a")
    session.cant_do(b"unknown")
    assert sent(session) == b""
    session.complete(job, b"")
    assert sent(session) == pack_request(WORK_COMPLETE, [b"H:1", b""]) + pack_request(
        CANT_DO, [b"a"]
    )
    assert session.abilities == {}


def test_a_function_that_comes_back_before_the_server_heard_is_not_announced_again() -> None:
    session = make_session(Slots(2), a=0)
    job = give(session, b"H:1", b"a")
    session.take_output()
    session.cant_do(b"a")
    session.can_do(b"a", 0)
    session.complete(job, b"")
    assert CANT_DO.to_bytes(4, "big") not in sent(session)
    assert session.abilities == {b"a": 0}


def test_ready_means_that_the_echo_after_the_latest_ability_is_back(session: WorkerSession) -> None:
    assert not session.is_ready()
    session.receive_data(ECHOED)
    assert session.is_ready()
    session.echo()
    assert session.is_ready()
    session.can_do(b"new", 0)
    session.receive_data(ECHOED)
    assert not session.is_ready()
    session.receive_data(ECHOED)
    assert session.is_ready()


def test_stop_withdraws_functions_once_none_of_their_jobs_is_held() -> None:
    session = make_session(Slots(2), a=0, b=0, c=0)
    job_a = give(session, b"H:1", b"a")
    job_b = give(session, b"H:2", b"b")
    session.take_output()
    session.stop()
    assert sent(session) == pack_request(CANT_DO, [b"c"])
    session.complete(job_a, b"")
    assert sent(session) == pack_request(WORK_COMPLETE, [b"H:1", b""]) + pack_request(
        CANT_DO, [b"a"]
    )
    session.complete(job_b, b"")
    assert (
        sent(session)
        == pack_request(WORK_COMPLETE, [b"H:2", b""]) + pack_request(RESET_ABILITIES, []) + ECHO
    )
    assert not session.is_done()
    session.receive_data(ECHOED + ECHOED)
    assert session.is_done()


def test_stop_waits_for_the_answer_to_a_grab_and_keeps_the_job_in_it(
    session: WorkerSession,
) -> None:
    session.receive_data(ECHOED)
    session.stop()
    assert sent(session) == b""
    job = give(session, b"H:1")
    assert not session.is_done()
    session.complete(job, b"r")
    assert (
        sent(session)
        == pack_request(WORK_COMPLETE, [b"H:1", b"r"]) + pack_request(RESET_ABILITIES, []) + ECHO
    )
    session.receive_data(ECHOED)
    assert session.is_done()


def test_a_stopped_session_stays_awake_for_nobody(session: WorkerSession) -> None:
    session.receive_data(ECHOED + NO_JOB_BYTES)
    session.stop()
    session.take_output()
    session.receive_data(NOOP_BYTES)
    assert sent(session) == b""


def test_the_result_of_a_lost_connection_is_dropped_and_its_slot_used_elsewhere() -> None:
    slots = Slots(1)
    first = make_session(slots)
    job = give(first, b"H:1")
    second = make_session(slots)
    first.take_output()
    second.take_output()
    first.lose()
    # The handler still runs, so its slot is taken.
    assert (sent(second), slots.free) == (b"", 0)
    assert not first.complete(job, b"r")
    assert (sent(first), sent(second)) == (b"", GRAB)


def test_grabs_that_nobody_can_answer_any_more_give_their_slots_back() -> None:
    slots = Slots(1)
    first = make_session(slots)
    second = make_session(slots)
    second.take_output()
    assert (first.asked, second.asked) == (1, 0)
    first.lose()
    assert sent(second) == GRAB
    first.lose()
    assert slots.free == 0


def test_servers_take_turns() -> None:
    slots = Slots(1)
    first, second = make_session(slots), make_session(slots)
    order = []
    for number in range(6):
        asked = first if first.asked else second
        order.append("first" if asked is first else "second")
        asked.complete(give(asked, b"H:%d" % number), b"")
    assert order == ["first", "second"] * 3


def test_a_session_is_stuck_when_a_due_answer_does_not_come(session: WorkerSession) -> None:
    assert not session.is_stuck()
    assert session.is_stuck()
    session.receive_data(ECHOED)
    assert not session.is_stuck()


def test_an_answer_that_became_due_since_the_last_look_is_not_late(session: WorkerSession) -> None:
    session.receive_data(ECHOED)
    job = give(session, b"H:1")
    assert not session.is_stuck()
    session.complete(job, b"")
    assert not session.is_stuck()
    assert session.is_stuck()


def test_a_sleeping_session_is_never_stuck(session: WorkerSession) -> None:
    session.receive_data(ECHOED + NO_JOB_BYTES)
    assert not session.awaits_answer()
    assert not session.is_stuck()
    assert not session.is_stuck()
