"""Whatever a peer sends, it is the only one that notices."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.server.bystander import UNDISTURBED, Bystander
from tests.server.fuzz import Fuzz
from tests.server.mutation import Mutator
from tests.server.peer import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    SUBMIT_JOB,
    WORK_COMPLETE,
    request,
)
from tests.server.servers import ProcessServer, ThreadServer

MIB = 1 << 20


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
def test_broken_inputs_end_nothing_but_their_connection(
    start_process: Callable[..., ProcessServer],
    store: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The long form is ``python -m tests.server.fuzz``; it prints its seed."""
    count = 30_000
    if store == "sqlite":
        count = 6_000
        store = f"sqlite:///{tmp_path_factory.mktemp('store')}/queue.db"
    # A line may well become the one that asks the server to end.
    server = start_process(store=store, allow_shutdown=False)
    worker, client = server.peer(), server.peer()
    worker.send(CAN_DO, b"a function of their own")
    handle = client.submit(SUBMIT_JOB, b"a function of their own")
    assert worker.grab() == handle
    fuzz = Fuzz(server.address, seed=20_260)
    server.peers.append(fuzz.admin)
    fuzz.round(spare=handle)
    before = server.resident()
    with Bystander(server.address, pid=server.pid) as bystander:
        while fuzz.count < count:
            fuzz.round(spare=handle)
    assert bystander.slowest() < UNDISTURBED
    assert server.resident() - before < 32 * MIB
    assert "Traceback" not in server.error_text()
    assert "ERROR" not in server.error_text()
    # Ten lines a second are enough to know.
    assert server.error_text().count("\n") < 500
    worker.send(WORK_COMPLETE, handle, b"untouched")
    client.expect(WORK_COMPLETE, handle, b"untouched")


def test_the_same_seed_makes_the_same_inputs() -> None:
    first, second = Mutator(7), Mutator(7)
    assert [first.input() for _ in range(1000)] == [second.input() for _ in range(1000)]


@pytest.mark.parametrize("kind", [0, 43, 2**31, 2**32 - 1])
@pytest.mark.parametrize("size", [0, 5])
def test_a_type_that_nobody_defined_ends_that_connection_only(
    job_server: ThreadServer, kind: int, size: int
) -> None:
    bystander, peer = job_server.peer(), job_server.peer()
    peer.send(kind, b"x" * size)
    peer.expect_end()
    bystander.echo()


def test_a_short_packet_is_told_so_and_does_not_eat_the_next(job_server: ThreadServer) -> None:
    peer = job_server.peer()
    peer.send_bytes(request(ECHO_REQ, b"before") + request(SUBMIT_JOB, b"f") + request(ECHO_REQ))
    peer.expect(ECHO_RES, b"before")
    text = b"SUBMIT_JOB does not carry the arguments of its type"
    peer.expect(ERROR, b"INVALID_PACKET", text)
    peer.expect_end()


def test_the_reason_arrives_although_the_peer_goes_on_sending(job_server: ThreadServer) -> None:
    peer = job_server.peer()
    header = request(ECHO_REQ)[:8] + (2**32 - 1).to_bytes(4, "big")
    with contextlib.suppress(ConnectionError):
        peer.send_bytes(header + b"x" * 100_000)
    kind, text = peer.receive()
    assert (kind, text[:18]) == (ERROR, b"ARGUMENT_TOO_LARGE")
