from __future__ import annotations

import pytest
from librt.strings import BytesWriter

from geartrain.wire.packet import (
    ECHO_REQ,
    GRAB_JOB,
    JOB_ASSIGN,
    REQUEST,
    RESPONSE,
    SUBMIT_JOB,
    WORK_COMPLETE,
)
from geartrain.wire.writer import pack, pack_request, pack_response, start_packet


def test_request_and_response_differ_in_their_magic():
    assert pack_request(GRAB_JOB, []) == bytes.fromhex("00524551 00000009 00000000")
    assert pack_response(GRAB_JOB, []) == bytes.fromhex("00524553 00000009 00000000")


def test_arguments_are_separated_by_nul_and_the_last_one_has_no_end():
    assert pack(REQUEST, WORK_COMPLETE, [b"H:t:1", b"a\0b"]) == (
        b"\0REQ\0\0\0\x0d\0\0\0\x09H:t:1\0a\0b"
    )


def test_empty_arguments_keep_their_separators():
    assert pack(REQUEST, SUBMIT_JOB, [b"f", b"", b""]) == b"\0REQ\0\0\0\x07\0\0\0\x03f\0\0"


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536, 1_000_000])
def test_size_is_four_bytes_big_endian(size):
    packet = pack(REQUEST, ECHO_REQ, [b"x" * size])
    assert packet[8:12] == size.to_bytes(4, "big")
    assert len(packet) == 12 + size


def test_header_written_into_a_buffer_is_the_one_that_pack_writes():
    buffer = BytesWriter()
    buffer.write(b"before")
    start_packet(buffer, RESPONSE, JOB_ASSIGN, 11)
    buffer.write(b"H:t:1\0f\0abc")
    assert buffer.getvalue() == b"before" + pack_response(JOB_ASSIGN, [b"H:t:1", b"f", b"abc"])
