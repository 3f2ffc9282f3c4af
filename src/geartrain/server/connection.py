"""
The asyncio shell of one connection. No rules, only order.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from geartrain.server.exchange import Peer
    from geartrain.server.server import JobServer

logger = logging.getLogger("geartrain.server")


class Connection(asyncio.Protocol):
    """
    One accepted connection.

    What arrives goes to the exchange at once. What the exchange wants written
    is written by ``flush``, once per pass of the event loop.
    """

    __slots__ = (
        "ending",
        "partial_since",
        "partial_size",
        "peer",
        "server",
        "stalled_since",
        "transport",
    )

    peer: Peer
    transport: asyncio.Transport

    def __init__(self, server: JobServer) -> None:
        self.server = server
        # The peer has said all it has to say; what it still waits for is on its way.
        self.ending = False
        # Since when a packet is incomplete, and how much of it was there then.
        self.partial_since = 0.0
        self.partial_size = 0
        # Since when the peer leaves its results unread; 0 when it reads.
        self.stalled_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        address = b"-"
        local = True
        if raw.family != socket.AF_UNIX:
            host = transport.get_extra_info("peername")[0]
            address = host.encode()
            local = host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")
            self.server.keep_alive(raw)
        self.transport.set_write_buffer_limits(high=self.server.settings.output_limit)
        self.peer = self.server.connected(self, raw.fileno(), address, local)

    def data_received(self, data: bytes) -> None:
        self.server.received(self, data)

    def eof_received(self) -> bool:
        """Close, but for a peer that sent all it wanted and still waits for the disk."""
        self.flush()
        if self.server.exchange.owes(self.peer.session):
            self.ending = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.disconnected(self)

    def pause_writing(self) -> None:
        """The peer does not read: stop listening to it, so that it can't ask for more."""
        self.stalled_since = self.server.clock()
        self.transport.pause_reading()
        self.server.watch(self)

    def resume_writing(self) -> None:
        self.stalled_since = 0.0
        if not self.transport.is_closing() and not self.ending:
            self.transport.resume_reading()

    def flush(self) -> None:
        """Write what the exchange has for this connection."""
        transport = self.transport
        peer = self.peer
        chunks = peer.outbox.take()
        if transport.is_closing():
            return
        if self.stalled_since and chunks and self.is_over_limit():
            self.drop("it does not read what it asked for")
            return
        if len(chunks) == 1:
            transport.write(chunks[0])
        elif chunks:
            transport.writelines(chunks)
        if peer.closing:
            if peer.fault is not None:
                logger.info("closing %s: %s", self.name(), peer.fault)
            transport.close()
        elif self.ending and not self.server.exchange.owes(peer.session):
            transport.close()

    def is_over_limit(self) -> bool:
        """Return whether more waits for the peer than may."""
        return self.transport.get_write_buffer_size() > self.server.settings.output_limit

    def drop(self, reason: str) -> None:
        """End the connection at once."""
        logger.info("dropping %s: %s", self.name(), reason)
        self.transport.abort()

    def name(self) -> str:
        """Return what the log calls this connection."""
        return f"{self.peer.address.decode()} (descriptor {self.peer.descriptor})"
