"""Whoever makes progress, however slowly, is not taken for one that hangs."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.server.peer import ECHO_REQ, ECHO_RES, request
from tests.server.servers import ThreadServer, eventually

ECHO = request(ECHO_REQ, b"some text")
LONG_AGO = 1000.0


def age(server: ThreadServer) -> None:
    """Let what the server watches have begun long ago."""
    for connection in server.server.watched:
        if connection.partial_since:
            connection.partial_since -= LONG_AGO
        if connection.stalled_since:
            connection.stalled_since -= LONG_AGO


def look_after(server: ThreadServer) -> int:
    """Have the server look after its connections now, and return how many are left."""
    if server.server.watching is not None:
        server.server.watching.cancel()
    server.server.look_after()
    return len(server.server.connections)


def unread(server: ThreadServer) -> int:
    """Return how much waits for the only connection."""
    (connection,) = server.server.connections.values()
    return connection.transport.get_write_buffer_size() if connection.stalled_since else 0


def test_a_peer_whose_packets_are_cut_anywhere_is_kept(job_server: ThreadServer) -> None:
    peer = job_server.peer()
    peer.send_bytes(ECHO[:10])
    eventually(lambda: job_server.call(lambda: len(job_server.server.watched)) == 1, "watched")
    job_server.call(age, job_server)
    # One packet is complete, another one has begun.
    peer.send_bytes(ECHO[10:] + ECHO[:11])
    peer.expect(ECHO_RES, b"some text")
    assert job_server.call(look_after, job_server) == 1
    peer.send_bytes(ECHO[11:])
    peer.expect(ECHO_RES, b"some text")


def test_a_peer_that_adds_a_byte_now_and_then_is_dropped(job_server: ThreadServer) -> None:
    peer = job_server.peer()
    peer.send_bytes(ECHO[:10])
    eventually(lambda: job_server.call(lambda: len(job_server.server.watched)) == 1, "watched")
    job_server.call(age, job_server)
    peer.send_bytes(ECHO[10:11])
    (connection,) = job_server.server.connections.values()
    eventually(lambda: job_server.call(connection.pending_size) == 11, "the byte is there")
    job_server.call(look_after, job_server)
    peer.expect_end()


def test_a_peer_that_reads_slowly_is_kept_until_it_stops(
    start_server: Callable[..., ThreadServer],
) -> None:
    server = start_server(output_limit=65536)
    peer = server.peer()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    text = b"x" * (16 << 20)
    peer.send(ECHO_REQ, text)
    eventually(lambda: server.call(unread, server) > 0, "it does not read")
    before = server.call(unread, server)
    server.call(age, server)
    assert len(peer.take(4 << 20)) == 4 << 20
    eventually(lambda: server.call(unread, server) < before - (1 << 20), "it reads")
    assert server.call(look_after, server) == 1
    server.call(age, server)
    server.call(look_after, server)
    eventually(lambda: not server.server.connections, "it is gone")
