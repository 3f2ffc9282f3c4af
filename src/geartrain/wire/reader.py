"""
Cuts a stream of bytes into packets.

A reader knows sizes and separators, not what a packet is for. It never reads
past a packet's own size, and refuses what is too large at the header, before
a byte of it is kept.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from librt.strings import read_i32_be
from mypy_extensions import i32, i64

from geartrain.errors import (
    BadMagic,
    LineTooLong,
    MalformedPacket,
    PacketTooLarge,
    ProtocolError,
    UnknownPacket,
)
from geartrain.wire.packet import (
    ARGUMENTS,
    HEADER_SIZE,
    LAST_MAY_LACK,
    LAST_TYPE,
    NAMES,
    REQUEST,
    TEXT,
    WRONG_MAGIC,
    Packet,
)

MAX_PACKET: Final = 512 * 1024 * 1024
MAX_LINE: Final = 64 * 1024
# A packet from this size on has its last argument collected by itself as it arrives: the whole of
# it is never copied, so a packet of 256 MiB does not take 512.
LARGE: Final = 256 * 1024

# What is returned instead of an index where no whole packet was read. Not told by ``fault``
# being None: once compiled, that comparison is taken for known from the one before the call.
_INCOMPLETE: Final = -1
_OVER: Final = -2

_NUL: Final = b"\0"
_MAGIC_SIZE: Final = 4
# Both magics as read_i32_be reads them.
_REQUEST_NUMBER: Final = 0x00524551
_RESPONSE_NUMBER: Final = 0x00524553


class PacketReader:
    """
    Reads packets, and lines of the text protocol, from one side of a connection.

    Which of the two comes next is decided by its first byte, packet by packet:
    a binary packet starts with NUL, a line does not.

    Args:
        magic: ``REQUEST`` in a server, ``RESPONSE`` in a client or worker.
        max_packet: Largest size a header may announce, in bytes.
        max_line: Longest text line, in bytes.
        large: Size from which the last argument of a packet is collected by itself.

    Attributes:
        fault: Why reading stopped, or None. Once it is set, nothing more comes
            out of the reader and the connection should be closed.

    """

    def __init__(
        self,
        magic: bytes,
        max_packet: int = MAX_PACKET,
        max_line: int = MAX_LINE,
        large: int = LARGE,
    ) -> None:
        self.max_packet: i64 = max_packet
        self.max_line: i64 = max_line
        self.large: i64 = large
        self.fault: ProtocolError | None = None
        self.expected = _REQUEST_NUMBER if magic == REQUEST else _RESPONSE_NUMBER
        # Bytes of a packet or line whose end has not arrived, and how many it takes to go on.
        # One growing buffer, so that a packet sent byte by byte costs no more memory than its size.
        self.pending = bytearray()
        self.wanted: i64 = 1
        # A large packet whose last argument is under way: its type, its other arguments, what
        # has arrived of the last one, and how many bytes are still to come.
        self.large_type: i32 = 0
        self.large_args: list[bytes] = []
        self.collected: BytesIO | None = None
        self.missing: i64 = 0

    def receive_data(self, data: bytes) -> list[Packet]:
        """Take what the network delivered and return the packets that it completes, in order."""
        packets: list[Packet] = []
        if self.fault is not None:
            return packets
        start: i64 = 0
        if self.collected is not None:
            start = self.collect(data, 0, packets)
        elif self.pending:
            self.pending += data
            if len(self.pending) < self.wanted:
                return packets
            data = bytes(self.pending)
            self.pending = bytearray()
        end: i64 = len(data)
        while start < end:
            after = self.read_packet(data, start, packets)
            if after < 0:
                if after == _INCOMPLETE:
                    self.pending += data[start:] if start else data
                break
            start = after
        return packets

    def receive_end(self) -> bool:
        """Return whether the stream ended in the middle of a packet or line."""
        return self.unfinished() > 0

    def unfinished(self) -> int:
        """Return how many bytes are here of a packet or line whose end is not."""
        if self.collected is not None:
            return self.collected.tell()
        return len(self.pending)

    def read_packet(self, data: bytes, start: i64, packets: list[Packet]) -> i64:
        """
        Read one packet at ``start`` and append it.

        Returns the index after it; or ``_INCOMPLETE`` when its end is not here yet
        (``wanted`` then says how many bytes it takes), ``_OVER`` when reading is
        over (``fault`` says why).
        """
        if data[start] != 0:
            return self.read_line(data, start, packets)
        available: i64 = len(data) - start
        if available < HEADER_SIZE:
            self.wanted = HEADER_SIZE
            return _INCOMPLETE
        magic = read_i32_be(data, start)
        if magic != self.expected and magic != _REQUEST_NUMBER and magic != _RESPONSE_NUMBER:
            self.fault = BadMagic(data[start : start + _MAGIC_SIZE])
            return _OVER
        kind = read_i32_be(data, start + 4)
        size = i64(read_i32_be(data, start + 8)) & 0xFFFFFFFF
        if kind <= 0 or kind > LAST_TYPE:
            self.fault = UnknownPacket(int(kind) & 0xFFFFFFFF)
            return _OVER
        if size > self.max_packet:
            self.fault = PacketTooLarge(int(size), int(self.max_packet))
            return _OVER
        if available < HEADER_SIZE + size:
            if size >= self.large and magic == self.expected:
                return self.start_large(data, start, kind, size, packets)
            self.wanted = HEADER_SIZE + size
            return _INCOMPLETE
        after = start + HEADER_SIZE + size
        if magic != self.expected:
            packets.append(Packet(WRONG_MAGIC, []))
            return after
        args = cut_arguments(data, start + HEADER_SIZE, after, kind)
        if args is None:
            self.fault = MalformedPacket(NAMES[kind])
            return _OVER
        packets.append(Packet(int(kind), args))
        return after

    def start_large(
        self, data: bytes, start: i64, kind: i32, size: i64, packets: list[Packet]
    ) -> i64:
        """Begin to collect the last argument of a packet; the same returns as ``read_packet``."""
        first = start + HEADER_SIZE
        args: list[bytes] = []
        for _ in range(ARGUMENTS[kind] - 1):
            separator: i64 = data.find(_NUL, first)
            if separator < 0:
                # The last argument has not begun. Looked for again when there is twice as much.
                self.wanted = min(HEADER_SIZE + size, 2 * (len(data) - start))
                return _INCOMPLETE
            args.append(data[first:separator])
            first = separator + 1
        if ARGUMENTS[kind] == 0:
            self.fault = MalformedPacket(NAMES[kind])
            return _OVER
        self.large_type = kind
        self.large_args = args
        self.collected = BytesIO()
        self.missing = start + HEADER_SIZE + size - first
        return self.collect(data, first, packets)

    def collect(self, data: bytes, start: i64, packets: list[Packet]) -> i64:
        """Collect the last argument of a large packet; returns the index after it."""
        collected = self.collected
        assert collected is not None
        after = start + self.missing
        if after > len(data):
            collected.write(data[start:] if start else data)
            self.missing = after - len(data)
            return len(data)
        collected.write(data[start:after])
        # Handed out as it is, without a copy.
        self.large_args.append(collected.getvalue())
        packets.append(Packet(int(self.large_type), self.large_args))
        self.large_args = []
        self.collected = None
        return after

    def read_line(self, data: bytes, start: i64, packets: list[Packet]) -> i64:
        """Read one line of the text protocol; the same returns as ``read_packet``."""
        end: i64 = data.find(b"\n", start, start + self.max_line)
        if end < 0:
            if len(data) - start >= self.max_line:
                self.fault = LineTooLong(int(self.max_line))
                return _OVER
            # Any further byte may be the end of the line.
            self.wanted = 0
            return _INCOMPLETE
        line = data[start:end]
        if line.endswith(b"\r"):
            line = line[:-1]
        packets.append(Packet(TEXT, [line]))
        return end + 1


def cut_arguments(data: bytes, start: i64, end: i64, kind: i32) -> list[bytes] | None:
    """Return the arguments of a packet of type ``kind``, or None where they don't fit its size."""
    expected = ARGUMENTS[kind]
    if expected == 0:
        return [] if start == end else None
    args = data[start:end].split(_NUL, expected - 1)
    if len(args) == expected - 1 and LAST_MAY_LACK[kind]:
        args.append(b"")
    return args if len(args) == expected else None


__all__ = ["LARGE", "MAX_LINE", "MAX_PACKET", "PacketReader", "cut_arguments"]
