"""
The asyncio shell of one HTTP connection.

One that does not bring its request forward is dropped after ``partial_timeout``,
also before its first byte: unlike a Gearman connection it has no reason to wait.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from geartrain.server.connection import Connection
from geartrain.server.http_peer import HttpPeer

if TYPE_CHECKING:
    from geartrain.server.server import JobServer

# How long a refused peer may go on sending, in seconds. Closing while it does would reset the
# connection, and the peer would lose the response that says why.
LINGER = 5.0


class HttpConnection(Connection):
    """A connection that speaks HTTP."""

    __slots__ = ("lingering",)

    peer: HttpPeer

    def __init__(self, server: JobServer) -> None:
        super().__init__(server)
        self.lingering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # There is one response and nothing after it, so whatever waits is left unread.
        self.transport.set_write_buffer_limits(high=0)
        self.note_partial(0)

    def enter(self, session: int, descriptor: int, address: bytes, local: bool) -> None:
        server = self.server
        self.peer = HttpPeer(session, descriptor, address, local, server.settings.max_packet)
        server.exchange.enter(server.clock(), self.peer)

    def data_received(self, data: bytes) -> None:
        server = self.server
        peer = self.peer
        peer.receive(server.clock(), server.exchange, data)
        if peer.asked or peer.closing:
            self.partial_since = 0.0
        server.schedule_pass()

    def pending_size(self) -> int:
        reader = self.peer.reader
        return reader.head_size + len(reader.pending)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lingering is not None:
            self.lingering.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self.note_stalled()

    def resume_writing(self) -> None:
        self.stalled_since = 0.0

    def end(self) -> None:
        """Close; a peer that was refused in the middle of its request gets time to read why."""
        if not self.peer.fault:
            super().end()
        elif self.lingering is None:
            self.transport.write_eof()
            self.lingering = self.server.loop.call_later(LINGER, self.drop, self.peer.fault)
