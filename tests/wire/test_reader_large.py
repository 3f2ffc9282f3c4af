"""Large packets: their last argument is collected as it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.errors import MalformedPacket, PacketTooLarge
from geartrain.wire.packet import (
    ECHO_REQ,
    GRAB_JOB,
    PRE_SLEEP,
    REQUEST,
    RESPONSE,
    SUBMIT_JOB,
    WORK_COMPLETE,
    WRONG_MAGIC,
    Packet,
)
from geartrain.wire.reader import LARGE, PacketReader
from geartrain.wire.writer import pack, pack_request

WORKLOAD = bytes(range(256)) * (LARGE // 128)
SUBMISSION = pack_request(SUBMIT_JOB, [b"reverse", b"key", WORKLOAD])
GRAB = pack_request(GRAB_JOB, [])


def pieces(stream, size):
    return [stream[start : start + size] for start in range(0, len(stream), size)]


@pytest.mark.parametrize("size", [7, 12, 20, 25, 1000, 65536, LARGE + 1, len(SUBMISSION) - 1])
def test_large_packet_is_read_however_it_is_cut(size):
    reader = PacketReader(REQUEST)
    packets = []
    for piece in pieces(GRAB + SUBMISSION + GRAB + SUBMISSION, size):
        packets += reader.receive_data(piece)
    submission = Packet(SUBMIT_JOB, [b"reverse", b"key", WORKLOAD])
    assert packets == [Packet(GRAB_JOB, []), submission, Packet(GRAB_JOB, []), submission]
    assert not reader.receive_end()


def test_large_packet_is_kept_once():
    reader = PacketReader(REQUEST)
    for end in range(1000, len(SUBMISSION), 1000):
        assert reader.receive_data(SUBMISSION[end - 1000 : end]) == []
        # Without its header and its short arguments once the last one has begun.
        assert reader.unfinished() == end - 12 - len(b"reverse\0key\0")
        assert len(reader.pending) == 0
        assert reader.receive_end()


def test_last_argument_that_has_not_begun_is_waited_for():
    reader = PacketReader(REQUEST)
    stream = pack_request(SUBMIT_JOB, [b"f" * 1000, b"u" * 1000, WORKLOAD])
    assert reader.receive_data(stream[:12]) == []
    assert reader.receive_data(stream[12:900]) == []
    assert reader.unfinished() == 900
    assert reader.receive_data(stream[900:3000]) == []
    assert len(reader.pending) == 0
    expected = [Packet(SUBMIT_JOB, [b"f" * 1000, b"u" * 1000, WORKLOAD])]
    assert reader.receive_data(stream[3000:]) == expected


def test_large_packet_without_its_arguments_is_refused_at_its_end():
    reader = PacketReader(REQUEST)
    stream = pack_request(SUBMIT_JOB, [b"x" * len(WORKLOAD)])
    for piece in pieces(stream[:-1], 10_000):
        assert reader.receive_data(piece) == []
    assert reader.fault is None
    assert reader.receive_data(stream[-1:]) == []
    assert isinstance(reader.fault, MalformedPacket)


def test_large_result_without_its_separator_is_a_handle():
    reader = PacketReader(REQUEST)
    stream = pack_request(WORK_COMPLETE, [b"H" * len(WORKLOAD)])
    packets = []
    for piece in pieces(stream, 100_000):
        packets += reader.receive_data(piece)
    assert packets == [Packet(WORK_COMPLETE, [b"H" * len(WORKLOAD), b""])]


def test_large_packet_of_a_type_without_arguments_is_refused_at_its_header():
    reader = PacketReader(REQUEST)
    assert reader.receive_data(pack_request(PRE_SLEEP, [WORKLOAD])[:12]) == []
    assert isinstance(reader.fault, MalformedPacket)


def test_large_packet_of_the_other_side_is_passed_over():
    reader = PacketReader(REQUEST)
    packets = []
    for piece in pieces(pack(RESPONSE, ECHO_REQ, [WORKLOAD]) + GRAB, 100_000):
        packets += reader.receive_data(piece)
    assert packets == [Packet(WRONG_MAGIC, []), Packet(GRAB_JOB, [])]


def test_limit_holds_for_what_would_be_collected():
    reader = PacketReader(REQUEST, max_packet=LARGE)
    assert reader.receive_data(SUBMISSION[:100]) == []
    assert isinstance(reader.fault, PacketTooLarge)
    assert reader.unfinished() == 0


ARGUMENT = st.binary(max_size=6).map(lambda text: text.replace(b"\0", b"-"))
PACKETS = st.one_of(
    st.just(pack_request(GRAB_JOB, [])),
    st.binary(max_size=12).map(lambda text: pack_request(ECHO_REQ, [text])),
    st.tuples(ARGUMENT, ARGUMENT, st.binary(max_size=12)).map(
        lambda args: pack_request(SUBMIT_JOB, list(args))
    ),
    st.tuples(ARGUMENT, st.binary(max_size=12)).map(
        lambda args: pack_request(WORK_COMPLETE, list(args))
    ),
    ARGUMENT.map(lambda text: pack_request(WORK_COMPLETE, [text])),
    ARGUMENT.map(lambda text: pack_request(SUBMIT_JOB, [text])),
    st.binary(max_size=12).map(lambda text: pack(RESPONSE, ECHO_REQ, [text])),
    st.binary(max_size=12).map(lambda text: pack_request(PRE_SLEEP, [text])),
    st.just(b"status\n"),
)


@given(st.lists(PACKETS, max_size=6).map(b"".join), st.integers(1, 9), st.lists(st.integers(0, 60)))
def test_collecting_changes_nothing_of_what_is_read(stream, large, cuts):
    """However small packets may be to count as large, the same packets and faults come out."""
    plain = PacketReader(REQUEST)
    expected = plain.receive_data(stream)
    reader = PacketReader(REQUEST, large=large)
    found = []
    ends = [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in zip([0, *ends], ends, strict=False):
        found += reader.receive_data(stream[start:end])
    assert found == expected
    assert str(reader.fault) == str(plain.fault)
    assert reader.receive_end() == plain.receive_end()
