"""Every client library against every job server; the worker is libgearman's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.expectations import repaired
from tests.acceptance.job_server import JobServer, eventually
from tests.acceptance.peer import Peers

LANGUAGES = ["php", "perl", "node", "c", "pygearman", "gear", "geartrain", "geartrain_aio"]

every_client = pytest.mark.parametrize("language", LANGUAGES)


def every_client_but(**reasons: str) -> pytest.MarkDecorator:
    """Leave out libraries which cannot do the thing at all, each with its reason."""
    return pytest.mark.parametrize("language", [one for one in LANGUAGES if one not in reasons])


@every_client
def test_a_task_returns_its_result(peers: Peers, language: str, function: str) -> None:
    peers.worker("c", reverse=function)
    assert peers.client(language, "run", function, workload="hello").result() == b"olleh"


@every_client
def test_a_task_submitted_before_any_worker_came_is_done_when_one_comes(
    peers: Peers, language: str, function: str
) -> None:
    client = peers.client(language, "run", function, workload="hello")
    client.event("created")
    peers.worker("c", reverse=function)
    assert client.result() == b"olleh"


@every_client
def test_data_warnings_and_progress_arrive_before_the_result(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker("c", story=function)
    created, *rest = peers.client(language, "run", function, workload="x").events()
    assert created["event"] == "created"
    assert rest == [
        {"event": "data", "data": b"one"},
        {"event": "data", "data": b"two"},
        {"event": "warning", "data": b"careful"},
        {"event": "status", "numerator": 1, "denominator": 2},
        {"event": "complete", "data": b"end"},
    ]


@every_client
def test_an_empty_result_is_a_result(peers: Peers, language: str, function: str) -> None:
    peers.worker("c", empty=function)
    assert peers.client(language, "run", function, workload="x").result() == b""


@every_client
def test_a_failed_task_fails_at_the_client(peers: Peers, language: str, function: str) -> None:
    peers.worker("c", fail=function)
    assert peers.client(language, "run", function, workload="x").names() == ["created", "fail"]


@every_client_but(pygearman="it has no way to send OPTION_REQ")
def test_an_exception_reaches_a_client_that_asked_for_exceptions(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker("c", throw=function)
    client = peers.client(language, "run", function, workload="x", exceptions=1)
    assert client.events()[1:] == [{"event": "exception", "data": b"it broke"}]


@repaired("its WORK_FAIL ends with a NUL, so that most libraries do not recognise the handle")
@every_client_but(php="it always asks for exceptions")
def test_an_exception_is_a_failure_to_a_client_that_did_not_ask_for_exceptions(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker("c", throw=function)
    assert peers.client(language, "run", function, workload="x").names() == ["created", "fail"]


@every_client
def test_a_large_workload_travels_there_and_back(
    peers: Peers, language: str, function: str, large_file: Path
) -> None:
    peers.worker("c", echo=function)
    client = peers.client(language, "run", function, file=large_file)
    assert client.result() == large_file.read_bytes()


@every_client
def test_any_byte_may_be_in_a_workload_and_in_a_result(
    peers: Peers, language: str, function: str, tmp_path: Path
) -> None:
    workload = b"\0\0REQ\0RES" + bytes(range(256)) + b"\0"
    path = tmp_path / "workload"
    path.write_bytes(workload)
    worker = peers.worker("c", reverse=function)
    assert peers.client(language, "run", function, file=path).result() == workload[::-1]
    assert worker.event("job")["workload"] == workload


@every_client
def test_a_background_task_is_done_after_its_client_has_left(
    peers: Peers, language: str, function: str
) -> None:
    client = peers.client(language, "background", function, workload="later")
    assert client.names() == ["created"]
    job = peers.worker("c", echo=function).event("job")
    assert job["workload"] == b"later"
    assert job["handle"] == client.seen[0]["handle"]


@every_client
def test_waiting_background_tasks_are_done_by_priority(
    peers: Peers, language: str, function: str
) -> None:
    for priority in ("low", "normal", "high"):
        client = peers.client(
            language, "background", function, workload=priority, priority=priority
        )
        client.event("created")
    worker = peers.worker("c", echo=function)
    assert [worker.event("job")["workload"] for _ in range(3)] == [b"high", b"normal", b"low"]


@every_client
def test_waiting_foreground_tasks_are_done_by_priority(
    peers: Peers, language: str, function: str
) -> None:
    clients = []
    for priority in ("low", "normal", "high"):
        client = peers.client(language, "run", function, workload=priority, priority=priority)
        client.event("created")
        clients.append(client)
    worker = peers.worker("c", echo=function)
    assert [worker.event("job")["workload"] for _ in range(3)] == [b"high", b"normal", b"low"]
    assert [client.result() for client in clients] == [b"low", b"normal", b"high"]


@every_client
def test_the_status_of_a_background_task_can_be_asked_for(
    peers: Peers, job_server: JobServer, language: str, function: str
) -> None:
    client = peers.client(language, "background", function, workload="x")
    handle = client.event("created")["handle"]

    def status() -> tuple[bool, bool, int, int]:
        client.tell(handle)
        answer = client.event("answer")
        return answer["known"], answer["running"], answer["numerator"], answer["denominator"]

    assert status() == (True, False, 0, 0), "waiting"
    worker = peers.worker("c", hang=function)
    eventually(lambda: status() == (True, True, 1, 2), "running, half done")
    peers.kill(worker, function)
    eventually(lambda: status() == (True, False, 0, 0), "waiting again")
    peers.worker("c", echo=function)
    job_server.wait_until_idle(function)
    assert status() == (False, False, 0, 0), "done"


@every_client
def test_two_clients_with_the_same_unique_share_one_job(
    peers: Peers, language: str, function: str
) -> None:
    clients = [
        peers.client(language, "run", function, workload="once", unique=f"key-{function}")
        for _ in range(2)
    ]
    handles = {client.event("created")["handle"] for client in clients}
    assert len(handles) == 1
    worker = peers.worker("c", reverse=function)
    assert [client.result() for client in clients] == [b"ecno", b"ecno"]
    assert [event["event"] for event in worker.seen].count("job") <= 1


@every_client_but(
    node="it keeps one job a handle",
    pygearman="it keeps one job a handle",
    gear="it keeps one job a handle",
)
def test_tasks_of_one_client_with_the_same_unique_are_each_answered(
    peers: Peers, language: str, function: str
) -> None:
    client = peers.client(
        language, "run", function, workload="once", unique=f"key-{function}", times=3
    )
    handles = {client.event("created")["handle"] for _ in range(3)}
    assert len(handles) == 1
    worker = peers.worker("c", reverse=function)
    answers = client.events()[3:]
    assert answers == [{"event": "complete", "data": b"ecno"}] * 3
    assert worker.event("job")["unique"] == f"key-{function}"
    peers.client("c", "run", function, workload="next").result()
    assert worker.event("job")["workload"] == b"next", "the shared job was done once"


@every_client
def test_many_tasks_of_one_client_are_each_answered(
    peers: Peers, language: str, function: str
) -> None:
    peers.worker("c", echo=function)
    client = peers.client(language, "run", function, workload="x", times=50)
    events = client.events()
    assert len({event["handle"] for event in events if event["event"] == "created"}) == 50
    assert [event for event in events if event["event"] != "created"] == [
        {"event": "complete", "data": b"x"}
    ] * 50
