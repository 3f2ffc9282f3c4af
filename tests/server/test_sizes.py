"""Large packets, long lines, many names: what each may cost."""

from __future__ import annotations

import itertools
import os
import select
import threading
import time
from collections.abc import Callable

import pytest

from geartrain.broker.broker import MAX_ABILITIES, MAX_IDLE_FUNCTIONS
from tests.server.bystander import UNDISTURBED, Bystander
from tests.server.peer import (
    CAN_DO,
    CANT_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GET_STATUS_UNIQUE,
    GRAB_JOB,
    JOB_ASSIGN,
    STATUS_RES_UNIQUE,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
    request,
)
from tests.server.servers import ProcessServer, eventually

StartProcess = Callable[..., ProcessServer]

MIB = 1 << 20


def header(kind: int, size: int) -> bytes:
    return request(kind)[:8] + size.to_bytes(4, "big")


# Packets.


@pytest.mark.parametrize("size", [2**32 - 1, 2**31, (512 << 20) + 1])
def test_a_packet_that_is_too_large_is_refused_before_it_costs_anything(
    server_process: ProcessServer, size: int
) -> None:
    bystander = server_process.peer()
    bystander.echo()
    peer = server_process.peer()
    peer.echo()
    resident, virtual = server_process.resident(), server_process.virtual()
    peer.send_bytes(header(SUBMIT_JOB, size) + b"x")
    kind, text = peer.receive()
    assert kind == ERROR
    assert text.startswith(b"ARGUMENT_TOO_LARGE\0")
    peer.expect_end()
    assert server_process.resident() - resident < MIB
    assert server_process.virtual() - virtual < 16 * MIB
    bystander.echo()


def test_the_header_of_a_large_packet_reserves_nothing(server_process: ProcessServer) -> None:
    peers = [server_process.peer() for _ in range(10)]
    for peer in peers:
        peer.echo()
    resident, virtual = server_process.resident(), server_process.virtual()
    for peer in peers:
        peer.send_bytes(header(SUBMIT_JOB, 512 << 20) + b"f\0\0x")
    server_process.peer().echo()
    assert server_process.resident() - resident < MIB
    assert server_process.virtual() - virtual < 16 * MIB


def test_a_large_workload_and_its_result_come_through_whole(
    server_process: ProcessServer,
) -> None:
    """Both of 64 MiB; the server has to keep the one while the other arrives."""
    client, worker = server_process.peer(deadline=20), server_process.peer(deadline=20)
    worker.send(CAN_DO, b"f")
    worker.echo()
    before = server_process.resident()
    workload = os.urandom(MIB) * 64
    handle = client.submit(SUBMIT_JOB, b"f", b"", workload)
    assert server_process.peak() - before < 1.5 * len(workload)
    worker.send(GRAB_JOB)
    worker.expect(JOB_ASSIGN, handle, b"f", workload)
    with Bystander(server_process.address, pid=server_process.pid) as bystander:
        worker.send(WORK_COMPLETE, handle, workload)
        client.expect(WORK_COMPLETE, handle, workload)
    assert server_process.peak() - before < 2.5 * len(workload)
    assert bystander.slowest() < UNDISTURBED
    eventually(lambda: server_process.resident() - before < 16 * MIB, "it is given back", 5.0)


# Lines.


@pytest.mark.parametrize("size", [64 << 10, 10 * MIB])
def test_a_line_without_an_end_ends_the_connection(
    server_process: ProcessServer, size: int
) -> None:
    peer = server_process.peer()
    peer.echo()
    before = server_process.resident()
    sender = threading.Thread(target=send_if_taken, args=(peer, b"x" * size))
    sender.start()
    assert peer.expect_closed() == b""
    sender.join()
    assert server_process.resident() - before < MIB


def send_if_taken(peer: Peer, data: bytes) -> None:
    try:
        peer.send_bytes(data)
    except ConnectionError:
        return


# Names.


def submit_all(peer: Peer, submissions: list[bytes]) -> None:
    """Submit jobs, many at a time, and take the answers."""
    for start in range(0, len(submissions), 1000):
        batch = submissions[start : start + 1000]
        peer.send_bytes(b"".join(batch))
        for _ in batch:
            peer.receive()


def test_a_hundred_thousand_functions_with_a_job_each(server_process: ProcessServer) -> None:
    peer = server_process.peer()
    peer.echo()
    before = server_process.resident()
    names = [b"function-%d" % number for number in range(100_000)]
    with Bystander(server_process.address, pid=server_process.pid) as bystander:
        submit_all(peer, [request(SUBMIT_JOB_BG, name, b"", b"") for name in names])
    assert bystander.slowest() < UNDISTURBED
    assert (server_process.resident() - before) / len(names) < 4096
    asked = time.monotonic()
    assert peer.ask(b"status").count(b"\t1\t0\t0\n") == len(names)
    assert time.monotonic() - asked < 1.0


def test_names_without_jobs_are_forgotten(server_process: ProcessServer) -> None:
    """A client that leaves takes its jobs with it; the names they invented must not stay."""
    peer = server_process.peer()
    peer.echo()
    before = server_process.resident()
    for start in range(0, 100_000, 10_000):
        with Peer(server_process.address) as inventor:
            names = [b"function-%d" % number for number in range(start, start + 10_000)]
            submit_all(inventor, [request(SUBMIT_JOB, name, b"", b"") for name in names])
    eventually(lambda: peer.ask(b"show jobs") == b"", "all have left")
    assert peer.ask(b"status").count(b"\n") <= 2 * MAX_IDLE_FUNCTIONS
    assert server_process.resident() - before < 100 * MIB


def test_a_worker_may_announce_thousands_of_functions_and_not_any_number(
    server_process: ProcessServer,
) -> None:
    worker = server_process.peer()
    names = [b"function-%d" % number for number in range(MAX_ABILITIES + 1)]
    with Bystander(server_process.address, pid=server_process.pid) as bystander:
        worker.send_bytes(b"".join(request(CAN_DO, name) for name in names))
        text = b"Too many functions on one connection"
        worker.expect(ERROR, b"ARGUMENT_TOO_LARGE", text)
        worker.echo()
        client = server_process.peer()
        client.submit(SUBMIT_JOB_BG, names[MAX_ABILITIES // 2])
        assert worker.grab() != b""
        for name in names:
            worker.send(CANT_DO, name)
        worker.echo()
    assert bystander.slowest() < UNDISTURBED


@pytest.mark.parametrize("kind", [CAN_DO, SUBMIT_JOB_BG])
def test_a_name_has_at_most_eight_kibibytes(server_process: ProcessServer, kind: int) -> None:
    peer = server_process.peer()
    rest = [b"", b""] if kind == SUBMIT_JOB_BG else []
    peer.send(kind, b"f" * 8192, *rest)
    peer.send(kind, b"f" * 8193, *rest)
    if kind == SUBMIT_JOB_BG:
        peer.receive()
    peer.expect(ERROR, b"ARGUMENT_TOO_LARGE", b"Function name is longer than 8192 bytes")
    names = [line.partition(b"\t")[0] for line in peer.ask(b"status").splitlines()]
    assert names == [b"f" * 8192]


# Names and keys, each in its own right, as clients of all kinds invent them.
STRANGE = [
    b"' OR 'a'='a",
    b"\\'",
    b'";--',
    b"../../etc/passwd",
    b"\t\n\r",
    b"%s%n",
    "\u202eevil".encode(),
    b"\xff\xfe\xfd",
    b"$(reboot)",
    b"a b",
    b"<script>",
]


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
def test_strange_names_come_back_as_they_were(
    start_process: StartProcess, store: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if store == "sqlite":
        store = f"sqlite:///{tmp_path_factory.mktemp('store')}/queue.db"
    server = start_process(store=store)
    client, worker, bystander = (server.peer() for _ in range(3))
    for strange in STRANGE:
        handle = client.submit(SUBMIT_JOB_BG, strange, strange, strange)
        assert client.submit(SUBMIT_JOB_BG, strange, strange, b"joined") == handle
        worker.send(CAN_DO, strange)
        worker.send(30)
        worker.expect(31, handle, strange, strange, strange)
        worker.send(WORK_COMPLETE, handle, strange)
        bystander.echo(strange)
    assert client.ask(b"show jobs") == b""


def test_keys_made_to_collide_cost_no_more_than_others(server_process: ProcessServer) -> None:
    """The blocks have the same DJB hash, and so have all their sequences."""
    count = 1 << 14
    colliding = [b"".join(blocks) for blocks in itertools.product((b"Ez", b"FY"), repeat=14)]
    others = [os.urandom(14).hex().encode() for _ in range(count)]
    costs = []
    for function, keys in ((b"warm", others), (b"other", others), (b"colliding", colliding)):
        peer = server_process.peer()
        used = server_process.cpu()
        submit_all(peer, [request(SUBMIT_JOB_BG, function, key, b"") for key in keys])
        costs.append(server_process.cpu() - used)
    assert costs[2] < 2 * costs[1] + 0.05


# Turns.


def test_a_question_that_looks_at_every_function_waits_its_turn(
    server_process: ProcessServer,
) -> None:
    peer = server_process.peer()
    names = [b"function-%d" % number for number in range(10_000)]
    submit_all(peer, [request(SUBMIT_JOB_BG, name, b"", b"") for name in names])
    with Bystander(server_process.address, pid=server_process.pid) as bystander:
        peer.send_bytes(request(GET_STATUS_UNIQUE, b"nobody's") * 2000)
        for _ in range(2000):
            peer.expect(STATUS_RES_UNIQUE, b"nobody's", b"0", b"0", b"0", b"0", b"0")
    assert bystander.slowest() < UNDISTURBED


@pytest.mark.parametrize(
    "said",
    [
        request(ECHO_REQ),
        request(4),
        request(9),
        request(SUBMIT_JOB, b"f", b"u", b""),
        b"version\n",
        b"\n",
        request(43),
    ],
)
def test_a_flood_of_small_requests_holds_nobody_up(
    server_process: ProcessServer, said: bytes
) -> None:
    data = said * (200_000 // len(said))
    over = threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        while not over.is_set():
            with Peer(server_process.address) as peer:
                peer.socket.setblocking(False)
                while not over.is_set():
                    readable, writable, _ = select.select([peer.socket], [peer.socket], [], 0.1)
                    try:
                        if writable:
                            sent += peer.socket.send(memoryview(data)[sent % len(said) :])
                        if readable and not peer.socket.recv(1 << 20):
                            break
                    except ConnectionError:
                        break

    thread = threading.Thread(target=flood)
    with Bystander(server_process.address, pid=server_process.pid) as bystander:
        thread.start()
        eventually(lambda: len(bystander.times) >= 60, "others are answered", 8.0)
        over.set()
        thread.join()
    assert sent > 5 * len(data) or server_process.error_text().count("closing") > 1
    assert bystander.slowest() < UNDISTURBED


def test_echoes_of_all_sizes_come_back(server_process: ProcessServer) -> None:
    peer = server_process.peer()
    for size in (0, 1, 100, 32 << 10, 100_000, 256 << 10, (256 << 10) + 1, 3 * MIB):
        text = os.urandom(size)
        peer.send(ECHO_REQ, text)
        peer.expect(ECHO_RES, text)
