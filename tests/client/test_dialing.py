from __future__ import annotations

import asyncio
import socket
import time

import pytest

from geartrain.client.address import Address
from geartrain.client.dialing import dial, explain
from geartrain.client.dialing_aio import dial_protocol
from geartrain.client.keepalive import Keepalive


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address_of(listening: socket.socket) -> Address:
    return Address(*listening.getsockname())


def assert_tuned(connection: socket.socket) -> None:
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4


def test_dialled_socket_is_tuned_and_blocking(listener):
    with dial(address_of(listener)) as connection:
        assert_tuned(connection)
        assert connection.gettimeout() is None


async def dial_on_loop(address: Address, keepalive: Keepalive | None = None) -> socket.socket:
    transport, _ = await dial_protocol(address, asyncio.Protocol, keepalive=keepalive)
    try:
        return socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno()))
    finally:
        transport.close()
        await asyncio.sleep(0)


def test_socket_dialled_on_the_event_loop_is_tuned(listener):
    with asyncio.run(dial_on_loop(address_of(listener), Keepalive())) as connection:
        assert_tuned(connection)


def test_keepalive_can_be_left_out(listener):
    with dial(address_of(listener), keepalive=None) as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_unix_socket_is_dialled_by_path(tmp_path):
    path = str(tmp_path / "gearman.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with dial(Address("", 0, path)) as connection:
            assert connection.family == socket.AF_UNIX
        with asyncio.run(dial_on_loop(Address("", 0, path))) as connection:
            assert connection.family == socket.AF_UNIX


def closed_port() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return address_of(listening)


def test_refused_connection_is_told_in_words():
    with pytest.raises(OSError, match="refused") as caught:
        dial(closed_port())
    assert explain(caught.value) == "connection refused"


def test_name_is_resolved_at_each_attempt_and_each_address_tried(listener, monkeypatch):
    host, port = listener.getsockname()
    asked = []

    def resolve(name, port_asked, **_):
        asked.append(name)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (host, closed_port().port)), (*kind, (host, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for _ in range(2):
        dial(Address("queue.example")).close()
    assert asked == ["queue.example", "queue.example"]


def test_server_that_accepts_nothing_costs_the_timeout_and_no_more(full_listener):
    started = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        dial(full_listener, timeout=0.2)
    # It is five seconds by default.
    assert 0.1 < time.monotonic() - started < 4
    assert explain(caught.value) == "timed out"
    with pytest.raises(TimeoutError):
        asyncio.run(dial_protocol(full_listener, asyncio.Protocol, timeout=0.2))
