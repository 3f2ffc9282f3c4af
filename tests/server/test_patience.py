"""Peers that begin and don't go on, and peers that have nothing to say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from geartrain.server import server as server_module
from tests.server.peer import CAN_DO, ECHO_REQ, PRE_SLEEP, SUBMIT_JOB, Peer, request
from tests.server.servers import ThreadServer, eventually

StartServer = Callable[..., ThreadServer]

ECHO = request(ECHO_REQ, b"some text")


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server look after its connections twenty times a second."""
    monkeypatch.setattr(server_module, "WATCH_INTERVAL", 0.05)


@pytest.mark.parametrize(
    "begun",
    [
        b"\0",
        ECHO[:11],
        ECHO[:12],
        ECHO[:-1],
        b"status",
        ECHO + ECHO[:5],
        request(ECHO_REQ, b"x" * 100_000)[:50_000],
    ],
)
def test_a_request_that_is_not_finished_in_time_ends_the_connection(
    start_server: StartServer, begun: bytes
) -> None:
    server = start_server(partial_timeout=0.2)
    peer = server.peer()
    peer.send_bytes(begun)
    assert peer.expect_closed() in (b"", b"\0RES" + ECHO[4:7] + b"\x11" + ECHO[8:])


def test_five_hundred_half_open_peers_end_and_others_do_not_notice(
    start_server: StartServer,
) -> None:
    server = start_server(partial_timeout=0.3)
    bystander = server.peer()
    peers = [server.peer() for _ in range(500)]
    for peer in peers:
        peer.send_bytes(ECHO[:7])
    assert bystander.echo() < 1.0
    for peer in peers:
        peer.expect_end()
    bystander.echo()
    assert len(server.server.connections) == 1
    # Nobody is left to look after, so nobody is looked after.
    eventually(lambda: server.server.watching is None, "it sleeps")


def test_peers_that_are_silent_between_packets_are_kept(start_server: StartServer) -> None:
    """A worker may sleep for days, a client may wait as long."""
    server = start_server(partial_timeout=0.1, stalled_timeout=0.1)
    worker, client, silent = (server.peer() for _ in range(3))
    worker.send_bytes(request(CAN_DO, b"other") + request(PRE_SLEEP))
    client.submit(SUBMIT_JOB, b"f")
    # One whose request was in pieces, too: it is complete now.
    silent.send_bytes(ECHO[:7])
    eventually(lambda: bool(server.call(lambda: set(server.server.watched))), "it is watched")
    silent.send_bytes(ECHO[7:])
    silent.receive()
    with Peer(server.address) as half_open:
        half_open.send_bytes(b"\0")
        half_open.expect_end()
    for peer in (worker, client, silent):
        peer.echo()


def test_a_request_may_take_longer_than_the_time_out_while_it_grows(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "WATCH_INTERVAL", 60.0)
    server = start_server()
    peer = server.peer()
    data = request(ECHO_REQ, b"x" * 100_000)
    step = 10_000
    for end in range(step, len(data), step):
        peer.send_bytes(data[end - step : end])
        eventually(lambda end=end: server.call(pending, server) == end, "it has arrived")
        if end > step:
            server.call(server.server.look_after)
        server.call(age, server)
    assert len(server.server.connections) == 1
    server.call(server.server.look_after)
    peer.expect_end()


def pending(server: ThreadServer) -> int:
    """Return how much of its request the only connection has sent."""
    (connection,) = server.server.connections.values()
    return connection.pending_size()


def age(server: ThreadServer) -> None:
    """Let what the server watches have begun long ago."""
    for connection in server.server.watched:
        connection.partial_since -= 1000.0


def test_the_system_clock_drops_nobody(start_server: StartServer) -> None:
    """Set forward by a day, it makes no request a day old."""
    server = start_server(partial_timeout=60.0)
    peer = server.peer()
    peer.send_bytes(ECHO[:7])
    eventually(lambda: bool(server.call(lambda: set(server.server.watched))), "it is watched")
    clock = server.server.clock
    server.server.clock = lambda: clock() + 86_400.0
    server.call(server.server.look_after)
    peer.send_bytes(ECHO[7:])
    assert peer.receive() == (17, b"some text")
