"""
The bytes behind the repairs: what gearmand 1.1.20 sends, and what geartrain sends instead.

Each test is asked of both servers and names both answers, so that a change on either side shows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.connection import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    JOB_ASSIGN,
    NOOP,
    PRE_SLEEP,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
    Connection,
)
from tests.acceptance.job_server import JobServer, eventually


@pytest.fixture
def client(job_server: JobServer) -> Iterator[Connection]:
    with Connection(job_server.port) as connection:
        yield connection


@pytest.fixture
def worker(job_server: JobServer, function: str) -> Iterator[Connection]:
    with Connection(job_server.port) as connection:
        connection.send(CAN_DO, function.encode())
        yield connection


def test_the_handle_in_a_failure_instead_of_an_exception_is_exact(
    job_server: JobServer, client: Connection, worker: Connection, function: str
) -> None:
    handle = client.submit(SUBMIT_JOB, function.encode(), b"", b"x")
    assert worker.grab() == handle
    worker.send(WORK_EXCEPTION, handle, b"it broke")
    expected = handle + b"\0" if job_server.name == "gearmand" else handle
    assert client.receive() == (WORK_FAIL, expected)


@pytest.mark.parametrize("late", [(WORK_FAIL,), (WORK_COMPLETE, b"late")])
def test_what_follows_an_exception_is_swallowed(
    job_server: JobServer,
    client: Connection,
    worker: Connection,
    function: str,
    late: tuple[int, *tuple[bytes, ...]],
) -> None:
    handle = client.submit(SUBMIT_JOB, function.encode(), b"", b"x")
    assert worker.grab() == handle
    worker.send(WORK_EXCEPTION, handle, b"it broke")
    kind, *data = late
    worker.send(kind, handle, *data)
    if job_server.name == "gearmand":
        not_found = b"JOB_NOT_FOUND\0Job given in work result not found"
        assert worker.receive() == (ERROR, not_found)
    worker.send(ECHO_REQ, b"next")
    assert worker.receive() == (ECHO_RES, b"next")


def test_a_result_that_is_only_a_handle_is_an_empty_result(
    job_server: JobServer, client: Connection, worker: Connection, function: str
) -> None:
    handle = client.submit(SUBMIT_JOB, function.encode(), b"", b"x")
    assert worker.grab() == handle
    worker.send(WORK_COMPLETE, handle)
    worker.send(ECHO_REQ, b"next")
    if job_server.name == "gearmand":
        # It takes the separator from the next packet, and closes the connection.
        assert worker.receive() == (0, b"")
    else:
        assert client.receive() == (WORK_COMPLETE, handle + b"\0")
        assert worker.receive() == (ECHO_RES, b"next")


def test_a_job_whose_worker_left_comes_before_those_behind_it(
    job_server: JobServer, client: Connection, worker: Connection, function: str
) -> None:
    first = client.submit(SUBMIT_JOB_BG, function.encode(), b"", b"first")
    second = client.submit(SUBMIT_JOB_BG, function.encode(), b"", b"second")
    with Connection(job_server.port) as leaving:
        leaving.send(CAN_DO, function.encode())
        assert leaving.grab() == first
    job_server.wait_for_workers(function, 1)
    eventually(lambda: job_server.status(function) == (2, 0, 1), "both jobs wait")
    order = [second, first] if job_server.name == "gearmand" else [first, second]
    assert [worker.grab(), worker.grab()] == order


def test_a_background_job_outlives_a_foreground_client_that_shared_it(
    job_server: JobServer, client: Connection, worker: Connection, function: str
) -> None:
    handle = client.submit(SUBMIT_JOB_BG, function.encode(), b"shared", b"x")
    with Connection(job_server.port) as leaving:
        assert leaving.submit(SUBMIT_JOB, function.encode(), b"shared", b"x") == handle
        # Some clients besides `client` and `worker`; one fewer once the server has seen it leave.
        before = job_server.ask("workers").count("\n")
    eventually(lambda: job_server.ask("workers").count("\n") < before, "the client has left")
    assert worker.grab() == (b"" if job_server.name == "gearmand" else handle)


def test_a_function_is_created_by_its_whole_name(job_server: JobServer, function: str) -> None:
    with Connection(job_server.port) as connection:
        connection.socket.sendall(f"create function {function}\n".encode())
        assert connection.read(4) == b"OK\r\n"
    names = [line.partition("\t")[0] for line in job_server.ask("status").splitlines()]
    assert (function in names) == (job_server.name != "gearmand")


def test_a_worker_that_learns_a_function_asleep_is_woken_for_waiting_work(
    job_server: JobServer, client: Connection, worker: Connection, function: str
) -> None:
    other = f"{function}-other".encode()
    handle = client.submit(SUBMIT_JOB_BG, other, b"", b"x")
    worker.send(PRE_SLEEP)
    worker.send(CAN_DO, other)
    if job_server.name == "geartrain":
        assert worker.receive() == (NOOP, b"")
    worker.send(ECHO_REQ, b"nothing else")
    assert worker.receive() == (ECHO_RES, b"nothing else")
    assert worker.grab() == handle


def test_a_client_that_shares_a_job_twice_is_answered_twice(
    client: Connection, worker: Connection, function: str
) -> None:
    handle = client.submit(SUBMIT_JOB, function.encode(), b"shared", b"x")
    assert client.submit(SUBMIT_JOB, function.encode(), b"shared", b"x") == handle
    worker.send(9)
    assert worker.receive() == (JOB_ASSIGN, handle + b"\0" + function.encode() + b"\0x")
    worker.send(WORK_COMPLETE, handle, b"y")
    assert client.receive() == (WORK_COMPLETE, handle + b"\0y")
    assert client.receive() == (WORK_COMPLETE, handle + b"\0y")
