"""Every worker library against every job server; the client is libgearman's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.connection import SUBMIT_JOB, WORK_COMPLETE, WORK_STATUS, Connection
from tests.acceptance.expectations import repaired
from tests.acceptance.job_server import JobServer
from tests.acceptance.peer import Peers

LANGUAGES = ["php", "perl", "node", "c", "pygearman", "gear", "geartrain", "geartrain_aio"]

every_worker = pytest.mark.parametrize("language", LANGUAGES)


def every_worker_but(**reasons: str) -> pytest.MarkDecorator:
    """Leave out libraries which cannot do the thing at all, each with its reason."""
    return pytest.mark.parametrize("language", [one for one in LANGUAGES if one not in reasons])


@every_worker
def test_a_worker_does_a_job(peers: Peers, language: str, function: str) -> None:
    worker = peers.worker(language, reverse=function)
    client = peers.client("c", "run", function, workload="hello")
    assert client.result() == b"olleh"
    job = worker.event("job")
    assert job["workload"] == b"hello"
    assert job["handle"] == client.seen[0]["handle"]


@every_worker
def test_a_worker_that_finds_jobs_waiting_does_them_all(
    peers: Peers, language: str, function: str
) -> None:
    client = peers.client("c", "run", function, workload="hello", times=5)
    for _ in range(5):
        client.event("created")
    peers.worker(language, reverse=function)
    assert client.names()[5:] == ["complete"] * 5


@every_worker
def test_data_warnings_and_progress_of_a_worker_reach_the_client(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker(language, story=function)
    client = peers.client("c", "run", function, workload="x")
    assert client.events()[1:] == [
        {"event": "data", "data": b"one"},
        {"event": "data", "data": b"two"},
        {"event": "warning", "data": b"careful"},
        {"event": "status", "numerator": 1, "denominator": 2},
        {"event": "complete", "data": b"end"},
    ]


@every_worker
def test_a_job_that_failed_leaves_the_worker_ready_for_the_next(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker(language, fail=f"{function}-fail", reverse=function)
    client = peers.client("c", "run", f"{function}-fail", workload="x")
    assert client.names() == ["created", "fail"]
    assert peers.client("c", "run", function, workload="hello").result() == b"olleh"


@every_worker_but(perl="test_perl.py has its exceptions, which it serialises, and gearmand ends it")
def test_a_job_that_raised_leaves_the_worker_ready_for_the_next(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker(language, throw=f"{function}-throw", reverse=function)
    client = peers.client("c", "run", f"{function}-throw", workload="x", exceptions=1)
    _, exception = client.events()
    assert exception["event"] == "exception"
    # Ours puts the name of the exception before it.
    assert exception["data"].endswith(b"it broke")
    assert peers.client("c", "run", function, workload="hello").result() == b"olleh"


@repaired("its WORK_FAIL ends with a NUL, and libgearman waits for ever for one that does not")
@every_worker
def test_a_job_that_raised_fails_at_a_client_that_did_not_ask_for_exceptions(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker(language, throw=function)
    assert peers.client("c", "run", function, workload="x").names() == ["created", "fail"]


@every_worker_but(perl="it sends no separator before nothing: test_perl.py")
def test_a_worker_may_return_nothing(peers: Peers, language: str, function: str) -> None:
    peers.worker(language, empty=function)
    assert peers.client("c", "run", function, workload="x").result() == b""


@every_worker
def test_a_large_workload_reaches_the_worker_and_comes_back(
    peers: Peers, language: str, function: str, large_file: Path
) -> None:
    worker = peers.worker(language, echo=function)
    assert peers.client("c", "run", function, file=large_file).result() == large_file.read_bytes()
    assert worker.event("job")["workload"] == large_file.read_bytes()


@every_worker_but(node="it sends every result as UTF-8")
def test_any_byte_may_be_in_a_result(
    peers: Peers, language: str, function: str, tmp_path: Path
) -> None:
    workload = b"\0\0REQ\0RES" + bytes(range(256)) + b"\0"
    path = tmp_path / "workload"
    path.write_bytes(workload)
    worker = peers.worker(language, reverse=function)
    assert peers.client("c", "run", function, file=path).result() == workload[::-1]
    assert worker.event("job")["workload"] == workload


@every_worker_but(perl="it grabs with GRAB_JOB, which does not tell the unique key")
def test_a_worker_sees_the_unique_key(peers: Peers, language: str, function: str) -> None:
    worker = peers.worker(language, echo=function)
    peers.client("c", "run", function, workload="x", unique="photo-1").result()
    assert worker.event("job")["unique"] == "photo-1"


@every_worker
def test_a_worker_is_given_its_next_job_only_after_the_last(
    peers: Peers, language: str, function: str
) -> None:
    worker = peers.worker(language, slow=function)
    client = peers.client("c", "run", function, workload="x", times=4)
    assert client.names()[4:] == ["complete"] * 4
    # A second NOOP for one PRE_SLEEP would make gearmanode start two jobs at once.
    for _ in range(4):
        worker.event("job")
        worker.event("done")
    assert [event["event"] for event in worker.seen] == ["job", "done"] * 4


@every_worker
def test_the_job_of_a_worker_that_was_killed_is_given_to_another(
    peers: Peers, language: str, function: str
) -> None:
    worker = peers.worker(language, hang=function)
    client = peers.client("c", "run", function, workload="survives")
    handle = worker.event("job")["handle"]
    peers.kill(worker, function)
    second = peers.worker(language, echo=function)
    assert client.result() == b"survives"
    assert second.event("job")["handle"] == handle


@every_worker
def test_a_sleeping_worker_takes_over_from_one_that_was_killed(
    peers: Peers, language: str, function: str
) -> None:
    worker = peers.worker(language, hang=function)
    client = peers.client("c", "run", function, workload="survives")
    worker.event("job")
    peers.worker(language, echo=function)
    peers.kill(worker, function)
    assert client.result() == b"survives"


@repaired("its timer runs beside the thread that runs everything else, and is sometimes lost")
@every_worker_but(pygearman="it cannot send CAN_DO_TIMEOUT")
def test_a_job_that_outlives_its_timeout_is_given_to_another_worker(
    peers: Peers, language: str, function: str
) -> None:
    # Milliseconds, whatever the protocol's document says.
    worker = peers.worker(language, timeout=300, hang=function)
    client = peers.client("c", "run", function, workload="in time")
    handle = worker.event("job")["handle"]
    second = peers.worker(language, echo=function)
    assert client.result() == b"in time"
    assert second.event("job")["handle"] == handle


@every_worker
def test_a_worker_is_listed_with_its_name_and_functions(
    peers: Peers, job_server: JobServer, language: str, function: str
) -> None:
    peers.worker(language, id=f"worker-of-{function}", echo=function, reverse=f"{function}-2")
    lines = [line for line in job_server.ask("workers").splitlines() if function in line]
    assert len(lines) == 1
    descriptor, address, name, colon, *functions = lines[0].split(" ")
    assert descriptor.isdigit()
    assert (address, name, colon) == ("127.0.0.1", f"worker-of-{function}", ":")
    assert sorted(functions) == [function, f"{function}-2"]


@every_worker
def test_a_worker_that_left_is_not_counted_any_more(
    peers: Peers, job_server: JobServer, language: str, function: str
) -> None:
    worker = peers.worker(language, echo=function)
    assert job_server.status(function) == (0, 0, 1)
    peers.kill(worker, function)
    assert job_server.status(function) == (0, 0, 0)


@every_worker_but(
    php="its numbers are whole",
    c="its numbers are whole",
    geartrain="its numbers are whole",
    geartrain_aio="its numbers are whole",
)
def test_progress_is_passed_on_as_the_worker_wrote_it(
    peers: Peers, job_server: JobServer, language: str, function: str
) -> None:
    peers.worker(language, fraction=function)
    with Connection(job_server.port) as client:
        for _ in range(2):
            handle = client.submit(SUBMIT_JOB, function.encode(), b"", b"x")
            assert client.receive() == (WORK_STATUS, handle + b"\x000.5\x001.5")
            assert client.receive() == (WORK_COMPLETE, handle + b"\0end")
