"""Whatever is asked of a job, any server answers, whichever has the job."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from geartrain.broker.policy import Policy
from geartrain.client.admin import AdminClient
from geartrain.errors import ServerError
from geartrain.server import elsewhere
from tests.cluster.conftest import SharedServer
from tests.cluster.fake import FakeDatabase
from tests.cluster.test_servers import end_lease, submit, submit_foreground, take_over, worker
from tests.server.peer import (
    GET_STATUS,
    NOOP,
    PRE_SLEEP,
    STATUS_RES,
    SUBMIT_JOB,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    Peer,
)
from tests.server.servers import eventually

Start = Callable[..., SharedServer]
KEEPING = [Policy(b"f", retention=600.0)]


def inquire(peer: Peer, handle: bytes) -> bytes:
    """Ask for a job's result, and return the inquiry's handle."""
    return peer.submit(SUBMIT_JOB, b"geartrain:result", b"", handle)


def inquired(server: SharedServer, handle: bytes) -> None:
    """Wait until a server knows that somebody inquires about its job."""
    broker = server.server.exchange.broker
    eventually(lambda: server.call(lambda: handle in broker.inquiries), "it has been asked")


# Results.


def test_the_result_of_a_job_at_another_server_is_waited_for(start: Start) -> None:
    first, second = start("one"), start("two")
    handle = submit(first.peer(), b"f", b"")
    asker, twin, runner = second.peer(), second.peer(), worker(first)
    waiting, also = inquire(asker, handle), inquire(twin, handle)
    assert runner.grab() == handle
    inquired(first, handle)
    runner.send(WORK_COMPLETE, handle, b"done")
    asker.expect(WORK_COMPLETE, waiting, b"done")
    twin.expect(WORK_COMPLETE, also, b"done")


@pytest.mark.parametrize("kind", [WORK_COMPLETE, WORK_FAIL])
def test_the_result_of_a_job_that_has_ended_at_another_server_is_told(
    start: Start, kind: int
) -> None:
    first, second = start("one", policies=KEEPING), start("two")
    handle = submit(first.peer(), b"f", b"")
    runner = worker(first)
    assert runner.grab() == handle
    said = (b"done",) if kind == WORK_COMPLETE else ()
    runner.send(kind, handle, *said)
    runner.echo()
    asker = second.peer()
    asker.expect(kind, inquire(asker, handle), *said)


def test_a_result_in_parts_comes_in_parts(start: Start) -> None:
    first, second = start("one", policies=KEEPING), start("two")
    handle = submit(first.peer(), b"f", b"")
    asker, runner = second.peer(), worker(first)
    waiting = inquire(asker, handle)
    inquired(first, handle)
    assert runner.grab() == handle
    for part in (b"a", b"", b"b"):
        runner.send(WORK_DATA, handle, part)
    runner.send(WORK_COMPLETE, handle, b"end")
    for part in (b"a", b"", b"b"):
        asker.expect(WORK_DATA, waiting, part)
    asker.expect(WORK_COMPLETE, waiting, b"end")


def test_an_inquiry_outlives_the_server_that_had_the_job(
    start: Start, database: FakeDatabase
) -> None:
    first, second, third = (start(name, lease=30.0) for name in ("one", "two", "three"))
    handle = submit(first.peer(), b"f", b"")
    asker = second.peer()
    waiting = inquire(asker, handle)
    inquired(first, handle)
    first.shared.faults.refuse = True
    first.stop()
    end_lease(database, 1)
    third.look()
    eventually(lambda: database.servers[1].taken_by == 3, "another has taken over")
    inquired(third, handle)
    runner = worker(third)
    assert runner.grab() == handle
    runner.send(WORK_COMPLETE, handle, b"done elsewhere")
    asker.expect(WORK_COMPLETE, waiting, b"done elsewhere")


def test_an_inquiry_waits_for_a_job_that_is_taken_over_and_ends_at_once(
    start: Start, database: FakeDatabase
) -> None:
    first, second = start("one", lease=30.0), start("two", lease=30.0)
    handle = submit(first.peer(), b"f", b"")
    asker, runner = second.peer(), worker(second)
    waiting = inquire(asker, handle)
    inquired(first, handle)
    runner.send(PRE_SLEEP)
    runner.echo()
    first.shared.faults.refuse = True
    first.stop()
    end_lease(database, 1)
    second.look()
    runner.expect(NOOP)
    assert runner.grab() == handle
    runner.send(WORK_COMPLETE, handle, b"done at once")
    asker.expect(WORK_COMPLETE, waiting, b"done at once")


def test_a_server_that_has_a_job_and_can_not_be_reached_is_named_as_the_reason(
    start: Start, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "_LONGEST", 0.2)
    first, second = start("one", lease=30.0), start("two", lease=0.2)
    handle = submit(first.peer(), b"f", b"")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        database.servers[1].address = f"127.0.0.1:{nobody.getsockname()[1]}"
        asker = second.peer()
        asker.send(26, b"exceptions")
        asker.receive()
        waiting = inquire(asker, handle)
        reason = b"the server that may have the job does not answer"
        asker.expect(WORK_EXCEPTION, waiting, reason)
        with AdminClient(second.shared.address) as admin:
            with pytest.raises(ServerError, match="does not answer"):
                admin.show_job(handle.decode())
            with pytest.raises(ServerError, match="does not answer"):
                admin.cancel_job(handle.decode())


def test_what_is_kept_of_a_job_is_told_although_its_server_can_not_be_reached(
    start: Start, database: FakeDatabase
) -> None:
    first, second = start("one", lease=30.0, policies=KEEPING), start("two", lease=30.0)
    handle = submit(first.peer(), b"f", b"")
    runner = worker(first)
    assert runner.grab() == handle
    runner.send(WORK_COMPLETE, handle, b"done")
    eventually(lambda: handle in database.results, "the result is kept")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        database.servers[1].address = f"127.0.0.1:{nobody.getsockname()[1]}"
        asker = second.peer()
        asker.expect(WORK_COMPLETE, inquire(asker, handle), b"done")
        with AdminClient(second.shared.address) as admin:
            assert admin.show_job(handle.decode())["state"] == "completed"


def test_who_inquires_and_leaves_costs_nothing(start: Start) -> None:
    # The job may end before the second inquiry has come to its server, where the first still is.
    first, second = start("one", policies=KEEPING), start("two")
    handle = submit(first.peer(), b"f", b"")
    with second.peer() as asker:
        inquire(asker, handle)
    jobs = second.server.exchange.broker.jobs
    eventually(lambda: second.call(lambda: len(jobs)) == 0, "it has left")
    runner, asker = worker(first), second.peer()
    waiting = inquire(asker, handle)
    assert runner.grab() == handle
    runner.send(WORK_COMPLETE, handle, b"done")
    asker.expect(WORK_COMPLETE, waiting, b"done")


def test_a_job_that_nobody_knows_has_no_result(start: Start) -> None:
    start("one")
    asker = start("two").peer()
    asker.expect(WORK_FAIL, inquire(asker, b"H:nobody:1"))


# What a job is, and to cancel it.


@pytest.fixture
def admin(start: Start) -> Iterator[tuple[SharedServer, AdminClient]]:
    """A server, and an administrator at another one."""
    first, second = start("one"), start("two")
    with AdminClient(second.shared.address) as admin:
        yield first, admin


def test_a_job_at_another_server_is_shown(admin: tuple[SharedServer, AdminClient]) -> None:
    first, other = admin
    handle = submit(first.peer(), b"f", b"key")
    facts = other.show_job(handle.decode())
    assert (facts["function"], facts["unique"], facts["state"]) == ("f", "key", "waiting")
    assert worker(first).grab() == handle
    assert other.show_job(handle.decode())["state"] == "running"
    with pytest.raises(ServerError, match="UNKNOWN_JOB"):
        other.show_job("H:nobody:1")


def test_a_job_at_another_server_is_cancelled(admin: tuple[SharedServer, AdminClient]) -> None:
    first, other = admin
    handle = submit(first.peer(), b"f", b"key")
    waiter = first.peer()
    assert submit_foreground(waiter, b"key") == handle
    other.cancel_job(handle.decode())
    waiter.expect(WORK_FAIL, handle)
    for name in (handle.decode(), "H:nobody:1"):
        with pytest.raises(ServerError, match="UNKNOWN_JOB"):
            other.cancel_job(name)


# Jobs that are not where their handle says.


def test_a_foreground_job_that_stayed_with_a_server_that_joined_again_is_known_elsewhere(
    start: Start, database: FakeDatabase
) -> None:
    """Its handle is one of a server that was taken over; a background submission joins it."""
    first = start("one", lease=30.0)
    client, joiner = first.peer(), first.peer()
    joiner.echo()
    handle = submit_foreground(client, b"key")
    take_over(database)
    second, third = start("two", lease=30.0), start("three", lease=30.0)
    with first.shared.database.lock:
        assert database.servers[1].taken_by == 2
    with first.cluster.committer.changed:
        first.cluster.lease.sent -= 60.0
        first.cluster.committer.changed.notify()
    eventually(lambda: first.cluster.generation > 3, "it has joined again")
    assert submit(joiner, b"f", b"key") == handle
    for server in (second, third):
        asker = server.peer()
        asker.send(GET_STATUS, handle)
        asker.expect(STATUS_RES, handle, b"1", b"0", b"0", b"0")
    asker = third.peer()
    waiting = inquire(asker, handle)
    inquired(first, handle)
    runner = worker(first)
    assert runner.grab() == handle
    runner.send(WORK_COMPLETE, handle, b"done")
    client.expect(WORK_COMPLETE, handle, b"done")
    asker.expect(WORK_COMPLETE, waiting, b"done")


def test_a_server_that_takes_jobs_over_is_waited_for(start: Start, database: FakeDatabase) -> None:
    """The database says that they are its own before it has read them."""
    first = start("one", lease=30.0)
    handle = submit(first.peer(), b"f", b"")
    second, third = start("two", lease=30.0), start("three", lease=30.0)
    asker, own = third.peer(), second.peer()
    asker.echo()
    own.echo()
    found, read_on = threading.Event(), threading.Event()
    adopt = second.shared.adopt

    def slowly() -> object:
        adoptions = adopt()
        if adoptions:
            found.set()
            assert read_on.wait(10)
        return adoptions

    second.shared.adopt = slowly  # type: ignore[method-assign,assignment]
    first.shared.faults.refuse = True
    end_lease(database, 1)
    second.look()
    assert found.wait(10)
    for peer in (asker, own):
        peer.send(GET_STATUS, handle)
    asker.expect(STATUS_RES, handle, b"1", b"0", b"0", b"0")
    read_on.set()
    own.expect(STATUS_RES, handle, b"1", b"0", b"0", b"0")
