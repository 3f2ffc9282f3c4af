"""Peers that ask and never read: bounded, dropped in time, and given back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.server.bystander import UNDISTURBED, Bystander
from tests.server.peer import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    WORK_DATA,
    Peer,
    request,
)
from tests.server.servers import ProcessServer, eventually

StartProcess = Callable[..., ProcessServer]

MIB = 1 << 20


def flood(peer: Peer, data: bytes, limit: int) -> int:
    """
    Send data again and again until the server takes no more; return how much it took.

    The server may take no more because it has closed the connection.
    """
    peer.socket.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        while sent < limit:
            sent += peer.socket.send(memoryview(data)[sent % len(data) :])
    peer.socket.settimeout(peer.deadline)
    return sent


def test_a_flood_of_echoes_is_not_read_for_ever(start_process: StartProcess) -> None:
    server = start_process(stalled_timeout=1.0)
    server.peer().echo()
    before = server.resident()
    flooder = server.peer()
    with Bystander(server.address, pid=server.pid) as bystander:
        taken = flood(flooder, request(ECHO_REQ, b"x" * MIB) * 4, 1000 * MIB)
        assert taken < 100 * MIB
        assert server.resident() - before < 64 * MIB
        eventually(lambda: "has not read for too long" in server.error_text(), "it is dropped")
        eventually(lambda: server.resident() - before < 32 * MIB, "memory is given back", 5.0)
    assert bystander.slowest() < UNDISTURBED


def test_results_for_a_client_that_does_not_read_are_bounded(start_process: StartProcess) -> None:
    server = start_process()
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    worker.echo()
    before = server.resident()
    client = server.peer()
    client.send_bytes(request(SUBMIT_JOB, b"f", b"", b"") * 200)
    eventually(lambda: worker.ask(b"status") == b"f\t200\t0\t1\n", "all jobs are there")
    with Bystander(server.address, pid=server.pid) as bystander:
        done = 0
        while handle := worker.grab():
            worker.send(WORK_COMPLETE, handle, b"r" * MIB)
            worker.echo()
            done += 1
            assert server.resident() - before < 64 * MIB, done
    # Its other jobs went with it: nobody waits for them any more.
    assert 32 <= done < 200
    assert "it does not read what it asked for" in server.error_text()
    assert server.peer().ask(b"status") == b"f\t0\t0\t1\n"
    eventually(lambda: server.resident() - before < 32 * MIB, "memory is given back", 5.0)
    assert bystander.slowest() < UNDISTURBED


@pytest.mark.parametrize("kind", [WORK_DATA, WORK_COMPLETE])
def test_one_result_for_a_client_that_joined_thousands_of_times_is_bounded(
    start_process: StartProcess, kind: int
) -> None:
    server = start_process()
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    client = server.peer()
    for _ in range(20):
        client.send_bytes(request(SUBMIT_JOB, b"f", b"key", b"") * 1000)
        handles = {client.receive() for _ in range(1000)}
        assert len(handles) == 1
    handle = worker.grab()
    before = server.resident()
    worker.send(kind, handle, b"r" * 31_000)
    worker.echo()
    assert server.peak() - before < 100 * MIB
    eventually(lambda: "it does not read what it asked for" in server.error_text(), "dropped")


def test_a_few_bytes_that_ask_for_much_are_answered_bit_by_bit(
    start_process: StartProcess,
) -> None:
    """Thirty thousand lists of a thousand functions are a gigabyte."""
    server = start_process()
    admin = server.peer()
    names = [b"a-function-of-some-name-%d" % number for number in range(1000)]
    admin.send_bytes(b"".join(b"create function %b\r\n" % name for name in names))
    assert admin.take(4 * 1000) == b"OK\r\n" * 1000
    before = server.resident()
    with Bystander(server.address, pid=server.pid) as bystander:
        admin.send_bytes(b"status\n" * 30_000)
        lists = b"".join(b"%b\t0\t0\t0\n" % name for name in names) + b".\n"
        for _ in range(20):
            admin.expect_bytes(lists)
        eventually(lambda: len(bystander.times) > 100, "others are answered")
    assert bystander.slowest() < UNDISTURBED
    assert server.resident() - before < 64 * MIB


def test_a_peer_that_reads_after_all_gets_everything(start_process: StartProcess) -> None:
    server = start_process()
    peer = server.peer()
    said = request(ECHO_REQ, b"x" * MIB)
    sent = flood(peer, said, 200 * MIB)
    whole, rest = divmod(sent, len(said))
    for _ in range(whole):
        peer.expect(ECHO_RES, b"x" * MIB)
    peer.send_bytes(said[rest:])
    peer.expect(ECHO_RES, b"x" * MIB)


def test_what_waits_for_the_store_is_bounded(
    start_process: StartProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("store")
    server = start_process(store=f"sqlite:///{directory}/queue.db")
    peer = server.peer()
    peer.echo()
    before = server.resident()
    submission = request(SUBMIT_JOB_BG, b"f", b"", b"x" * 10)
    sent = flood(peer, submission * 500 + request(ECHO_REQ, b"x" * 100_000) * 20, 200 * MIB)
    assert sent < 200 * MIB
    assert server.peak() - before < 128 * MIB
    peer.close()
    eventually(lambda: server.resident() - before < 32 * MIB, "memory is given back", 5.0)
