"""
Writes packets.

``pack`` is the plain way. Where thousands of packets a second go out, as in
the job server, ``start_packet`` writes a header straight into the buffer that
the socket gets.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i32_be
from mypy_extensions import i32

from geartrain.wire.packet import REQUEST, RESPONSE

_NUL: Final = b"\0"


def pack(magic: bytes, kind: int, args: list[bytes]) -> bytes:
    """
    Return one packet as bytes.

    Args:
        magic: ``REQUEST`` or ``RESPONSE``.
        kind: Number of the packet.
        args: Its arguments; none but the last may contain a NUL.

    """
    payload = _NUL.join(args)
    return magic + kind.to_bytes(4, "big") + len(payload).to_bytes(4, "big") + payload


def pack_request(kind: int, args: list[bytes]) -> bytes:
    """Return one packet as a client or worker sends it."""
    return pack(REQUEST, kind, args)


def pack_response(kind: int, args: list[bytes]) -> bytes:
    """Return one packet as the server sends it."""
    return pack(RESPONSE, kind, args)


def start_packet(buffer: BytesWriter, magic: bytes, kind: i32, size: i32) -> None:
    """Write the header of a packet whose arguments take ``size`` bytes; they have to follow."""
    buffer.write(magic)
    write_i32_be(buffer, kind)
    write_i32_be(buffer, size)


__all__ = ["pack", "pack_request", "pack_response", "start_packet"]
