"""What the reader keeps to whatever arrives, and however the network cuts it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geartrain.wire.packet import (
    ARGUMENTS,
    HEADER_SIZE,
    LAST_TYPE,
    REQUEST,
    RESPONSE,
    TEXT,
    WRONG_MAGIC,
    Packet,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack

MAGICS = st.sampled_from([REQUEST, RESPONSE])
# NULs and line ends are what a reader could trip over.
BYTES = st.lists(st.sampled_from([b"a", b"\0", b"\n", b"\r", b"\xff", b"\0REQ"]), max_size=6).map(
    b"".join
)
LINES = BYTES.map(lambda line: line.replace(b"\n", b"")).filter(
    lambda line: not line.startswith(b"\0") and not line.endswith(b"\r")
)


@st.composite
def packets(draw):
    kind = draw(st.integers(0, LAST_TYPE))
    if kind == TEXT:
        return Packet(TEXT, [draw(LINES)])
    count = ARGUMENTS[kind]
    separated = [draw(BYTES).replace(b"\0", b"") for _ in range(count - 1)]
    return Packet(kind, separated + [draw(BYTES) for _ in range(min(count, 1))])


def written(magic: bytes, packet: Packet) -> bytes:
    if packet.type == TEXT:
        return packet.args[0] + b"\n"
    return pack(magic, packet.type, packet.args)


def pieces(draw, stream: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def read_all(reader: PacketReader, received: list[bytes]) -> list[Packet]:
    return [packet for data in received for packet in reader.receive_data(data)]


@given(MAGICS, st.lists(packets(), max_size=8), st.data())
def test_packets_survive_any_cut(magic, sent, data):
    """However the network cuts the stream, the same packets come out."""
    stream = b"".join(written(magic, packet) for packet in sent)
    reader = PacketReader(magic)
    assert read_all(reader, pieces(data.draw, stream)) == sent
    assert reader.fault is None
    assert not reader.receive_end()


# Streams that look like packets for a while, and then don't.
HEADERS = st.builds(
    lambda magic, kind, size: magic + kind.to_bytes(4, "big") + size.to_bytes(4, "big"),
    st.sampled_from([REQUEST, RESPONSE, b"\0REX", b"\0\0\0\0"]),
    st.integers(0, 45) | st.integers(0, 0xFFFFFFFF),
    st.integers(0, 20) | st.integers(0, 0xFFFFFFFF),
)
NOISE = st.lists(
    st.binary(max_size=20) | HEADERS | packets().map(lambda packet: written(REQUEST, packet)),
    max_size=8,
).map(b"".join)


@given(MAGICS, NOISE, st.data())
def test_arbitrary_bytes_are_read_alike_however_they_are_cut(magic, noise, data):
    """No bytes raise, and the cut changes neither packets nor fault."""
    whole = PacketReader(magic, max_packet=64, max_line=32)
    expected = whole.receive_data(noise)
    reader = PacketReader(magic, max_packet=64, max_line=32)
    assert read_all(reader, pieces(data.draw, noise)) == expected
    assert type(reader.fault) is type(whole.fault)
    assert str(reader.fault) == str(whole.fault)
    assert reader.receive_end() == whole.receive_end()


@given(MAGICS, NOISE, st.sampled_from([1, 16, 1000]), st.data())
def test_a_reader_keeps_no_more_than_a_packet_or_a_line(magic, noise, large, data):
    """What is kept between two reads is less than the largest packet, or than the longest line."""
    reader = PacketReader(magic, max_packet=64, max_line=32, large=large)
    received = 0
    for piece in pieces(data.draw, noise):
        reader.receive_data(piece)
        received += len(piece)
        text = len(reader.pending) > 0 and reader.pending[0] != 0
        assert reader.unfinished() < (32 if text else HEADER_SIZE + 64)
        assert reader.unfinished() <= received


@given(MAGICS, NOISE)
def test_what_comes_out_has_the_arguments_of_its_type(magic, noise):
    """The rooms above may index the arguments without looking."""
    for packet in PacketReader(magic).receive_data(noise):
        if packet.type == WRONG_MAGIC:
            assert packet.args == []
        else:
            assert len(packet.args) == ARGUMENTS[packet.type]
            assert all(b"\0" not in argument for argument in packet.args[:-1])
