from __future__ import annotations

import tracemalloc

import pytest

from geartrain.errors import (
    BadMagic,
    LineTooLong,
    MalformedPacket,
    PacketTooLarge,
    UnknownPacket,
)
from geartrain.wire.packet import (
    ARGUMENTS,
    ECHO_REQ,
    ECHO_RES,
    GRAB_JOB,
    JOB_ASSIGN,
    JOB_CREATED,
    LAST_MAY_LACK,
    LAST_TYPE,
    NAMES,
    PRE_SLEEP,
    REQUEST,
    RESPONSE,
    SUBMIT_JOB,
    TEXT,
    WORK_COMPLETE,
    WRONG_MAGIC,
    Packet,
)
from geartrain.wire.reader import MAX_LINE, MAX_PACKET, PacketReader
from geartrain.wire.writer import pack, pack_request, pack_response


def reads(stream: bytes, magic: bytes = REQUEST) -> list[Packet]:
    """Return the packets of a stream that has no fault and ends with a packet."""
    reader = PacketReader(magic)
    packets = reader.receive_data(stream)
    assert reader.fault is None
    assert not reader.receive_end()
    return packets


# The exchange printed byte by byte in PROTOCOL, "Binary Protocol Example": a client has the
# string "test" reversed by a worker.
CAN_DO_REVERSE = bytes.fromhex("00524551 00000001 00000007 72657665727365")
GRAB = bytes.fromhex("00524551 00000009 00000000")
NO_JOB = bytes.fromhex("00524553 0000000a 00000000")
SLEEP = bytes.fromhex("00524551 00000004 00000000")
NOOP = bytes.fromhex("00524553 00000006 00000000")
SUBMIT_REVERSE = bytes.fromhex("00524551 00000007 0000000d 72657665727365 00 00 74657374")
CREATED = bytes.fromhex("00524553 00000008 00000007 483a6c61703a31")
ASSIGN = bytes.fromhex("00524553 0000000b 00000014 483a6c61703a31 00 72657665727365 00 74657374")
COMPLETE = bytes.fromhex("00524551 0000000d 0000000c 483a6c61703a31 00 74736574")
COMPLETED = bytes.fromhex("00524553 0000000d 0000000c 483a6c61703a31 00 74736574")

PRINTED_EXCHANGE = [
    (REQUEST, CAN_DO_REVERSE, Packet(1, [b"reverse"])),
    (REQUEST, GRAB, Packet(9, [])),
    (RESPONSE, NO_JOB, Packet(10, [])),
    (REQUEST, SLEEP, Packet(4, [])),
    (RESPONSE, NOOP, Packet(6, [])),
    (REQUEST, SUBMIT_REVERSE, Packet(7, [b"reverse", b"", b"test"])),
    (RESPONSE, CREATED, Packet(8, [b"H:lap:1"])),
    (RESPONSE, ASSIGN, Packet(11, [b"H:lap:1", b"reverse", b"test"])),
    (REQUEST, COMPLETE, Packet(13, [b"H:lap:1", b"tset"])),
    (RESPONSE, COMPLETED, Packet(13, [b"H:lap:1", b"tset"])),
]


@pytest.mark.parametrize(("magic", "stream", "packet"), PRINTED_EXCHANGE)
def test_packets_are_read_and_written_as_printed_in_protocol(magic, stream, packet):
    assert reads(stream, magic) == [packet]
    assert pack(magic, packet.type, packet.args) == stream


# Every packet type once, arguments as peers send them.
LITERAL = [
    (b"\0REQ\0\0\0\x01\0\0\0\x06resize", Packet(1, [b"resize"])),
    (b"\0REQ\0\0\0\x02\0\0\0\x06resize", Packet(2, [b"resize"])),
    (b"\0REQ\0\0\0\x03\0\0\0\0", Packet(3, [])),
    (b"\0REQ\0\0\0\x04\0\0\0\0", Packet(4, [])),
    (b"\0REQ\0\0\0\x05\0\0\0\0", Packet(5, [])),
    (b"\0REQ\0\0\0\x06\0\0\0\0", Packet(6, [])),
    (b"\0REQ\0\0\0\x07\0\0\0\x05f\0u\0w", Packet(7, [b"f", b"u", b"w"])),
    (b"\0REQ\0\0\0\x08\0\0\0\x05H:t:1", Packet(8, [b"H:t:1"])),
    (b"\0REQ\0\0\0\x09\0\0\0\0", Packet(9, [])),
    (b"\0REQ\0\0\0\x0a\0\0\0\0", Packet(10, [])),
    (b"\0REQ\0\0\0\x0b\0\0\0\x09H:t:1\0f\0w", Packet(11, [b"H:t:1", b"f", b"w"])),
    (b"\0REQ\0\0\0\x0c\0\0\0\x0aH:t:1\x003\x0010", Packet(12, [b"H:t:1", b"3", b"10"])),
    (b"\0REQ\0\0\0\x0d\0\0\0\x07H:t:1\0r", Packet(13, [b"H:t:1", b"r"])),
    (b"\0REQ\0\0\0\x0e\0\0\0\x05H:t:1", Packet(14, [b"H:t:1"])),
    (b"\0REQ\0\0\0\x0f\0\0\0\x05H:t:1", Packet(15, [b"H:t:1"])),
    (b"\0REQ\0\0\0\x10\0\0\0\x03a\0b", Packet(16, [b"a\0b"])),
    (b"\0REQ\0\0\0\x11\0\0\0\0", Packet(17, [b""])),
    (b"\0REQ\0\0\0\x12\0\0\0\x05f\0u\0w", Packet(18, [b"f", b"u", b"w"])),
    (b"\0REQ\0\0\0\x13\0\0\0\x06CODE\0t", Packet(19, [b"CODE", b"t"])),
    (
        b"\0REQ\0\0\0\x14\0\0\0\x0eH:t:1\x001\x001\x003\x0010",
        Packet(20, [b"H:t:1", b"1", b"1", b"3", b"10"]),
    ),
    (b"\0REQ\0\0\0\x15\0\0\0\x05f\0u\0w", Packet(21, [b"f", b"u", b"w"])),
    (b"\0REQ\0\0\0\x16\0\0\0\x06web 12", Packet(22, [b"web 12"])),
    (b"\0REQ\0\0\0\x17\0\0\0\x06f\x001500", Packet(23, [b"f", b"1500"])),
    (b"\0REQ\0\0\0\x18\0\0\0\0", Packet(24, [])),
    (b"\0REQ\0\0\0\x19\0\0\0\x09H:t:1\0oh!", Packet(25, [b"H:t:1", b"oh!"])),
    (b"\0REQ\0\0\0\x1a\0\0\0\x0aexceptions", Packet(26, [b"exceptions"])),
    (b"\0REQ\0\0\0\x1b\0\0\0\x0aexceptions", Packet(27, [b"exceptions"])),
    (b"\0REQ\0\0\0\x1c\0\0\0\x07H:t:1\0d", Packet(28, [b"H:t:1", b"d"])),
    (b"\0REQ\0\0\0\x1d\0\0\0\x07H:t:1\0d", Packet(29, [b"H:t:1", b"d"])),
    (b"\0REQ\0\0\0\x1e\0\0\0\0", Packet(30, [])),
    (b"\0REQ\0\0\0\x1f\0\0\0\x0bH:t:1\0f\0u\0w", Packet(31, [b"H:t:1", b"f", b"u", b"w"])),
    (b"\0REQ\0\0\0\x20\0\0\0\x05f\0u\0w", Packet(32, [b"f", b"u", b"w"])),
    (b"\0REQ\0\0\0\x21\0\0\0\x05f\0u\0w", Packet(33, [b"f", b"u", b"w"])),
    (b"\0REQ\0\0\0\x22\0\0\0\x05f\0u\0w", Packet(34, [b"f", b"u", b"w"])),
    (
        b"\0REQ\0\0\0\x23\0\0\0\x11f\0u\x0030\x002\x001\x0012\x006\0w",
        Packet(35, [b"f", b"u", b"30", b"2", b"1", b"12", b"6", b"w"]),
    ),
    (b"\0REQ\0\0\0\x24\0\0\0\x0af\0u\x001000\0w", Packet(36, [b"f", b"u", b"1000", b"w"])),
    (b"\0REQ\0\0\0\x25\0\0\0\x08f\0u\0r\0\0w", Packet(37, [b"f", b"u", b"r", b"", b"w"])),
    (b"\0REQ\0\0\0\x26\0\0\0\x08f\0u\0r\0\0w", Packet(38, [b"f", b"u", b"r", b"", b"w"])),
    (b"\0REQ\0\0\0\x27\0\0\0\0", Packet(39, [])),
    (b"\0REQ\0\0\0\x28\0\0\0\x0dH:t:1\0f\0u\0r\0w", Packet(40, [b"H:t:1", b"f", b"u", b"r", b"w"])),
    (b"\0REQ\0\0\0\x29\0\0\0\x07photo-1", Packet(41, [b"photo-1"])),
    (
        b"\0REQ\0\0\0\x2a\0\0\0\x0bu\x001\x001\x000\x000\x002",
        Packet(42, [b"u", b"1", b"1", b"0", b"0", b"2"]),
    ),
]


@pytest.mark.parametrize(("stream", "packet"), LITERAL)
def test_each_type_is_read_and_written_byte_by_byte(stream, packet):
    assert reads(stream) == [packet]
    assert pack_request(packet.type, packet.args) == stream


def test_literal_bytes_cover_every_type():
    assert [packet.type for _, packet in LITERAL] == list(range(1, LAST_TYPE + 1))


# What has not arrived yet.


@pytest.mark.parametrize("cut", range(1, len(SUBMIT_REVERSE)))
def test_packet_cut_anywhere_comes_out_once_its_end_is_here(cut):
    reader = PacketReader(REQUEST)
    assert reader.receive_data(SUBMIT_REVERSE[:cut]) == []
    assert reader.receive_end()
    assert reader.receive_data(SUBMIT_REVERSE[cut:]) == [Packet(7, [b"reverse", b"", b"test"])]
    assert not reader.receive_end()


def test_stream_that_arrives_byte_by_byte_is_read():
    reader = PacketReader(REQUEST)
    stream = SUBMIT_REVERSE + b"status\r\n" + GRAB
    packets = [packet for byte in stream for packet in reader.receive_data(bytes([byte]))]
    assert packets == [
        Packet(SUBMIT_JOB, [b"reverse", b"", b"test"]),
        Packet(TEXT, [b"status"]),
        Packet(GRAB_JOB, []),
    ]


def test_begun_packet_waits_behind_whole_ones():
    reader = PacketReader(REQUEST)
    assert reader.receive_data(GRAB + SLEEP + SUBMIT_REVERSE[:20]) == [
        Packet(GRAB_JOB, []),
        Packet(PRE_SLEEP, []),
    ]
    assert len(reader.pending) == 20
    assert reader.receive_data(SUBMIT_REVERSE[20:] + GRAB) == [
        Packet(SUBMIT_JOB, [b"reverse", b"", b"test"]),
        Packet(GRAB_JOB, []),
    ]
    assert len(reader.pending) == 0


def test_nothing_received_is_nothing_read():
    reader = PacketReader(REQUEST)
    assert reader.receive_data(b"") == []
    assert not reader.receive_end()
    reader.receive_data(GRAB[:5])
    assert reader.receive_data(b"") == []
    assert reader.receive_end()


def test_announced_bytes_take_no_memory_before_they_come():
    reader = PacketReader(REQUEST)
    header = b"\0REQ" + SUBMIT_JOB.to_bytes(4, "big") + MAX_PACKET.to_bytes(4, "big")
    tracemalloc.start()
    reader.receive_data(header + b"x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.fault is None
    assert peak < 10_000


# Arguments that fit, or don't.


@pytest.mark.parametrize("kind", [kind for kind in range(1, 43) if ARGUMENTS[kind] > 1])
def test_packet_with_one_separator_too_few_is_malformed(kind):
    reader = PacketReader(REQUEST)
    short = pack_request(kind, [b"x"] * (ARGUMENTS[kind] - 1))
    if LAST_MAY_LACK[kind]:
        assert reads(short) == [Packet(kind, [b"x", b""])]
        return
    assert reader.receive_data(GRAB + short + GRAB) == [Packet(GRAB_JOB, [])]
    assert isinstance(reader.fault, MalformedPacket)
    assert reader.fault.name == NAMES[kind]
    assert reader.fault.code == b"INVALID_PACKET"


@pytest.mark.parametrize("kind", [kind for kind in range(1, 43) if ARGUMENTS[kind] > 1])
def test_empty_packet_lacks_its_arguments(kind):
    reader = PacketReader(REQUEST)
    packets = reader.receive_data(pack_request(kind, []))
    if LAST_MAY_LACK[kind]:
        assert packets == [Packet(kind, [b"", b""])]
    else:
        assert packets == []
        assert isinstance(reader.fault, MalformedPacket)


@pytest.mark.parametrize("kind", [kind for kind in range(1, 43) if ARGUMENTS[kind] == 0])
def test_packet_without_arguments_may_carry_none(kind):
    reader = PacketReader(REQUEST)
    assert reader.receive_data(pack_request(kind, [b"x"])) == []
    assert isinstance(reader.fault, MalformedPacket)


@pytest.mark.parametrize("kind", [kind for kind in range(1, 43) if ARGUMENTS[kind] == 1])
def test_single_argument_runs_to_the_end_and_may_be_empty_or_hold_nuls(kind):
    assert reads(pack_request(kind, [b""])) == [Packet(kind, [b""])]
    assert reads(pack_request(kind, [b"\0a\0"])) == [Packet(kind, [b"\0a\0"])]


def test_short_packet_does_not_eat_the_next_one():
    reader = PacketReader(REQUEST)
    # The NULs of the second packet would make up for those the first one lacks.
    assert reader.receive_data(pack_request(SUBMIT_JOB, [b"resize"]) + SUBMIT_REVERSE) == []
    assert isinstance(reader.fault, MalformedPacket)


def test_result_without_separator_is_an_empty_result():
    # Perl's worker leaves it out.
    assert reads(b"\0REQ\0\0\0\x0d\0\0\0\x09H:vm:2254") == [
        Packet(WORK_COMPLETE, [b"H:vm:2254", b""])
    ]
    assert reads(b"\0REQ\0\0\0\x0d\0\0\0\x0aH:vm:2254\0") == [
        Packet(WORK_COMPLETE, [b"H:vm:2254", b""])
    ]


def test_only_the_data_may_lack_its_separator_not_an_argument_before():
    reader = PacketReader(RESPONSE)
    assert reader.receive_data(pack_response(JOB_ASSIGN, [b"H:t:1"])) == []
    assert isinstance(reader.fault, MalformedPacket)


# What ends a connection.


@pytest.mark.parametrize("number", [0, 43, 44, 255, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_type_that_nobody_defined_ends_the_reading(number):
    reader = PacketReader(REQUEST)
    stream = GRAB + b"\0REQ" + number.to_bytes(4, "big") + bytes(4)
    assert reader.receive_data(stream + GRAB) == [Packet(GRAB_JOB, [])]
    assert isinstance(reader.fault, UnknownPacket)
    assert reader.fault.number == number
    # gearmand closes the connection without a word, and so do we.
    assert reader.fault.code == b""


@pytest.mark.parametrize("magic", [b"\0req", b"\0RER", b"\0\0\0\0", b"\0RE\xff", b"\0GET"])
def test_bad_magic_ends_the_reading(magic):
    reader = PacketReader(REQUEST)
    assert reader.receive_data(magic + bytes(8)) == []
    assert isinstance(reader.fault, BadMagic)
    assert reader.fault.magic == magic
    assert reader.fault.code == b""


@pytest.mark.parametrize("size", [MAX_PACKET + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("magic", [REQUEST, RESPONSE])
def test_packet_larger_than_the_limit_is_refused_at_its_header(size, magic):
    reader = PacketReader(REQUEST)
    header = magic + SUBMIT_JOB.to_bytes(4, "big") + size.to_bytes(4, "big")
    assert reader.receive_data(header + b"x") == []
    assert isinstance(reader.fault, PacketTooLarge)
    assert (reader.fault.size, reader.fault.limit) == (size, MAX_PACKET)
    assert reader.fault.code == b"ARGUMENT_TOO_LARGE"
    assert len(reader.pending) == 0


def test_packet_of_just_the_limit_is_read():
    reader = PacketReader(REQUEST, max_packet=5)
    assert reader.receive_data(pack_request(ECHO_REQ, [b"12345"])) == [Packet(ECHO_REQ, [b"12345"])]
    assert reader.receive_data(pack_request(ECHO_REQ, [b"123456"])) == []
    assert isinstance(reader.fault, PacketTooLarge)


def test_nothing_is_read_or_kept_after_a_fault():
    reader = PacketReader(REQUEST)
    reader.receive_data(b"\0BAD" + bytes(8))
    fault = reader.fault
    assert reader.receive_data(GRAB * 1000) == []
    assert reader.fault is fault
    assert len(reader.pending) == 0


# The other side's magic.


def test_packet_with_the_other_magic_is_handed_out_without_its_content():
    # The server answers it with ERROR and keeps the connection.
    reader = PacketReader(REQUEST)
    assert reader.receive_data(ASSIGN + GRAB) == [Packet(WRONG_MAGIC, []), Packet(GRAB_JOB, [])]
    assert reader.fault is None


def test_response_reader_takes_requests_for_wrong():
    assert reads(CREATED + SUBMIT_REVERSE, RESPONSE) == [
        Packet(JOB_CREATED, [b"H:lap:1"]),
        Packet(WRONG_MAGIC, []),
    ]


def test_packet_with_the_other_magic_may_be_malformed_but_not_undefined():
    reader = PacketReader(REQUEST)
    assert reader.receive_data(pack_response(SUBMIT_JOB, [b"x"])) == [Packet(WRONG_MAGIC, [])]
    assert reader.receive_data(pack_response(43, [b"x"])) == []
    assert isinstance(reader.fault, UnknownPacket)


def test_packet_with_the_other_magic_is_awaited_to_its_end():
    reader = PacketReader(REQUEST)
    assert reader.receive_data(ASSIGN[:-1]) == []
    assert reader.receive_data(ASSIGN[-1:]) == [Packet(WRONG_MAGIC, [])]


# Lines.


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"status\n", [b"status"]),
        (b"status\r\n", [b"status"]),
        (b"\n", [b""]),
        (b"\r\n", [b""]),
        (b"\r\r\n", [b"\r"]),
        (b"a\rb\n", [b"a\rb"]),
        (b"show jobs\nshow unique jobs\r\n\n", [b"show jobs", b"show unique jobs", b""]),
        (b"create function \0\xff\n", [b"create function \0\xff"]),
    ],
)
def test_line_ends_with_lf_or_crlf(stream, lines):
    assert reads(stream) == [Packet(TEXT, [line]) for line in lines]


def test_text_and_binary_mix_packet_by_packet():
    stream = b"verbose\n" + pack_request(ECHO_REQ, [b"hi\n"]) + b"status\r\n" + GRAB + b"\n"
    assert reads(stream) == [
        Packet(TEXT, [b"verbose"]),
        Packet(ECHO_REQ, [b"hi\n"]),
        Packet(TEXT, [b"status"]),
        Packet(GRAB_JOB, []),
        Packet(TEXT, [b""]),
    ]


def test_line_cut_between_cr_and_lf_loses_its_cr():
    reader = PacketReader(REQUEST)
    assert reader.receive_data(b"status\r") == []
    assert reader.receive_data(b"\n") == [Packet(TEXT, [b"status"])]


def test_line_of_just_the_limit_is_read():
    # The limit counts the line's end.
    assert reads(b"x" * (MAX_LINE - 1) + b"\n") == [Packet(TEXT, [b"x" * (MAX_LINE - 1)])]


@pytest.mark.parametrize("piece", [1000, MAX_LINE, 10_000_000])
def test_line_without_an_end_is_refused_at_the_limit(piece):
    reader = PacketReader(REQUEST)
    for _ in range(MAX_LINE // piece + 1):
        assert reader.receive_data(b"x" * piece) == []
    assert isinstance(reader.fault, LineTooLong)
    assert reader.fault.limit == MAX_LINE
    assert len(reader.pending) == 0


def test_line_that_ends_beyond_the_limit_is_refused():
    reader = PacketReader(REQUEST, max_line=8)
    assert reader.receive_data(b"1234567\n12345678\n") == [Packet(TEXT, [b"1234567"])]
    assert isinstance(reader.fault, LineTooLong)


def test_limit_of_lines_does_not_limit_packets():
    reader = PacketReader(RESPONSE, max_line=8)
    echo = pack_response(ECHO_RES, [b"x" * 100])
    assert reader.receive_data(echo) == [Packet(ECHO_RES, [b"x" * 100])]
