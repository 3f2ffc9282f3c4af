"""
The exchange alone: bytes in, bytes out, with no socket, clock or disk.
"""

from __future__ import annotations

from typing import Any

from geartrain.broker.broker import Broker
from geartrain.server.exchange import Exchange, PacketPeer
from geartrain.server.replies import OUTPUT_LIMIT
from geartrain.server.text_commands import TextCommands

# An exchange's largest packet here: room for large workloads, and soon exceeded.
MAX_PACKET = 1 << 20


class Stage:
    """
    An exchange with any number of connections, each entered when it first says something.

    Args:
        allow_shutdown: Whether ``shutdown`` is obeyed.
        output_limit: What a session may be sent in one pass, in bytes.
        broker: Arguments of the broker, but for its handles, which are ``H:lap:1`` and so on.

    """

    def __init__(
        self, allow_shutdown: bool = True, output_limit: int = OUTPUT_LIMIT, **broker: Any
    ) -> None:
        self.exchange = Exchange(
            Broker(b"H:lap", **broker),
            TextCommands(b"1.2.3", 4711, b"INFO"),
            MAX_PACKET,
            allow_shutdown,
            output_limit,
        )
        self.now = 1000.0
        self.peers: dict[int, PacketPeer] = {}

    def peer(self, session: int, local: bool = True) -> PacketPeer:
        if session not in self.peers:
            address = b"127.0.0.1" if local else b"192.0.2.7"
            peer = self.exchange.connect(self.now, session, 30 + session, address, local)
            self.peers[session] = peer
        return self.peers[session]

    def say(self, session: int, *pieces: bytes) -> bytes:
        """Let a session send something, and return what it is sent."""
        peer = self.peer(session)
        for piece in pieces:
            self.exchange.receive(self.now, peer, piece)
        return self.hear(session)

    def hear(self, session: int) -> bytes:
        """Return what a session was sent since the last time."""
        peer = self.peer(session)
        heard = peer.outbox.take()
        while peer.is_busy() and self.exchange.go_on(self.now, peer):
            heard += peer.outbox.take()
        return b"".join(heard)

    def leave(self, session: int) -> None:
        self.exchange.disconnect(self.now, session)
        del self.peers[session]

    def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
        self.exchange.tick(self.now)

    def commit(self) -> None:
        """Let the store keep what it was given."""
        jobs = self.exchange.take_batch().adds
        self.exchange.persisted(self.now, jobs)

    def refuse(self, reason: bytes) -> None:
        """Let the store fail with what it was given."""
        jobs = self.exchange.take_batch().adds
        self.exchange.persist_failed(self.now, jobs, reason)

    def is_closing(self, session: int) -> bool:
        return self.peer(session).closing
