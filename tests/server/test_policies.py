"""Policies of functions, as peers of a server see them: over sockets, with stores that are real."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from geartrain.errors import StoreUnavailable
from geartrain.server.policies import policy_of
from geartrain.store.batch import DeadLetter, Result
from geartrain.store.memory import MemoryStore
from geartrain.store.queue_store import QueueStore
from geartrain.store.sqlite import SqliteStore
from tests.server.peer import (
    CAN_DO,
    ERROR,
    GRAB_JOB,
    JOB_ASSIGN,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    OPTION_REQ,
    OPTION_RES,
    PRE_SLEEP,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    Peer,
    request,
)
from tests.server.servers import ThreadServer, eventually
from tests.server.stores import ToldStore

Start = Callable[..., ThreadServer]
RESULT = b"geartrain:result"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> QueueStore:
    """A store without a disk, and one with."""
    if request.param == "memory":
        return MemoryStore()
    return SqliteStore(str(tmp_path / "queue.db"), handle_prefix=b"H:x")


@pytest.fixture
def server(store: QueueStore, start_server: Start) -> ThreadServer:
    keys = {"retries": 1, "backoff": 0, "retention": "1h"}
    return start_server(store, policies=[policy_of("here", "f", keys)])


def bury(peer: Peer, workload: bytes = b"w") -> bytes:
    """Make a dead letter of a job of ``f`` and return its handle."""
    peer.send(CAN_DO, b"f")
    handle = peer.submit(SUBMIT_JOB_BG, b"f", b"u-" + workload, workload)
    for _ in range(2):
        assert peer.grab() == handle
        peer.send(WORK_EXCEPTION, handle, b"broken\there")
        peer.send(WORK_FAIL, handle)
    assert peer.grab() == b""
    return handle


def facts(peer: Peer, handle: bytes) -> dict[str, str]:
    lines = peer.ask(b"show job " + handle).decode().splitlines()
    return dict(line.split("\t", 1) for line in lines)


# Dead letters.


def test_dead_letters_are_listed(server: ThreadServer) -> None:
    peer = server.peer()
    assert peer.ask(b"show dead letters") == b""
    handle = bury(peer)
    [line] = peer.ask(b"show dead letters").splitlines()
    name, number, function, unique, attempts, _, reason = line.split(b"\t")
    assert (name, function, unique, attempts) == (handle, b"f", b"u-w", b"2")
    assert reason == b"its worker raised at attempt 2 of 2: broken\\x09here"
    assert peer.ask(b"show dead letters " + number) == b""
    assert peer.ask(b"show DEAD Letters no-number").splitlines() == [line]
    assert peer.ask(b"status") == b"f\t0\t0\t1\n"


def test_a_dead_letter_is_shown(server: ThreadServer) -> None:
    peer = server.peer()
    handle = bury(peer)
    found = facts(peer, handle)
    assert found["state"] == "dead"
    assert found["function"] == "f"
    assert found["attempts"] == "2"


def test_a_dead_letter_can_be_retried(server: ThreadServer) -> None:
    peer = server.peer()
    handle = bury(peer)
    peer.send(PRE_SLEEP)
    assert server.peer().ask(b"retry job " + handle) == b"OK\r\n"
    peer.expect(NOOP)
    peer.send(GRAB_JOB)
    peer.expect(JOB_ASSIGN, handle, b"f", b"w")
    assert facts(server.peer(), handle)["attempts"] == "0"
    peer.send(WORK_COMPLETE, handle, b"at last")
    assert peer.ask(b"show dead letters") == b""
    assert peer.ask(b"retry job " + handle) == b"ERR UNKNOWN_JOB\r\n"


def test_a_dead_letter_can_be_removed(server: ThreadServer) -> None:
    peer = server.peer()
    handle = bury(peer)
    assert peer.ask(b"remove job " + handle) == b"OK\r\n"
    assert peer.ask(b"remove job " + handle) == b"ERR UNKNOWN_JOB\r\n"
    assert peer.ask(b"show dead letters") == b""


def test_answers_of_the_store_keep_their_place(server: ThreadServer) -> None:
    peer = server.peer()
    handle = bury(peer)
    peer.send_bytes(b"show job H:none\nversion\nretry job %b\nremove job x\ngetpid\n" % handle)
    lines = [peer.line() for _ in range(5)]
    assert lines[0] == b"ERR UNKNOWN_JOB\r\n"
    assert lines[1].startswith(b"OK ")
    assert lines[2:4] == [b"OK\r\n", b"ERR UNKNOWN_JOB\r\n"]
    assert lines[4].startswith(b"OK ")


@pytest.mark.parametrize("line", [b"retry", b"retry job", b"remove job a b", b"remove letter a"])
def test_an_incomplete_command_is_refused(server: ThreadServer, line: bytes) -> None:
    assert server.peer().ask(line).startswith(b"ERR INVALID_ARGUMENTS")


@pytest.mark.parametrize("line", [b"show job", b"show job a b", b"show dead", b"show dead a b c"])
def test_an_incomplete_show_is_refused(server: ThreadServer, line: bytes) -> None:
    assert server.peer().ask(line).startswith(b"ERR UNKNOWN_SHOW_ARGUMENTS")


def test_a_job_that_waits_is_shown(server: ThreadServer) -> None:
    peer = server.peer()
    handle = peer.submit(SUBMIT_JOB_BG, b"g", b"key\tx", b"workload")
    found = facts(peer, handle)
    assert found["handle"] == handle.decode()
    assert (found["state"], found["priority"]) == ("waiting", "normal")
    assert (found["unique"], found["size"], found["background"]) == ("key\\x09x", "8", "1")


# Results.


def result_of(peer: Peer, handle: bytes) -> tuple[int, bytes]:
    """Ask for a result and return the packet's type and data."""
    inquiry = peer.submit(SUBMIT_JOB, RESULT, b"", handle)
    kind, body = peer.receive()
    name, _, data = body.partition(b"\0")
    assert name == inquiry
    return kind, data


def test_a_result_in_parts_is_kept_for_whoever_asks(server: ThreadServer) -> None:
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    handle = worker.submit(SUBMIT_JOB_BG, b"f")
    assert worker.grab() == handle
    worker.send(WORK_DATA, handle, b"\0one")
    worker.send(WORK_COMPLETE, handle, b"two")
    eventually(lambda: facts(server.peer(), handle)["state"] == "completed", "it has ended")
    assert facts(server.peer(), handle)["result"] == "7"
    asker = server.peer()
    inquiry = asker.submit(SUBMIT_JOB, RESULT, b"", handle)
    assert asker.receive() == (WORK_DATA, inquiry + b"\0\0one")
    assert asker.receive() == (WORK_COMPLETE, inquiry + b"\0two")


def test_a_result_is_kept_for_whoever_asks(server: ThreadServer) -> None:
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    handle = worker.submit(SUBMIT_JOB_BG, b"f")
    assert worker.grab() == handle
    worker.send(WORK_COMPLETE, handle, b"\0\xff done")
    for _ in range(2):
        assert result_of(server.peer(), handle) == (WORK_COMPLETE, b"\0\xff done")
    found = facts(server.peer(), handle)
    assert (found["state"], found["result"]) == ("completed", "7")


def test_whoever_asks_early_waits(server: ThreadServer) -> None:
    worker, client = server.peer(), server.peer()
    worker.send(CAN_DO, b"plain")
    handle = worker.submit(SUBMIT_JOB_BG, b"plain")
    inquiry = client.submit(SUBMIT_JOB, RESULT, b"-", handle)
    client.expect_silence()
    assert worker.grab() == handle
    worker.send(WORK_COMPLETE, handle, b"r")
    client.expect(WORK_COMPLETE, inquiry, b"r")
    # Its function keeps no results, so nothing is known of it now.
    assert result_of(client, handle) == (WORK_FAIL, b"")


def test_of_a_dead_letter_reason_and_exception_are_told(server: ThreadServer) -> None:
    peer = server.peer()
    handle = bury(peer)
    assert result_of(server.peer(), handle) == (WORK_FAIL, b"")
    asker = server.peer()
    asker.send(OPTION_REQ, b"exceptions")
    asker.expect(OPTION_RES, b"exceptions")
    assert result_of(asker, handle) == (
        WORK_EXCEPTION,
        b"dead letter: its worker raised at attempt 2 of 2: broken\there",
    )


def test_a_dead_letter_without_a_kept_result_tells_why_it_died(
    store: QueueStore, start_server: Start
) -> None:
    server = start_server(store, policies=[policy_of("here", "f", {"retries": 1, "backoff": 0})])
    handle = bury(server.peer())
    asker = server.peer()
    asker.send(OPTION_REQ, b"exceptions")
    asker.expect(OPTION_RES, b"exceptions")
    kind, data = result_of(asker, handle)
    assert kind == WORK_EXCEPTION
    assert data.startswith(b"dead letter: its worker raised at attempt 2 of 2")


def test_a_result_that_is_too_large_is_not_kept(server: ThreadServer) -> None:
    large = b"x" * (16 * 1024 * 1024 + 1)
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    handle = worker.submit(SUBMIT_JOB_BG, b"f")
    assert worker.grab() == handle
    worker.send(WORK_COMPLETE, handle, large)
    assert facts(worker, handle)["state"] == "completed, result too large"
    asker = server.peer()
    asker.send(OPTION_REQ, b"exceptions")
    asker.expect(OPTION_RES, b"exceptions")
    kind, data = result_of(asker, handle)
    assert (kind, data) == (
        WORK_EXCEPTION,
        b"the job is done, but its result was too large to be kept",
    )


def test_results_expire(store: QueueStore, start_server: Start) -> None:
    server = start_server(store, policies=[policy_of("here", "f", {"retention": "50ms"})])
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    handle = worker.submit(SUBMIT_JOB_BG, b"f")
    assert worker.grab() == handle
    worker.send(WORK_COMPLETE, handle, b"r")
    eventually(lambda: worker.ask(b"show job " + handle) == b"ERR UNKNOWN_JOB\r\n", "it expired")
    assert result_of(worker, handle) == (WORK_FAIL, b"")
    server.call(server.server.asker.forget_results)


# Declared by workers.


def declare(peer: Peer, **keys: object) -> tuple[int, bytes]:
    peer.send(OPTION_REQ, b"policy:" + json.dumps(keys).encode())
    return peer.receive()


def test_a_worker_declares_a_policy(job_server: ThreadServer) -> None:
    worker = job_server.peer()
    kind, body = declare(worker, function="f", retries=1, backoff=0)
    assert kind == OPTION_RES
    assert body.startswith(b"policy:")
    handle = bury(worker)
    assert worker.ask(b"show dead letters").startswith(handle)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"{", b"a policy is a JSON object"),
        (b"[" * 5000, b"a policy is a JSON object"),
        (b"[]", b"a policy is a JSON object"),
        (b"x" * 9000, b"a policy has at most 8192 bytes, not 9000"),
        (b"{}", b"function takes the name of one, of at most 512 characters"),
        (b'{"function": 5}', b"function takes the name of one"),
        (b'{"function": "f", "retires": 3}', b"'retires' is no key of a function's policy"),
        (b'{"function": "f", "retires": 3}', b"did you mean 'retries'?"),
        (b'{"function": "f", "retries": "3"}', b"retries takes a whole number, not '3'"),
        (b'{"function": "geartrain:result"}', b"geartrain:result is the server's own"),
    ],
)
def test_a_policy_that_can_not_be_is_refused(
    job_server: ThreadServer, said: bytes, reason: bytes
) -> None:
    peer = job_server.peer()
    peer.send(OPTION_REQ, b"policy:" + said)
    kind, body = peer.receive()
    assert kind == ERROR
    assert body.startswith(b"INVALID_POLICY\0")
    assert reason in body
    assert peer.echo() < 5


def test_what_is_configured_wins(server: ThreadServer) -> None:
    peer = server.peer()
    assert declare(peer, function="f", retries=9)[0] == OPTION_RES
    bury(peer)


# Limits, as a worker sees them.


def test_concurrency_holds_back_and_wakes(store: QueueStore, start_server: Start) -> None:
    server = start_server(store, policies=[policy_of("here", "f", {"concurrency": 1})])
    first, second = server.peer(), server.peer()
    for worker in (first, second):
        worker.send(CAN_DO, b"f")
    handles = [first.submit(SUBMIT_JOB_BG, b"f") for _ in range(2)]
    assert first.grab() == handles[0]
    assert second.grab() == b""
    second.send(PRE_SLEEP)
    second.expect_silence()
    first.send(WORK_COMPLETE, handles[0], b"")
    second.expect(NOOP)
    assert second.grab() == handles[1]


def test_a_full_queue_refuses(start_server: Start) -> None:
    server = start_server(policies=[policy_of("here", "f*", {"maxqueue": 1})])
    peer = server.peer()
    peer.submit(SUBMIT_JOB_BG, b"full")
    peer.send(SUBMIT_JOB_BG, b"full", b"", b"")
    peer.expect(ERROR, b"QUEUE_ERROR", b"Job queue is full")


# A store that does not answer.


def test_a_store_that_can_not_be_asked_is_an_error(start_server: Start) -> None:
    class Broken(ToldStore):
        def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
            raise StoreUnavailable("it is away")

        def result(self, handle: bytes) -> Result | None:
            if handle.startswith(b"H:"):
                raise StoreUnavailable("it is away")
            return None

        def forget_results(self, now: float) -> None:
            raise StoreUnavailable("it is away")

    store = Broken()
    server = start_server(store)
    peer = server.peer()
    assert peer.ask(b"show dead letters") == (
        b"ERR STORE_ERROR the store can't be asked: it is away\r\n"
    )
    assert result_of(peer, b"H:1") == (WORK_FAIL, b"")


def test_a_store_that_hangs_is_not_waited_for(start_server: Start) -> None:
    store = ToldStore()
    server = start_server(store, store_timeout=0.1)
    store.open_gate.clear()
    peer = server.peer()
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    assert peer.receive()[0] == ERROR
    assert peer.ask(b"show dead letters").startswith(b"ERR STORE_ERROR")
    server.call(server.server.asker.forget_results)
    store.work()


def test_a_function_without_a_policy_is_as_ever(server: ThreadServer) -> None:
    peer = server.peer()
    peer.send(CAN_DO, b"plain")
    peer.send(SUBMIT_JOB, b"plain", b"", b"")
    kind, handle = peer.receive()
    assert kind == JOB_CREATED
    assert peer.grab() == handle
    peer.send(WORK_FAIL, handle)
    peer.expect(WORK_FAIL, handle)
    peer.send_bytes(request(GRAB_JOB))
    peer.expect(NO_JOB)
