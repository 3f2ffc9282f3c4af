"""
The asyncio shell of one connection. No rules, only order.

What arrives goes to the exchange at once. What the exchange wants written is
written by ``flush``, once per pass of the event loop.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from geartrain.server.exchange import PacketPeer, Peer
    from geartrain.server.server import JobServer


# Bytes of a list that are made before the peer reads them. With the limit for results, a hundred
# peers that ask for a list and leave would take gigabytes.
LISTED_AHEAD = 256 * 1024


class Connection(asyncio.Protocol):
    """One accepted connection, whatever protocol it speaks."""

    __slots__ = (
        "ending",
        "large",
        "partial_since",
        "partial_size",
        "peer",
        "server",
        "stalled_since",
        "stalled_size",
        "transport",
    )

    peer: Peer
    transport: asyncio.Transport

    def __init__(self, server: JobServer) -> None:
        self.server = server
        # The peer has said all it has to say; what it still waits for is on its way.
        self.ending = False
        # Megabytes have waited for it, or been left out.
        self.large = False
        # Since when a request is incomplete, and how much of it was there then.
        self.partial_since = 0.0
        self.partial_size = 0
        # Since when the peer leaves its results unread, and how much of them was there then;
        # 0 when it reads.
        self.stalled_since = 0.0
        self.stalled_size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        address = b"-"
        local = True
        if raw.family != socket.AF_UNIX:
            # A peer that is gone already has no name any more; its end is about to be noticed.
            host = (transport.get_extra_info("peername") or ["-"])[0]
            address = host.encode()
            local = host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")
            self.server.keep_alive(raw)
        self.transport.set_write_buffer_limits(high=self.server.settings.output_limit)
        self.server.connected(self, raw.fileno(), address, local)

    def enter(self, session: int, descriptor: int, address: bytes, local: bool) -> None:
        """Become one of the exchange's peers."""
        raise NotImplementedError

    def pending_size(self) -> int:
        """Return how many bytes of an incomplete request are here."""
        raise NotImplementedError

    def note_partial(self, size: int) -> None:
        """Have the server look after a request of which only so many bytes are here."""
        self.partial_since = self.server.loop.time()
        self.partial_size = size
        self.server.watch(self)

    def eof_received(self) -> bool:
        """Close, but for a peer that sent all it wanted and still waits for the disk."""
        self.flush()
        if self.server.exchange.owes(self.peer.session):
            self.ending = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.disconnected(self)

    def note_stalled(self) -> None:
        """Have the server look after what the peer leaves unread."""
        self.large = True
        self.stalled_since = self.server.loop.time()
        self.stalled_size = self.transport.get_write_buffer_size()
        self.server.watch(self)

    def flush(self) -> None:
        """Write what the exchange has for this connection."""
        transport = self.transport
        peer = self.peer
        outbox = peer.outbox
        chunks = outbox.take()
        if transport.is_closing():
            return
        if outbox.overrun:
            self.large = True
            self.drop("it does not read what it asked for")
            return
        if self.stalled_since and chunks and self.is_over_limit():
            self.drop("it does not read what it asked for")
            return
        if self.stalled_since:
            # What it reads from now on shows beside what comes on top.
            self.stalled_size += sum(map(len, chunks))
        if len(chunks) == 1:
            transport.write(chunks[0])
        elif chunks:
            transport.writelines(chunks)
        if (peer.closing or self.ending) and not self.server.exchange.owes(peer.session):
            self.end()

    def end(self) -> None:
        """Close, once what was written is sent."""
        if self.peer.fault:
            self.server.peer_log.note("closing %s: %s", self.name(), self.peer.fault)
        self.transport.close()

    def is_over_limit(self) -> bool:
        """Return whether more waits for the peer than may."""
        return self.transport.get_write_buffer_size() > self.server.settings.output_limit

    def drop(self, reason: str) -> None:
        """End the connection at once."""
        self.server.peer_log.note("dropping %s: %s", self.name(), reason)
        self.transport.abort()

    def name(self) -> str:
        """Return what the log calls this connection."""
        return f"{self.peer.address.decode()} (descriptor {self.peer.descriptor})"


class PacketConnection(Connection):
    """A connection that speaks the Gearman protocol."""

    __slots__ = ("going_on", "listing")

    peer: PacketPeer

    def __init__(self, server: JobServer) -> None:
        super().__init__(server)
        # ``go_on`` is to be called soon.
        self.going_on = False
        # A list is under way, so little of it is kept here ahead of its reader.
        self.listing = False

    def enter(self, session: int, descriptor: int, address: bytes, local: bool) -> None:
        server = self.server
        self.peer = server.exchange.connect(server.clock(), session, descriptor, address, local)

    def data_received(self, data: bytes) -> None:
        server = self.server
        peer = self.peer
        server.exchange.receive(server.clock(), peer, data)
        pending = peer.reader.unfinished()
        if not pending:
            self.partial_since = 0.0
        elif not self.partial_since or pending <= len(data):
            # All of what is pending came just now: earlier packets have been completed.
            self.note_partial(pending)
        if not server.pass_scheduled:
            server.schedule_pass()
        if peer.is_busy():
            self.transport.pause_reading()
            self.go_on_soon()

    def pending_size(self) -> int:
        return self.peer.reader.unfinished()

    def flush(self) -> None:
        # Not by super(), which is looked up for as long as all of this takes.
        Connection.flush(self)
        peer = self.peer
        if peer.is_busy():
            self.go_on_soon()
        if (peer.listing is not None) != self.listing and not self.transport.is_closing():
            self.listing = not self.listing
            ahead = LISTED_AHEAD if self.listing else self.server.settings.output_limit
            self.transport.set_write_buffer_limits(high=ahead)

    def go_on_soon(self) -> None:
        """Have packets taken that wait, after the others have had their turn."""
        if not self.going_on:
            self.going_on = True
            self.server.loop.call_soon(self.go_on)

    def go_on(self) -> None:
        """Take packets that wait; listen again when there are none left."""
        self.going_on = False
        server = self.server
        peer = self.peer
        if self.transport.is_closing() or self.stalled_since:
            return
        if server.exchange.go_on(server.clock(), peer):
            server.schedule_pass()
            if peer.is_busy():
                self.go_on_soon()
            else:
                self.listen_again()

    def pause_writing(self) -> None:
        """The peer does not read: stop listening to it, so that it can't ask for more."""
        self.note_stalled()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.stalled_since = 0.0
        if self.transport.is_closing():
            return
        if self.peer.is_busy():
            self.go_on_soon()
        else:
            self.listen_again()

    def listen_again(self) -> None:
        """Go on reading. That a request made no progress meanwhile was not the peer's fault."""
        if not self.ending:
            self.transport.resume_reading()
        if self.partial_since:
            self.note_partial(self.pending_size())
