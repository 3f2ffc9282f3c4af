"""
What a job server says to a script, written down so that two servers can be compared.

A script is a list of steps, each one thing that one connection sends: a packet, ``(session, kind,
*arguments)``, or a line, ``(session, line)``. ``<1>`` in it stands for the handle of the first job
that was created, ``<2>`` for the second one. After each step every connection is asked for an echo,
so that nothing that the step brought about is still on its way.
"""

from __future__ import annotations

import re
from typing import Any

from tests.server.peer import ECHO_REQ, ECHO_RES, JOB_CREATED, Address, Peer, request
from tests.server.servers import eventually

Step = tuple[Any, ...]
# What one connection was sent after a step: packets and lines, or ``CLOSED``.
Heard = list[Any]

CLOSED = "closed"
_MARK = b"[mark]"
_LISTS = (b"status", b"prioritystatus", b"workers", b"show")


class Transcript:
    """
    Plays scripts against one server.

    Args:
        address: Where it listens.

    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.peers: dict[str, Peer] = {}
        self.handles: list[bytes] = []

    def play(self, script: list[Step]) -> list[dict[str, Heard]]:
        """Return what each connection heard after each step; who heard nothing is left out."""
        try:
            return [self.step(*step) for step in script]
        finally:
            for peer in self.peers.values():
                peer.close()

    def step(self, session: str, *said: Any) -> dict[str, Heard]:
        if session not in self.peers:
            self.peers[session] = Peer(self.address)
        if said == ("leaves",):
            self.leave(session)
        elif isinstance(said[0], bytes):
            self.peers[session].send_bytes(self.with_handles(said[0]))
        else:
            args = [self.with_handles(arg) for arg in said[1:]]
            self.peers[session].send_bytes(request(said[0], *args))
        # Whoever spoke is asked first: then the step has been carried out when others are.
        order = sorted(self.peers, key=lambda name: name != session)
        heard = {name: self.hear(name) for name in order}
        return {name: what for name, what in heard.items() if what}

    def leave(self, session: str) -> None:
        """Close a connection and wait until the server has noticed."""
        with Peer(self.address) as witness:
            before = witness.ask(b"workers").count(b"\n")
            self.peers.pop(session).close()
            eventually(lambda: witness.ask(b"workers").count(b"\n") < before, "it has left")

    def hear(self, name: str) -> Heard:
        """Return what a connection was sent since the last step."""
        peer = self.peers[name]
        heard: Heard = []
        try:
            peer.send(ECHO_REQ, _MARK)
            while (next_one := self.receive(peer)) != (ECHO_RES, _MARK):
                heard.append(next_one)
        except (ConnectionError, EOFError):
            heard.append(CLOSED)
            self.peers.pop(name).close()
        return heard

    def receive(self, peer: Peer) -> Any:
        """Return the next packet or line, with handles replaced."""
        first = peer.take(1)
        peer.received[:0] = first
        if first != b"\0":
            return self.without_handles(peer.line())
        kind, body = peer.receive()
        if kind == JOB_CREATED and body not in self.handles:
            self.handles.append(body)
        return kind, self.without_handles(body)

    def with_handles(self, text: bytes) -> bytes:
        return re.sub(rb"<(\d+)>", lambda match: self.handles[int(match[1]) - 1], text)

    def without_handles(self, text: bytes) -> bytes:
        # Longest first: H:vm:1 is the start of H:vm:10.
        for handle in sorted(self.handles, key=len, reverse=True):
            text = text.replace(handle, b"<%d>" % (self.handles.index(handle) + 1))
        return text


def in_any_order(heard: Heard) -> Heard:
    """
    Return what was heard with the lines of each list sorted and descriptors left out.

    gearmand lists functions and jobs in the order of its hash tables, connections by thread.
    """
    ordered: Heard = []
    lines: list[bytes] = []
    for one in heard:
        if not isinstance(one, bytes):
            ordered.append(one)
        elif one == b".\n":
            ordered += [*sorted(lines), one]
            lines = []
        else:
            lines.append(re.sub(rb"^\d+ (127\.0\.0\.1 )", rb"FD \1", one))
    return ordered + lines
