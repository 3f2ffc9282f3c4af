"""The end of a server: by signal, by an administrator, with running jobs and without."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.server.peer import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    GRAB_JOB,
    JOB_CREATED,
    NO_JOB,
    PRE_SLEEP,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
    request,
    response,
)
from tests.server.servers import ProcessServer, ThreadServer, eventually
from tests.services.availability import find_program, require

StartProcess = Callable[..., ProcessServer]


def start_job(server: ProcessServer | ThreadServer) -> tuple[Peer, Peer, bytes]:
    """Return a client, the worker that has its job, and the job's handle."""
    client = server.peer()
    worker = server.peer()
    worker.send(CAN_DO, b"f")
    handle = client.submit(SUBMIT_JOB, b"f")
    assert worker.grab() == handle
    return client, worker, handle


def refuses(server: ProcessServer) -> bool:
    """Return whether nobody listens any more."""
    try:
        Peer(server.address).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_without_running_jobs_ends_at_once(
    start_process: StartProcess, number: signal.Signals
) -> None:
    server = start_process(grace=30.0)
    waiting = server.peer()
    waiting.submit(SUBMIT_JOB, b"f")
    started = time.monotonic()
    server.signal(number)
    waiting.expect_end()
    assert server.wait() == 0
    assert time.monotonic() - started < 2.0
    assert server.error_text() == ""


def test_a_running_job_may_finish(start_process: StartProcess) -> None:
    server = start_process(grace=30.0)
    client, worker, handle = start_job(server)
    server.signal(signal.SIGTERM)
    eventually(lambda: refuses(server), "it accepts nobody any more")
    worker.send(WORK_COMPLETE, handle, b"result")
    client.expect(WORK_COMPLETE, handle, b"result")
    client.expect_end()
    assert server.wait() == 0


def test_a_large_result_arrives_whole_before_the_end(start_process: StartProcess) -> None:
    server = start_process(grace=30.0)
    client, worker, handle = start_job(server)
    server.signal(signal.SIGTERM)
    eventually(lambda: refuses(server), "it accepts nobody any more")
    result = bytes(range(256)) * (16 << 12)
    worker.send(WORK_COMPLETE, handle, result)
    worker.expect_end()
    client.expect(WORK_COMPLETE, handle, result)
    client.expect_end()


def test_no_job_is_assigned_while_the_server_winds_up(start_process: StartProcess) -> None:
    server = start_process(grace=30.0)
    client, worker, handle = start_job(server)
    server.signal(signal.SIGTERM)
    eventually(lambda: refuses(server), "it accepts nobody any more")
    client.submit(SUBMIT_JOB_BG, b"f")
    worker.send(GRAB_JOB)
    worker.expect(NO_JOB)
    worker.send(PRE_SLEEP)
    worker.echo()
    worker.send(WORK_COMPLETE, handle, b"")
    assert server.wait() == 0


def test_a_job_that_takes_too_long_is_not_waited_for(start_process: StartProcess) -> None:
    """Two seconds after its grace the server is gone, and its client knows."""
    server = start_process(grace=0.5)
    client, _, _ = start_job(server)
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    client.expect_end()
    assert server.wait() == 0
    assert 0.4 < time.monotonic() - started < 2.5


def test_a_peer_that_does_not_read_does_not_hold_the_end_up(start_process: StartProcess) -> None:
    server = start_process(grace=0.0)
    peer = server.peer()
    peer.send(ECHO_REQ, b"x" * (30 << 20))
    peer.take(1000)
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert time.monotonic() - started < 2.0


def test_asked_twice_the_server_ends_at_once(start_process: StartProcess) -> None:
    server = start_process(grace=60.0)
    client, _, _ = start_job(server)
    server.signal(signal.SIGTERM)
    eventually(lambda: refuses(server), "it accepts nobody any more")
    server.signal(signal.SIGTERM)
    client.expect_end()
    assert server.wait() == 0


# When the last job is done.


def test_a_graceful_server_waits_for_its_last_job(start_process: StartProcess) -> None:
    server = start_process()
    client, worker, handle = start_job(server)
    server.signal(signal.SIGUSR1)
    eventually(lambda: refuses(server), "it accepts nobody any more")
    second = client.submit(SUBMIT_JOB_BG, b"f")
    worker.send(WORK_COMPLETE, handle, b"one")
    client.expect(WORK_COMPLETE, handle, b"one")
    assert worker.grab() == second
    worker.send(WORK_COMPLETE, second, b"two")
    worker.expect_end()
    assert server.wait() == 0


def test_a_graceful_server_without_jobs_ends_at_once(start_process: StartProcess) -> None:
    server = start_process()
    peer = server.peer()
    peer.echo()
    server.signal(signal.SIGUSR1)
    peer.expect_end()
    assert server.wait() == 0


def test_a_graceful_server_can_still_be_told_to_end(start_process: StartProcess) -> None:
    server = start_process(grace=0.0)
    server.peer().submit(SUBMIT_JOB_BG, b"f")
    server.signal(signal.SIGUSR1)
    eventually(lambda: refuses(server), "it accepts nobody any more")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


# Administrators.


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_shutdown_from_this_machine_ends_the_server(
    start_process: StartProcess, listen: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if listen == "unix":
        listen = f"unix:{tmp_path_factory.mktemp('unix')}/socket"
    server = start_process(listen=[listen], grace=30.0)
    admin = server.peer()
    assert admin.ask(b"shutdown") == b"OK\r\n"
    admin.expect_end()
    assert server.wait() == 0


def test_shutdown_graceful_lets_the_last_job_finish(start_process: StartProcess) -> None:
    server = start_process()
    client, worker, handle = start_job(server)
    assert server.peer().ask(b"shutdown graceful") == b"OK\r\n"
    eventually(lambda: refuses(server), "it accepts nobody any more")
    worker.send(WORK_COMPLETE, handle, b"result")
    client.expect(WORK_COMPLETE, handle, b"result")
    assert server.wait() == 0


def test_shutdown_can_be_forbidden(start_process: StartProcess) -> None:
    server = start_process(allow_shutdown=False)
    admin = server.peer()
    unknown = b"ERR UNKNOWN_COMMAND Unknown+server+commandshutdown\r\n"
    assert admin.ask(b"shutdown") == unknown
    assert admin.ask(b"shutdown graceful") == unknown
    admin.echo()


# Clients that have said all they have to say.


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
def test_a_client_that_ends_its_side_gets_its_answers(
    start_process: StartProcess, store: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if store == "sqlite":
        store = f"sqlite:///{tmp_path_factory.mktemp('store')}/queue.db"
    server = start_process(store=store)
    peer = server.peer()
    peer.send_bytes(request(SUBMIT_JOB_BG, b"f", b"", b"") * 3 + b"status\n")
    peer.end()
    handles = [peer.receive() for _ in range(3)]
    assert [kind for kind, _ in handles] == [JOB_CREATED] * 3
    assert peer.expect_closed() == b"f\t3\t0\t0\n.\n"


def test_all_of_many_packets_before_the_end_are_taken(job_server: ThreadServer) -> None:
    peer = job_server.peer()
    peer.send_bytes(request(ECHO_REQ, b"x") * 20_000 + request(ECHO_REQ, b"last"))
    peer.end()
    answers = response(ECHO_RES, b"x") * 20_000 + response(ECHO_RES, b"last")
    assert peer.expect_closed() == answers


def test_netcat_gets_the_acknowledgement_of_a_durable_job(
    start_process: StartProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    require("netcat")
    directory = tmp_path_factory.mktemp("store")
    server = start_process(store=f"sqlite:///{directory}/queue.db")
    host, port = server.address
    said = request(SUBMIT_JOB_BG, b"f", b"", b"x")
    command = [find_program("nc") or "nc", "-N", host, str(port)]
    heard = subprocess.run(command, input=said, capture_output=True, timeout=10).stdout
    assert heard[:8] == response(JOB_CREATED)[:8]
    assert server.peer().ask(b"status") == b"f\t1\t0\t0\n"


@pytest.mark.parametrize("event_loop", ["", "asyncio"])
def test_acknowledgements_are_sent_before_the_end(
    start_process: StartProcess, event_loop: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was stored when the server was told to end has been acknowledged."""
    directory = tmp_path_factory.mktemp("store")
    settings = {"store": f"sqlite:///{directory}/queue.db"}
    server = start_process(event_loop=event_loop, **settings)
    peers = [server.peer() for _ in range(20)]
    for peer in peers:
        peer.send_bytes(request(SUBMIT_JOB_BG, b"f", b"", b"") * 50)
    server.signal(signal.SIGTERM)
    heard = [peer.expect_closed() for peer in peers]
    acknowledged = sum(answers.count(response(JOB_CREATED)[:8]) for answers in heard)
    assert server.wait() == 0
    again = start_process(**settings)
    status = again.peer().ask(b"status") or b"f\t0\t0\t0\n"
    assert int(status.split(b"\t")[1]) == acknowledged
