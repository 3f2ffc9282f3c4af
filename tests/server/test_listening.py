"""Addresses: TCP, IPv6, unix sockets, sockets that systemd hands over."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geartrain.errors import UsageError
from geartrain.server import listener
from geartrain.server.listener import bind_unix, close_listener, open_listeners, parse_listen
from geartrain.server.server import JobServer
from geartrain.store.memory import MemoryStore
from tests.server.peer import Peer, dial
from tests.server.servers import (
    EndedAtOnce,
    ProcessServer,
    ThreadServer,
    eventually,
    settings_for_tests,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4731", ("127.0.0.1", 4731)),
        ("127.0.0.1", ("127.0.0.1", 4730)),
        ("localhost:0", ("localhost", 0)),
        (":4731", ("", 4731)),
        ("*:4731", ("", 4731)),
        ("*", ("", 4730)),
        ("[::1]:4731", ("::1", 4731)),
        ("[::1]", ("::1", 4730)),
        ("::1", ("::1", 4730)),
        ("[::]:4731", ("::", 4731)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize(
    "text", ["", "host:", "host:port", "host:65536", "host:-1", "[::1", "[::1]4730", "host:\xb2"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_listen(text)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64 + ".com", "a\0b", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_told_so_in_one_line(host: str) -> None:
    with pytest.raises(UsageError, match="can't listen on ") as raised:
        open_listeners([f"{host}:0"], 1)
    assert "\n" not in str(raised.value)


# TCP.


def test_ipv6_is_served_and_named_without_blanks(
    start_server: Callable[..., ThreadServer],
) -> None:
    server = start_server(listen=["[::1]:0"])
    peer = server.peer()
    peer.echo()
    assert peer.ask(b"workers").split()[1:] == [b"::1", b"-", b":"]


def test_a_server_listens_on_several_addresses(start_server: Callable[..., ThreadServer]) -> None:
    server = start_server(listen=["127.0.0.1:0", "[::1]:0"])
    for address in server.addresses:
        with Peer(address[:2]) as peer:
            peer.echo()


def test_all_addresses_of_both_families_get_the_same_port(
    start_server: Callable[..., ThreadServer],
) -> None:
    server = start_server(listen=["*:0"])
    assert {address[0] for address in server.addresses} == {"0.0.0.0", "::"}
    [port] = {address[1] for address in server.addresses}
    for host in ("127.0.0.1", "::1"):
        with Peer((host, port)) as peer:
            peer.echo()


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


def test_a_busy_port_is_told_in_one_line_and_nothing_stays_bound(
    busy_port: int, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    with pytest.raises(UsageError) as raised:
        open_listeners([f"unix:{path}", f"127.0.0.1:{busy_port}"], 1)
    assert str(raised.value) == (
        f"can't listen on 127.0.0.1:{busy_port}: the port is in use; "
        "stop the server that has it, or choose another port"
    )
    assert not path.exists()


def test_a_process_on_a_busy_port_ends_with_one_line(busy_port: int, tmp_path: Path) -> None:
    with pytest.raises(EndedAtOnce) as ended:
        ProcessServer(tmp_path, listen=[f"127.0.0.1:{busy_port}"])
    assert ended.value.code == 2
    assert ended.value.text == (
        f"geartrain: can't listen on 127.0.0.1:{busy_port}: the port is in use; "
        "stop the server that has it, or choose another port\n"
    )


def test_a_port_that_was_taken_after_it_was_bound_is_told_in_one_line() -> None:
    """Two servers that start at the same moment may both have bound it."""
    first, second = (JobServer(settings_for_tests(), MemoryStore()) for _ in range(2))
    first.bind()
    host, port = first.listeners[0].getsockname()
    second.settings.listen = [f"{host}:{port}"]
    second.bind()
    second.open()
    first.listeners[0].listen(1)
    with pytest.raises(UsageError, match=f"can't listen on {host}:{port}: the port is in use"):
        asyncio.run(second.start())
    assert second.listeners == []
    first.stop_accepting()


# Unix sockets.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


def test_a_unix_socket_is_served_and_its_file_goes_with_the_server(
    start_server: Callable[..., ThreadServer], path: Path
) -> None:
    server = start_server(listen=[f"unix:{path}"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    peer = server.peer()
    peer.echo()
    assert peer.ask(b"workers").split()[1:] == [b"-", b"-", b":"]
    server.stop()
    assert not path.exists()


def test_a_socket_that_a_dead_server_left_is_replaced(
    start_server: Callable[..., ThreadServer], path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    start_server(listen=[f"unix:{path}"]).peer().echo()


def test_a_socket_of_a_living_server_is_refused(
    start_server: Callable[..., ThreadServer], path: Path
) -> None:
    server = start_server(listen=[f"unix:{path}"])
    with pytest.raises(UsageError, match="another program has it"):
        bind_unix(str(path))
    server.peer().echo()


def test_a_socket_of_a_server_too_busy_to_accept_is_refused(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        with dial(str(path)), pytest.raises(UsageError, match="another program has it"):
            bind_unix(str(path))
    assert path.is_socket()


def test_a_socket_of_another_kind_is_refused(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(path))
        with pytest.raises(UsageError, match="another program has it"):
            bind_unix(str(path))
    assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_any_other_file_is_kept(path: Path, kind: str) -> None:
    if kind == "file":
        path.write_text("keep me")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(path.parent / "elsewhere")
    before = path.lstat()
    with pytest.raises(UsageError, match="there is a file of that name"):
        bind_unix(str(path))
    assert path.lstat() == before


def test_a_socket_that_another_server_bound_since_is_kept(path: Path) -> None:
    ours = bind_unix(str(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        close_listener(ours)
        assert path.is_socket()


@pytest.mark.parametrize("name", ["", "x" * 200, "no/such/directory", "a\0b"])
def test_a_path_that_can_not_be_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="unix:") as raised:
        bind_unix(str(tmp_path / name) if name else "")
    assert "\n" not in str(raised.value)


# Sockets of the service manager.


def test_sockets_that_systemd_hands_over_are_served_and_left(
    start_process: Callable[..., ProcessServer], path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        server = start_process(handed_over=[tcp.fileno(), unix.fileno()])
        assert server.address == tcp.getsockname()
        for address in (tcp.getsockname(), str(path)):
            with Peer(address) as peer:
                peer.echo()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        # The next server gets the same socket, and who connects meanwhile waits for it.
        assert path.is_socket()
        with dial(str(path)):
            pass


def test_descriptors_for_another_process_are_not_taken(
    start_server: Callable[..., ThreadServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    server = start_server()
    server.peer().echo()
    assert os.environ["LISTEN_FDS"] == "1"


@pytest.mark.parametrize("count", ["many", "-1", "1"])
def test_what_is_handed_over_wrongly_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, count: str
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setattr(listener, "_FIRST_HANDED_OVER", 1 << 20)
    with pytest.raises(UsageError, match=r"LISTEN_FDS is|is no socket") as raised:
        open_listeners(["127.0.0.1:0"], 1)
    assert "\n" not in str(raised.value)


# Who may come in.


@pytest.mark.parametrize(
    ("address", "warned"),
    [("127.0.0.1:0", False), ("[::1]:0", False), ("0.0.0.0:0", True), ("*:0", True)],
)
def test_an_address_that_other_machines_reach_is_warned_of(
    start_server: Callable[..., ThreadServer],
    caplog: pytest.LogCaptureFixture,
    address: str,
    warned: bool,
) -> None:
    start_server(listen=[address])
    assert ("open to other machines" in caplog.text) == warned


@pytest.mark.parametrize("event_loop", ["", "asyncio"])
def test_peers_that_are_gone_before_they_are_accepted_leave_no_trace(
    start_process: Callable[..., ProcessServer], event_loop: str
) -> None:
    server = start_process(event_loop=event_loop)
    descriptors = server.descriptors()
    for _ in range(200):
        Peer(server.address).reset()
    peer = server.peer()
    peer.echo()
    eventually(lambda: server.descriptors() == descriptors + 1, "all of them are closed")
    assert peer.ask(b"workers").count(b"\n") == 1
    assert server.error_text() == ""
