"""Servers that share a store: who has a job, who may end it, who is told what."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from geartrain.broker.policy import Policy
from geartrain.cli.cluster import cluster, state_of
from geartrain.client.admin import AdminClient
from geartrain.errors import StoreUnavailable
from tests.cluster.conftest import SharedServer
from tests.cluster.fake import FakeDatabase
from tests.server.peer import (
    CAN_DO,
    ERROR,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    GRAB_JOB,
    JOB_ASSIGN,
    NOOP,
    OPTION_REQ,
    OPTION_RES,
    PRE_SLEEP,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
)
from tests.server.servers import ThreadServer, eventually

Start = Callable[..., SharedServer]
UNKNOWN = (b"0", b"0", b"0", b"0")


def submit(peer: Peer, function: bytes, unique: bytes, workload: bytes = b"") -> bytes:
    """Submit a background job and return its handle."""
    return peer.submit(SUBMIT_JOB_BG, function, unique, workload)


def submit_foreground(peer: Peer, unique: bytes = b"") -> bytes:
    """Submit a job in the foreground and return its handle."""
    return peer.submit(SUBMIT_JOB, b"f", unique)


def refusal(peer: Peer) -> bytes:
    """Take an ERROR and return what it says."""
    kind, body = peer.receive()
    assert kind == ERROR, (kind, body)
    assert body.startswith(b"QUEUE_ERROR\0")
    return body


def worker(server: SharedServer, function: bytes = b"f") -> Peer:
    peer = server.peer()
    peer.send(CAN_DO, function)
    return peer


def take_over(database: FakeDatabase) -> None:
    """Let all leases end that are not renewed from here on."""
    database.clock.ahead += 60.0


def end_lease(database: FakeDatabase, generation: int) -> None:
    """Let the lease of one server end now."""
    with database.lock:
        database.servers[generation].ends = database.clock() - 1.0


def is_gone(database: FakeDatabase, generation: int) -> bool:
    return database.servers[generation].taken_by > 0


# Taking over.


def test_jobs_of_a_server_that_is_gone_run_at_another(start: Start, database: FakeDatabase) -> None:
    first, second = start("one", lease=30.0), start("two", lease=30.0)
    client = first.peer()
    handles = [submit(client, b"f", unique) for unique in (b"", b"key", b"")]
    sleeper = worker(second)
    sleeper.send(PRE_SLEEP)
    # It dies: nothing more comes from it.
    first.shared.faults.refuse = True
    end_lease(database, 1)
    second.look()
    sleeper.expect(NOOP)
    assert [sleeper.grab() for _ in handles] == handles
    for handle in handles:
        sleeper.send(WORK_COMPLETE, handle, b"")
    eventually(lambda: not database.jobs, "they have ended")
    assert database.takeovers == [(1, 2)]


def test_what_a_server_leaves_in_good_order_is_taken_over_at_once(
    start: Start, database: FakeDatabase
) -> None:
    first, second = start("one", lease=30.0), start("two", lease=30.0)
    handle = submit(first.peer(), b"f", b"")
    first.stop()
    second.look()
    peer = worker(second)
    eventually(lambda: peer.grab() == handle, "it has the job")


def test_a_server_that_starts_takes_over_what_is_left(start: Start, database: FakeDatabase) -> None:
    first = start("one")
    handle = submit(first.peer(), b"f", b"key", b"workload")
    first.shared.faults.refuse = True
    take_over(database)
    second = start("two")
    assert worker(second).grab() == handle
    other = second.peer()
    assert submit(other, b"f", b"key") == handle


# A lease in doubt.


def stop_for(server: SharedServer, seconds: float) -> None:
    """Let a server be as it is after it was stopped for so long: nothing heard, nothing renewed."""
    server.shared.faults.gate.clear()
    server.sleep(seconds)


def test_a_server_that_was_stopped_assigns_and_ends_nothing_until_it_knows(
    start: Start, database: FakeDatabase
) -> None:
    server = start("one", lease=30.0)
    client, holder, other = server.peer(), worker(server), worker(server)
    held, waiting = submit(client, b"f", b""), submit(client, b"f", b"")
    assert holder.grab() == held
    stop_for(server, 60.0)
    assert other.grab() == b""
    holder.send(WORK_COMPLETE, held, b"")
    # It serves everybody else, and what only clients wait for.
    client.echo()
    client.send(GET_STATUS, held)
    client.expect(STATUS_RES, held, b"1", b"1", b"0", b"0")
    foreground = submit_foreground(client)
    assert other.grab() == foreground
    other.send(WORK_COMPLETE, foreground, b"done")
    client.expect(WORK_COMPLETE, foreground, b"done")
    assert server.call(lambda: len(server.server.exchange.broker.jobs)) == 2
    # Nobody has taken over: it goes on as if nothing had happened.
    server.shared.faults.gate.set()
    eventually(lambda: len(database.jobs) == 1, "the job that was held has ended")
    assert other.grab() == waiting
    holder.echo()


def test_a_server_that_was_taken_over_drops_all_and_joins_again(
    start: Start, database: FakeDatabase
) -> None:
    server = start("one", lease=30.0)
    client, listener, holder, idle = server.peer(), server.peer(), worker(server), worker(server)
    held, waiting = submit(client, b"f", b"key"), submit(client, b"f", b"")
    assert submit_foreground(listener, b"key") == held
    assert holder.grab() == held
    stop_for(server, 60.0)
    take_over(database)
    second = start("two")
    holder.send(WORK_COMPLETE, held, b"from the past")
    server.shared.faults.gate.set()
    # Who has its jobs, or waits for them, hears no more of this server.
    holder.expect_end()
    listener.expect_end()
    assert sorted(job.handle for job in database.jobs.values()) == sorted([held, waiting])
    assert idle.grab() == b""
    # It is a new server, without a restart, and everybody else is still here.
    eventually(lambda: 3 in database.servers, "it has joined")
    eventually(lambda: not server.cluster.away, "it takes part")
    new = submit(client, b"f", b"")
    assert new.rpartition(b":")[0] not in (held.rpartition(b":")[0], waiting.rpartition(b":")[0])
    assert idle.grab() == new
    other = worker(second)
    assert {other.grab(), other.grab()} == {held, waiting}


def test_an_assignment_that_was_not_sent_when_the_server_was_stopped_is_not_sent(
    start: Start, database: FakeDatabase
) -> None:
    """It was decided, but the server stopped before it wrote to the socket."""
    server = start("one", lease=30.0)
    client, peer = server.peer(), worker(server)
    handle = submit(client, b"f", b"")
    peer.echo()

    def stopped_in_the_middle() -> None:
        (session,) = [
            number
            for number, known in server.server.exchange.broker.sessions.items()
            if known.abilities
        ]
        told = server.server.exchange.peers[session]
        packet = bytes.fromhex("00524551 00000009 00000000")
        server.server.exchange.receive(server.server.clock(), told, packet)
        stop_for(server, 60.0)
        server.server.finish_pass()

    server.call(stopped_in_the_middle)
    assert server.cluster.withheld
    client.echo()
    take_over(database)
    second = start("two")
    server.shared.faults.gate.set()
    peer.expect_end()
    assert worker(second).grab() == handle


def test_a_server_that_is_stopped_between_two_sockets_sends_nothing_to_the_second(
    start: Start, database: FakeDatabase
) -> None:
    server = start("one", lease=30.0)
    client, workers = server.peer(), [worker(server), worker(server)]
    for _ in workers:
        submit(client, b"f", b"")
    for peer in workers:
        peer.echo()
    exchange = server.server.exchange

    def stopped_after_the_first() -> None:
        grab = bytes.fromhex("00524551 00000009 00000000")
        able = [number for number, known in exchange.broker.sessions.items() if known.abilities]
        for session in able:
            exchange.receive(server.server.clock(), exchange.peers[session], grab)
        first = server.server.connections[able[0]]
        written = first.transport.write

        def stopped(data: bytes) -> None:
            written(data)
            stop_for(server, 60.0)

        first.transport = SimpleNamespace(
            write=stopped, is_closing=first.transport.is_closing, real=first.transport
        )
        server.server.finish_pass()
        first.transport = first.transport.real
        assert list(server.cluster.withheld) == able[1:]

    server.call(stopped_after_the_first)
    assert workers[0].receive()[0] == JOB_ASSIGN


def test_an_assignment_that_was_kept_back_is_sent_when_the_lease_is_renewed(
    start: Start, database: FakeDatabase
) -> None:
    server = start("one", lease=30.0)
    client, peer = server.peer(), worker(server)
    handle = submit(client, b"f", b"")
    peer.echo()

    def stopped_in_the_middle() -> None:
        for told in list(server.server.exchange.peers.values()):
            packet = bytes.fromhex("00524551 00000009 00000000")
            server.server.exchange.receive(server.server.clock(), told, packet)
        stop_for(server, 60.0)
        server.server.finish_pass()

    server.call(stopped_in_the_middle)
    client.receive()
    server.shared.faults.gate.set()
    kind, body = peer.receive()
    assert (kind, body.split(b"\0")[0]) == (JOB_ASSIGN, handle)


def test_submissions_that_wait_when_the_lease_is_lost_are_not_answered_wrongly(
    start: Start, database: FakeDatabase
) -> None:
    """Nobody knows whether they were stored, so the connection ends."""
    server = start("one", lease=30.0, store_timeout=60.0)
    client, foreground = server.peer(), server.peer()
    client.echo()
    stop_for(server, 60.0)
    client.send(SUBMIT_JOB_BG, b"f", b"", b"")
    client.send(SUBMIT_JOB_BG, b"f", b"key", b"")
    submit_foreground(foreground)
    take_over(database)
    start("two")
    server.shared.faults.gate.set()
    client.expect_end()
    assert database.jobs == {}
    foreground.echo()


def test_while_a_server_is_away_background_jobs_are_refused_and_others_run(
    start: Start, database: FakeDatabase
) -> None:
    server = start("one", lease=30.0)
    client, peer = server.peer(), worker(server)
    client.echo()
    stop_for(server, 60.0)
    take_over(database)
    start("two")
    server.shared.faults.gate.set()
    server.shared.faults.refuse = True
    handle = submit_foreground(client)
    assert peer.grab() == handle
    peer.send(WORK_COMPLETE, handle, b"")
    client.expect(WORK_COMPLETE, handle, b"")
    client.send(SUBMIT_JOB_BG, b"f", b"", b"")
    assert refusal(client)
    server.shared.faults.refuse = False
    eventually(lambda: not server.cluster.away and not server.cluster.in_doubt, "it takes part")
    assert submit(client, b"f", b"")


def test_a_store_that_is_away_for_longer_than_the_lease_and_comes_back_costs_nothing(
    start: Start, database: FakeDatabase
) -> None:
    server = start("one", lease=0.6)
    client, peer = server.peer(), worker(server)
    handle, waiting = submit(client, b"f", b""), submit(client, b"f", b"")
    assert peer.grab() == handle
    server.shared.faults.refuse = True
    eventually(lambda: server.call(server.cluster.look), "the lease is in doubt")
    peer.send(WORK_COMPLETE, handle, b"")
    peer.send(GRAB_JOB)
    client.send(SUBMIT_JOB_BG, b"f", b"", b"")
    assert refusal(client)
    server.shared.faults.refuse = False
    kind, body = peer.receive()
    assert (kind, body.split(b"\0")[0]) == (JOB_ASSIGN, waiting)
    eventually(lambda: len(database.jobs) == 1, "the first has ended")


def test_a_submission_that_may_have_been_stored_is_not_refused(
    start: Start, database: FakeDatabase
) -> None:
    """The commit got through, its answer did not; the connection ends, and that says nothing."""
    server = start("one", lease=30.0)
    client, other = server.peer(), server.peer()
    other.echo()
    server.shared.faults.lose_answers = True
    client.send(SUBMIT_JOB_BG, b"f", b"", b"")
    client.expect_end()
    assert len(database.jobs) == 1
    # It is taken out before anything else is stored.
    server.shared.faults.lose_answers = False
    handle = submit(other, b"f", b"")
    assert [job.handle for job in database.jobs.values()] == [handle]


def test_a_submission_that_takes_too_long_is_not_refused_either(start: Start) -> None:
    server = start("one", lease=30.0, store_timeout=0.1)
    client, late = server.peer(), server.peer()
    late.echo()
    # After the second question it has looked for servers that are gone, and has nothing to do.
    for _ in range(2):
        server.cluster.committer.ask(lambda _: None).result(10)
    server.shared.faults.gate.clear()
    client.send(SUBMIT_JOB_BG, b"f", b"", b"")
    eventually(lambda: bool(server.cluster.committer.commits.under_way), "it is under way")
    late.send(SUBMIT_JOB_BG, b"f", b"", b"")
    client.expect_end()
    # This one was never begun, so it may be refused.
    assert refusal(late)


def test_a_submission_that_waits_behind_a_renewal_is_refused_with_it(start: Start) -> None:
    server = start("a", lease=2.0)
    renewing, over = threading.Event(), threading.Event()

    def renew() -> None:
        renewing.set()
        assert over.wait(10)
        raise StoreUnavailable("nobody answers")

    server.shared.renew = renew  # type: ignore[method-assign]
    assert renewing.wait(10)
    server.shared.faults.gate.clear()
    client = server.peer()
    client.send(SUBMIT_JOB_BG, b"f", b"", b"1")
    eventually(server.cluster.committer.commits.has_news, "it has come in")
    over.set()
    # A commit of its own would take as long again, and then nobody knew what became of it.
    assert b"nobody answers" in refusal(client)


# Unique keys.


def test_a_submission_gets_the_handle_of_the_job_that_has_its_key_elsewhere(
    start: Start, database: FakeDatabase
) -> None:
    first, second = start("one"), start("two")
    handle = submit(first.peer(), b"f", b"key")
    client = second.peer()
    assert submit(client, b"f", b"key") == handle
    assert submit(client, b"g", b"key") != handle
    assert submit(client, b"f", b"-", b"same") == submit(first.peer(), b"f", b"-", b"same")
    assert worker(second).grab() not in (b"", handle)
    assert worker(second).grab() == b""
    assert worker(first).grab() == handle


def test_a_job_that_runs_is_not_joined_where_its_policy_says_so(
    start: Start, database: FakeDatabase
) -> None:
    """What is submitted after it began has to run, wherever that is."""
    policies = [Policy(b"f", queued_only=True)]
    first, second = start("one", policies=policies), start("two", policies=policies)
    client = first.peer()
    handle = submit(client, b"f", b"key")
    assert submit(client, b"f", b"key") == handle
    assert worker(first).grab() == handle
    again = submit(client, b"f", b"key")
    elsewhere = submit(second.peer(), b"f", b"key")
    assert len({handle, again, elsewhere}) == 3
    assert len(database.jobs) == 3


def test_who_saw_a_job_end_can_submit_it_again_anywhere(
    start: Start, database: FakeDatabase
) -> None:
    first, second = start("one", store_timeout=60.0), start("two")
    client, elsewhere, peer = first.peer(), second.peer(), worker(first)
    for _ in range(20):
        handle = submit(client, b"f", b"key")
        assert submit_foreground(client, b"key") == handle
        assert peer.grab() == handle
        peer.send(WORK_COMPLETE, handle, b"done")
        client.expect(WORK_COMPLETE, handle, b"done")
        again = submit(elsewhere, b"f", b"key")
        assert again != handle
        ender = worker(second)
        assert ender.grab() == again
        ender.send(WORK_COMPLETE, again, b"")
        eventually(lambda: not database.jobs, "it has ended")
        ender.close()


def test_an_end_is_told_when_the_store_has_it(start: Start, database: FakeDatabase) -> None:
    server = start("one", lease=30.0, store_timeout=60.0)
    client, other, peer = server.peer(), server.peer(), worker(server)
    handle = submit(client, b"f", b"key")
    assert submit_foreground(client, b"key") == handle
    assert peer.grab() == handle
    server.shared.faults.gate.clear()
    peer.send(WORK_COMPLETE, handle, b"done")
    assert peer.grab() == b""
    other.send(GET_STATUS, handle)
    other.expect(STATUS_RES, handle, b"1", b"1", b"0", b"0")
    server.shared.faults.gate.set()
    client.expect(WORK_COMPLETE, handle, b"done")
    other.send(GET_STATUS, handle)
    other.expect(STATUS_RES, handle, b"0", b"0", b"0", b"0")


# Status.


def test_the_status_of_a_job_is_told_by_any_server(start: Start) -> None:
    first, second = start("one"), start("two")
    client, asker, peer = first.peer(), second.peer(), worker(first)
    handle = submit(client, b"f", b"key")
    asker.send(GET_STATUS, handle)
    asker.expect(STATUS_RES, handle, b"1", b"0", b"0", b"0")
    assert peer.grab() == handle
    peer.send(12, handle, b"3", b"4")
    peer.echo()
    # Answers keep the order of the questions.
    asker.send(GET_STATUS, handle)
    asker.send(GET_STATUS_UNIQUE, b"key")
    asker.send(GET_STATUS, b"H:nobody:1")
    asker.send(GET_STATUS_UNIQUE, b"nokey")
    asker.expect(STATUS_RES, handle, b"1", b"1", b"3", b"4")
    asker.expect(STATUS_RES_UNIQUE, b"key", b"1", b"1", b"3", b"4", b"0")
    asker.expect(STATUS_RES, b"H:nobody:1", *UNKNOWN)
    asker.expect(STATUS_RES_UNIQUE, b"nokey", *UNKNOWN, b"0")
    asker.echo()


def test_a_server_that_does_not_answer_holds_up_who_asks_of_its_jobs_for_half_a_second(
    start: Start,
) -> None:
    first, second = start("one"), start("two")
    handle = submit(first.peer(), b"f", b"")
    asker, other = second.peer(), second.peer()
    asker.echo()
    other.echo()
    first.shared.database.servers[1].address = silent_address()
    asker.send(GET_STATUS, handle)
    assert other.echo() < 0.3
    asker.expect(STATUS_RES, handle, b"1", b"0", b"0", b"0")


def silent_address() -> str:
    """Return an address where connections are taken, and nothing is ever said."""
    import socket

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    SILENT.append(listener)
    return f"127.0.0.1:{listener.getsockname()[1]}"


SILENT: list[object] = []


@pytest.fixture(autouse=True)
def close_silent() -> object:
    yield
    while SILENT:
        SILENT.pop().close()


def test_where_the_store_does_not_answer_either_the_answer_is_an_error(start: Start) -> None:
    server = start("one", lease=30.0)
    peer = server.peer()
    peer.echo()
    server.shared.faults.refuse = True
    peer.send(GET_STATUS, b"H:two:1")
    peer.expect(ERROR, b"QUEUE_ERROR", b"the store does not answer")
    peer.send(GET_STATUS, server.server.handle_prefix + b":4711")
    peer.expect(STATUS_RES, server.server.handle_prefix + b":4711", *UNKNOWN)


def test_a_server_answers_another_one_from_its_own_memory(start: Start) -> None:
    first, second = start("one"), start("two")
    handle = submit(first.peer(), b"f", b"")
    peer = second.peer()
    peer.send(OPTION_REQ, b"local")
    peer.expect(OPTION_RES, b"local")
    peer.send(GET_STATUS, handle)
    peer.expect(STATUS_RES, handle, b"0", b"0", b"0", b"0")


# Who takes part.


def listed(peer: Peer) -> list[str]:
    """Ask who takes part and return the lines."""
    peer.send_bytes(b"cluster\n")
    lines: list[str] = []
    while not lines or lines[-1] != ".":
        lines.append(peer.line().decode().rstrip("\n"))
    return lines[:-1]


def test_cluster_lists_who_takes_part(start: Start, database: FakeDatabase) -> None:
    first, second = start("one"), start("two")
    submit(first.peer(), b"f", b"")
    peer = second.peer()
    lines = [line.split("\t") for line in listed(peer)]
    assert [(line[0], line[1], line[2], line[3], line[5]) for line in lines] == [
        ("one", first.shared.address, "1", "there", "1"),
        ("two", second.shared.address, "2", "here", "0"),
    ]
    assert all(0 < float(line[4]) <= 3.0 for line in lines)


def test_who_takes_part_can_not_be_told_without_the_store(start: Start) -> None:
    server = start("one", lease=30.0)
    peer = server.peer()
    peer.echo()
    server.shared.faults.refuse = True
    peer.send_bytes(b"cluster\n")
    assert peer.line() == b"ERR STORE_UNAVAILABLE The+store+does+not+answer\r\n"
    peer.echo()


def test_the_command_shows_who_takes_part(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = start("one"), start("two")
    submit(first.peer(), b"f", b"")
    cluster(first.shared.address, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["state"], row["here"], row["jobs"]) for row in rows] == [
        ("one", "serving", True, 1),
        ("two", "serving", False, 0),
    ]
    cluster(first.shared.address)
    head, one, two = capsys.readouterr().out.splitlines()
    assert head.split() == ["server", "address", "number", "lease", "jobs"]
    assert one.split()[:4] == ["*", "one", first.shared.address, "1"]
    assert two.split()[0] == "two"


def test_a_server_that_shares_its_store_with_nobody_is_alone(
    start_server: Callable[..., ThreadServer],
) -> None:
    server = start_server(name="hermit")
    host, port = server.address
    with AdminClient(f"{host}:{port}") as admin:
        (member,) = admin.cluster()
    assert (member.name, member.here, member.lease, member.jobs) == ("hermit", True, 0.0, 0)
    assert state_of(member) == "alone"
