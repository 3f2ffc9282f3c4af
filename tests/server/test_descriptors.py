"""Descriptors run out, and connections come in floods."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.server.bystander import UNDISTURBED, Bystander
from tests.server.peer import CAN_DO, SUBMIT_JOB, WORK_COMPLETE, Peer
from tests.server.servers import ProcessServer, eventually

StartProcess = Callable[..., ProcessServer]
Connect = Callable[[ProcessServer, int], list[socket.socket]]

NOFILE = 60


@pytest.fixture
def connect_many() -> Iterator[Callable[[ProcessServer, int], list[socket.socket]]]:
    """Opens connections as fast as the kernel takes them, none waited for."""
    opened: list[socket.socket] = []

    def connect(server: ProcessServer, count: int) -> list[socket.socket]:
        connections = [socket.socket() for _ in range(count)]
        opened.extend(connections)
        for one in connections:
            one.setblocking(False)
            one.connect_ex(server.address)
        return connections

    yield connect
    for one in opened:
        one.close()


def is_refused(connection: socket.socket) -> bool:
    """Wait for the server's word, and return whether it is the end."""
    connection.settimeout(10)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def a_second_beside(server: ProcessServer, client: Peer) -> tuple[float, float]:
    """Return how long a bystander's answers took at most, and the server's share of a core."""
    started, used = time.monotonic(), server.cpu()
    with Bystander(server.address, client, server.pid) as bystander:
        eventually(lambda: time.monotonic() > started + 1.0, "a second has passed", 5.0)
    return bystander.slowest(), (server.cpu() - used) / (time.monotonic() - started)


def is_served(address: tuple[str, int]) -> bool:
    """Return whether a newcomer gets an answer."""
    try:
        with Peer(address) as late:
            late.echo()
    except (ConnectionError, EOFError):
        return False
    return True


@pytest.mark.parametrize("event_loop", ["", "asyncio"])
def test_without_descriptors_the_server_serves_whom_it_has(
    start_process: StartProcess, connect_many: Connect, event_loop: str
) -> None:
    server = start_process(nofile=NOFILE, event_loop=event_loop)
    client = server.peer()
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    many = connect_many(server, NOFILE + 20)
    eventually(lambda: server.descriptors() >= NOFILE - 2, "descriptors have run out")
    # A server that spins or stalls does so all the time, a busy machine only for a while.
    slowest, share = zip(*[a_second_beside(server, client) for _ in range(3)], strict=True)
    assert min(slowest) < UNDISTURBED
    # What the bystander costs is not the point, and little: it asks 500 times a second at most.
    assert min(share) < 0.25
    handle = client.submit(SUBMIT_JOB, b"f")
    assert worker.grab() == handle
    worker.send(WORK_COMPLETE, handle, b"result")
    client.expect(WORK_COMPLETE, handle, b"result")
    for one in many:
        one.close()
    # One that comes before the server has heard of the departures may still be refused.
    eventually(lambda: is_served(server.address), "newcomers are served again", 1.5)


def test_idle_without_descriptors_costs_nothing(
    start_process: StartProcess, connect_many: Connect
) -> None:
    server = start_process(nofile=NOFILE)
    connect_many(server, NOFILE + 20)
    eventually(lambda: server.descriptors() >= NOFILE - 2, "descriptors have run out")
    started, used = time.monotonic(), server.cpu()
    eventually(lambda: time.monotonic() > started + 1.0, "a second has passed", 2.0)
    assert server.cpu() - used < 0.1


def test_without_descriptors_newcomers_are_refused_and_not_left_waiting(
    start_process: StartProcess, connect_many: Connect
) -> None:
    server = start_process(nofile=NOFILE)
    first = [server.peer() for _ in range(10)]
    for peer in first:
        peer.echo()
    many = connect_many(server, NOFILE)
    eventually(lambda: server.descriptors() >= NOFILE - 2, "descriptors have run out")
    assert is_refused(many[-1])
    for peer in first:
        peer.echo()
    full = server.descriptors()
    many[0].close()
    eventually(lambda: server.descriptors() < full, "one is free", 1.0)
    eventually(lambda: is_served(server.address), "newcomers are served again", 1.0)


def test_two_thousand_connections_at_once_are_all_served(start_process: StartProcess) -> None:
    server = start_process()
    bystander = server.peer()
    bystander.echo()
    started = time.monotonic()
    peers = [server.peer() for _ in range(2000)]
    for peer in peers:
        peer.send(16, b"here")
    for peer in peers:
        peer.expect(17, b"here")
    assert time.monotonic() - started < 5.0
    assert bystander.echo() < 1.0


def test_a_backlog_of_two_thousand_is_served_after_a_pause(
    start_process: StartProcess, connect_many: Connect
) -> None:
    """While the server stands still the kernel takes as many connections as there is backlog."""
    server = start_process()
    server.peer().echo()
    server.signal(signal.SIGSTOP)
    many = connect_many(server, 2000)
    for one in many:
        one.settimeout(10)
        # Connected means that the kernel has taken it; it would not answer otherwise.
        assert one.getpeername() == server.address
        one.sendall(b"version\n")
    server.signal(signal.SIGCONT)
    for one in many:
        assert one.recv(100).startswith(b"OK ")


def test_idle_connections_cost_little(start_process: StartProcess) -> None:
    server = start_process()
    server.peer().echo()
    before = server.resident()
    peers = [server.peer() for _ in range(2000)]
    peers[-1].echo()
    eventually(lambda: server.descriptors() > 2000, "all are accepted")
    assert (server.resident() - before) / len(peers) < 6 * 1024
    started, used = time.monotonic(), server.cpu()
    eventually(lambda: time.monotonic() > started + 0.5, "half a second has passed", 2.0)
    assert server.cpu() - used < 0.02
