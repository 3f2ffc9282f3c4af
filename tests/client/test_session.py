"""One connection without a socket, in the bytes of the protocol."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.client.session import (
    LOST_RUNNING,
    LOST_UNANSWERED,
    LOST_UNSENT,
    Request,
    Session,
    expected_answer,
)
from geartrain.errors import BadMagic, ProtocolError, ServerError, UnknownPacket, UsageError
from geartrain.wire.packet import (
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    JOB_CREATED,
    NAMES,
    NO_JOB,
    OPTION_REQ,
    OPTION_RES,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    SUBMIT_REDUCE_JOB,
    SUBMIT_REDUCE_JOB_BACKGROUND,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)
from geartrain.wire.writer import pack_request, pack_response

# The exchange printed byte by byte in PROTOCOL, "Binary Protocol Example".
SUBMIT_REVERSE = bytes.fromhex("00524551 00000007 0000000d 72657665727365 00 00 74657374")
REVERSE_CREATED = bytes.fromhex("00524553 00000008 00000007 483a6c61703a31")
REVERSE_COMPLETE = bytes.fromhex("00524553 0000000d 0000000c 483a6c61703a31 00 74736574")


def send(session, kind, *args, owner="somebody"):
    request = Request(kind, list(args), owner)
    session.send(request)
    return request


def output_of(session):
    return b"".join(session.take_output())


def told(events):
    """Return events as the tests write them down."""
    return [
        (event.request, NAMES[event.kind] if event.kind >= 0 else event.kind, event.args)
        for event in events
    ]


def responses(*packets):
    return b"".join(pack_response(kind, list(args)) for kind, *args in packets)


def submitted(session, *uniques):
    """Return foreground submissions that were sent."""
    requests = [send(session, SUBMIT_JOB, b"f", unique, b"") for unique in uniques]
    session.note_sent(len(output_of(session)))
    return requests


def test_a_job_as_printed_in_protocol():
    session = Session()
    request = send(session, SUBMIT_JOB, b"reverse", b"", b"test")
    assert output_of(session) == SUBMIT_REVERSE
    assert told(session.receive_data(REVERSE_CREATED)) == [(request, "JOB_CREATED", [b"H:lap:1"])]
    assert request.handle == b"H:lap:1"
    assert told(session.receive_data(REVERSE_COMPLETE)) == [
        (request, "WORK_COMPLETE", [b"H:lap:1", b"tset"])
    ]
    assert session.is_quiet()
    assert session.end() == []


def test_requests_of_one_pass_leave_in_one_piece():
    session = Session()
    send(session, OPTION_REQ, b"exceptions")
    send(session, SUBMIT_JOB_BG, b"f", b"u", b"w")
    assert session.has_output()
    assert session.take_output() == [
        pack_request(OPTION_REQ, [b"exceptions"]) + pack_request(SUBMIT_JOB_BG, [b"f", b"u", b"w"])
    ]
    assert not session.has_output()
    assert session.take_output() == []


def test_a_large_workload_is_not_copied():
    session = Session()
    large = bytes(100_000)
    before = send(session, SUBMIT_JOB, b"f", b"", b"small")
    request = send(session, SUBMIT_JOB, b"f", b"", large)
    after = send(session, SUBMIT_JOB, b"f", b"", b"small")
    parts = session.take_output()
    assert parts[1] is large
    assert b"".join(parts) == (
        pack_request(SUBMIT_JOB, [b"f", b"", b"small"])
        + pack_request(SUBMIT_JOB, [b"f", b"", large])
        + pack_request(SUBMIT_JOB, [b"f", b"", b"small"])
    )
    assert (before.end, request.end, after.end) == (20, 20 + 100_015, 20 + 100_015 + 20)
    assert request.args == []


def test_a_packet_above_the_limit_is_refused_and_nothing_of_it_sent():
    session = Session(max_packet=100)
    with pytest.raises(UsageError, match="SUBMIT_JOB of 101 bytes is larger than max_packet"):
        send(session, SUBMIT_JOB, b"f", b"", bytes(98))
    assert session.take_output() == []
    assert session.is_quiet()
    send(session, SUBMIT_JOB, b"f", b"", bytes(97))
    assert len(output_of(session)) == 112


def test_answers_are_matched_in_the_order_of_requests():
    session = Session()
    echo = send(session, ECHO_REQ, b"ping")
    submission = send(session, SUBMIT_JOB_BG, b"f", b"", b"")
    status = send(session, GET_STATUS, b"H:x:1")
    refused = send(session, SUBMIT_JOB_BG, b"f", b"", b"")
    unique = send(session, GET_STATUS_UNIQUE, b"u")
    option = send(session, OPTION_REQ, b"exceptions")
    events = session.receive_data(
        responses(
            (ECHO_RES, b"ping"),
            (JOB_CREATED, b"H:x:2"),
            (STATUS_RES, b"H:x:1", b"1", b"0", b"3", b"10"),
            (ERROR, b"QUEUE_ERROR", b"Job queue is full"),
            (STATUS_RES_UNIQUE, b"u", b"0", b"0", b"0", b"0", b"0"),
            (OPTION_RES, b"exceptions"),
        )
    )
    assert told(events) == [
        (echo, "ECHO_RES", [b"ping"]),
        (submission, "JOB_CREATED", [b"H:x:2"]),
        (status, "STATUS_RES", [b"H:x:1", b"1", b"0", b"3", b"10"]),
        (refused, "ERROR", [b"QUEUE_ERROR", b"Job queue is full"]),
        (unique, "STATUS_RES_UNIQUE", [b"u", b"0", b"0", b"0", b"0", b"0"]),
        (option, "OPTION_RES", [b"exceptions"]),
    ]
    assert session.fault is None
    assert session.is_quiet()


def test_reports_go_to_their_job_by_its_handle():
    session = Session()
    first, second = submitted(session, b"", b"")
    session.receive_data(responses((JOB_CREATED, b"H:1"), (JOB_CREATED, b"H:2")))
    events = session.receive_data(
        responses(
            (WORK_DATA, b"H:2", b"chunk"),
            (WORK_STATUS, b"H:1", b"1", b"2"),
            (WORK_WARNING, b"H:2", b"careful"),
            (WORK_FAIL, b"H:2"),
            (WORK_COMPLETE, b"H:1", b"done"),
        )
    )
    assert told(events) == [
        (second, "WORK_DATA", [b"H:2", b"chunk"]),
        (first, "WORK_STATUS", [b"H:1", b"1", b"2"]),
        (second, "WORK_WARNING", [b"H:2", b"careful"]),
        (second, "WORK_FAIL", [b"H:2"]),
        (first, "WORK_COMPLETE", [b"H:1", b"done"]),
    ]
    assert session.is_quiet()


def test_submissions_joined_to_one_job_each_get_one_copy_of_each_report():
    session = Session()
    requests = submitted(session, b"u", b"u", b"u")
    session.receive_data(responses(*[(JOB_CREATED, b"H:1")] * 3))
    for packet in [(WORK_DATA, b"H:1", b"a"), (WORK_STATUS, b"H:1", b"1", b"2")]:
        events = session.receive_data(responses(packet, packet, packet))
        assert {event.request for event in events} == set(requests)
    assert not session.is_quiet()
    packet = (WORK_COMPLETE, b"H:1", b"done")
    events = session.receive_data(responses(packet, packet, packet))
    assert {event.request for event in events} == set(requests)
    assert session.is_quiet()


def test_a_submission_that_joins_later_takes_part_from_there_on():
    session = Session()
    (first,) = submitted(session, b"u")
    session.receive_data(responses((JOB_CREATED, b"H:1"), (WORK_DATA, b"H:1", b"a")))
    (second,) = submitted(session, b"u")
    events = session.receive_data(
        responses((JOB_CREATED, b"H:1"), (WORK_DATA, b"H:1", b"b"), (WORK_DATA, b"H:1", b"b"))
    )
    assert [event.request for event in events[1:]] == [first, second]


@pytest.mark.parametrize(
    "kind",
    [
        SUBMIT_JOB_BG,
        SUBMIT_JOB_HIGH_BG,
        SUBMIT_JOB_LOW_BG,
        SUBMIT_JOB_EPOCH,
        SUBMIT_REDUCE_JOB_BACKGROUND,
    ],
)
def test_a_background_job_is_over_with_its_handle(kind):
    session = Session()
    background = send(session, kind, b"f", b"u", b"")
    assert told(session.receive_data(responses((JOB_CREATED, b"H:1")))) == [
        (background, "JOB_CREATED", [b"H:1"])
    ]
    assert session.is_quiet()


@pytest.mark.parametrize("kind", [SUBMIT_JOB, SUBMIT_JOB_HIGH, SUBMIT_JOB_LOW, SUBMIT_REDUCE_JOB])
def test_a_foreground_job_is_over_with_its_end(kind):
    session = Session()
    send(session, kind, b"f", b"u", b"")
    session.receive_data(responses((JOB_CREATED, b"H:1")))
    assert not session.is_quiet()
    session.receive_data(responses((WORK_FAIL, b"H:1")))
    assert session.is_quiet()


def test_a_background_submission_joined_to_a_foreground_job_takes_none_of_its_reports():
    session = Session()
    (foreground,) = submitted(session, b"u")
    send(session, SUBMIT_JOB_BG, b"f", b"u", b"")
    session.receive_data(responses((JOB_CREATED, b"H:1"), (JOB_CREATED, b"H:1")))
    events = session.receive_data(responses((WORK_COMPLETE, b"H:1", b"done")))
    assert told(events) == [(foreground, "WORK_COMPLETE", [b"H:1", b"done"])]


def test_a_fail_after_an_exception_is_no_news():
    session = Session()
    (job,) = submitted(session, b"")
    events = session.receive_data(
        responses((JOB_CREATED, b"H:1"), (WORK_EXCEPTION, b"H:1", b"ouch"), (WORK_FAIL, b"H:1"))
    )
    assert told(events)[1:] == [(job, "WORK_EXCEPTION", [b"H:1", b"ouch"])]
    assert session.fault is None


def test_a_fail_with_the_stray_nul_of_gearmand_is_understood():
    session = Session()
    (job,) = submitted(session, b"")
    events = session.receive_data(responses((JOB_CREATED, b"H:1"), (WORK_FAIL, b"H:1\0")))
    assert told(events)[1:] == [(job, "WORK_FAIL", [b"H:1\0"])]
    assert session.is_quiet()


def test_reports_on_unknown_jobs_are_dropped():
    session = Session()
    packets = [(WORK_DATA, b"H:9", b""), (WORK_STATUS, b"H:9", b"", b""), (WORK_COMPLETE, b"H:9")]
    assert session.receive_data(responses(*packets)) == []
    assert session.fault is None


def test_nothing_is_told_of_a_request_that_nobody_owns():
    session = Session()
    send(session, OPTION_REQ, b"exceptions", owner=None)
    forgotten, job = submitted(session, b"u", b"u")
    forgotten.owner = None
    events = session.receive_data(
        responses(
            (ERROR, b"UNKNOWN_OPTION", b"Server does not recognize given option"),
            (JOB_CREATED, b"H:1"),
            (JOB_CREATED, b"H:1"),
            (WORK_DATA, b"H:1", b"a"),
            (WORK_DATA, b"H:1", b"a"),
        )
    )
    assert told(events) == [
        (job, "JOB_CREATED", [b"H:1"]),
        (job, "WORK_DATA", [b"H:1", b"a"]),
    ]
    assert [event.request for event in session.end()] == [job]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (ECHO_REQ, (JOB_CREATED, b"H:1")),
        (SUBMIT_JOB, (ECHO_RES, b"")),
        (GET_STATUS, (STATUS_RES_UNIQUE, b"", b"", b"", b"", b"", b"")),
        (SUBMIT_JOB, (NO_JOB,)),
    ],
)
def test_an_answer_to_something_else_is_a_fault(kind, answer):
    session = Session()
    send(session, kind, b"f", b"", b"")
    assert session.receive_data(responses(answer, (WORK_DATA, b"", b""))) == []
    assert isinstance(session.fault, ProtocolError)
    assert str(session.fault) == (
        f"{NAMES[answer[0]]} came where {NAMES[expected_answer(kind)]} was due"
    )
    assert session.receive_data(responses((JOB_CREATED, b"H:1"))) == []


def test_an_answer_to_nothing_is_a_fault():
    session = Session()
    session.receive_data(responses((JOB_CREATED, b"H:1")))
    assert str(session.fault) == "JOB_CREATED came, and nothing was asked"


def test_an_error_that_answers_nothing_tells_why_the_server_is_about_to_close():
    session = Session()
    session.receive_data(responses((ERROR, b"TOO_MANY", b"try \xff later")))
    assert isinstance(session.fault, ServerError)
    assert (session.fault.code, session.fault.text) == ("TOO_MANY", "try � later")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", BadMagic),
        (pack_request(ECHO_REQ, [b""]), BadMagic),
        (b"\0ABC", BadMagic),
        (b"\0RES\0\0\0\x2b\0\0\0\0", UnknownPacket),
    ],
)
def test_what_is_no_answer_of_a_job_server_is_a_fault(data, fault):
    session = Session()
    (job,) = submitted(session, b"")
    session.receive_data(data + bytes(12 - len(data) % 12))
    assert isinstance(session.fault, fault)
    assert told(session.end()) == [(job, LOST_UNANSWERED, [])]


def test_the_end_of_a_connection_says_how_far_each_request_had_come():
    session = Session()
    running, unanswered = submitted(session, b"", b"")
    session.receive_data(responses((JOB_CREATED, b"H:1")))
    unsent = send(session, SUBMIT_JOB_BG, b"f", b"", b"")
    size = len(output_of(session))
    # All but the last byte: no server takes half a packet for a job.
    session.note_sent(size - 1)
    never_taken = send(session, ECHO_REQ, b"")
    assert told(session.end()) == [
        (running, LOST_RUNNING, []),
        (unanswered, LOST_UNANSWERED, []),
        (unsent, LOST_UNSENT, []),
        (never_taken, LOST_UNSENT, []),
    ]
    assert session.is_quiet()
    assert not session.has_output()
    assert session.end() == []


def test_events_can_be_read_in_a_log():
    session = Session()
    submitted(session, b"")
    (created,) = session.receive_data(responses((JOB_CREATED, b"H:1")))
    assert repr(created) == "Event(JOB_CREATED, [b'H:1'])"
    assert repr(session.end()[0]) == "Event(LOST, [])"


# What a server may send to three submissions with one key, and one without.
EXCHANGE = [
    *[(JOB_CREATED, b"H:1")] * 3,
    *[(WORK_DATA, b"H:1", b"x\0y")] * 3,
    (JOB_CREATED, b"H:2"),
    (WORK_STATUS, b"H:2", b"1", b"2"),
    *[(WORK_COMPLETE, b"H:1", b"")] * 3,
    (WORK_EXCEPTION, b"H:2", b"ouch"),
]


@given(st.lists(st.integers(0, len(responses(*EXCHANGE)))))
def test_events_are_the_same_however_the_answers_are_cut(cuts):
    """The network may cut the stream anywhere; events come whole and in order."""

    def events_of(pieces):
        session = Session()
        requests = submitted(session, b"u", b"u", b"u", b"")
        events = [event for piece in pieces for event in session.receive_data(piece)]
        assert session.is_quiet()
        return [(requests.index(event.request), event.kind, event.args) for event in events]

    stream = responses(*EXCHANGE)
    places = sorted({0, *cuts, len(stream)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert events_of(pieces) == events_of([stream])
    assert len(events_of(pieces)) == len(EXCHANGE)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_no_bytes_of_a_server_raise(garbage, count):
    """Whatever comes, the session answers with events or a fault."""
    session = Session(max_packet=1000)
    submitted(session, *[b""] * count)
    for start in (b"", b"\0RES\0\0\0\x08\0\0\0\x04", b"\0RES\0\0\0\x13\0\0\0\x10"):
        session.receive_data(start + garbage)
    assert len(session.end()) <= count
