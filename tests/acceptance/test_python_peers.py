"""What only pygearman and gear ask a server: their administration."""

from __future__ import annotations

import pytest

from tests.acceptance.job_server import JobServer
from tests.acceptance.peer import Peers


@pytest.fixture
def waiting_job(fresh_peers: Peers) -> str:
    """The handle of a background job that no worker will take, beside a worker named gino."""
    fresh_peers.worker("c", id="gino", reverse="reverse")
    client = fresh_peers.client("c", "background", "nobody", workload="x", unique="photo-1")
    handle: str = client.events()[0]["handle"]
    return handle


def answers(peers: Peers, program: str, handle: str) -> dict[str, object]:
    language, role = program.split("_")
    admin = peers.start(language, role, str(peers.job_server.port), handle)
    return {event["event"]: event["answer"] for event in admin.events()}


def test_pygearman_understands_every_answer(fresh_peers: Peers, waiting_job: str) -> None:
    heard = answers(fresh_peers, "pygearman_admin", waiting_job)
    assert heard["ping"] is True
    assert str(heard["version"]).startswith("OK ")
    assert heard["pid"] == f"OK {fresh_peers.job_server.process.pid}"
    workers = heard["workers"]
    assert isinstance(workers, list)
    gino = next(worker for worker in workers if worker["client_id"] == "gino")
    assert (gino["ip"], gino["tasks"]) == ("127.0.0.1", ["reverse"])
    asking = next(worker for worker in workers if worker["client_id"] == "-")
    assert asking["tasks"] == []
    status = heard["status"]
    assert isinstance(status, list)
    # Listed in an order that nobody relies on.
    assert sorted(status, key=lambda function: str(function["task"])) == [
        {"task": "nobody", "queued": 1, "running": 0, "workers": 0},
        {"task": "reverse", "queued": 0, "running": 0, "workers": 1},
    ]
    # The library's names; the numbers are retries, ignored and queued.
    assert heard["jobs"] == [{"handle": waiting_job, "queued": 0, "canceled": 0, "enabled": 1}]
    assert heard["unique jobs"] == [{"unique": ["photo-1"]}]
    assert heard["cancel"] == "OK\r"


def test_gear_understands_every_answer(fresh_peers: Peers, waiting_job: str) -> None:
    heard = answers(fresh_peers, "gear_admin", waiting_job)
    assert str(heard["version"]).startswith("OK ")
    *functions, dot, rest = str(heard["status"]).split("\n")
    assert sorted(functions) == ["nobody\t1\t0\t0", "reverse\t0\t0\t1"]
    assert (dot, rest) == (".", "")
    assert " 127.0.0.1 gino : reverse\n" in str(heard["workers"])
    assert heard["jobs"] == f"{waiting_job}\t0\t0\t1\n.\n"
    assert heard["unique jobs"] == "photo-1\n.\n"
    assert heard["cancel"] == "OK\r\n"


def test_gear_is_told_that_a_job_to_cancel_is_unknown(fresh_peers: Peers, waiting_job: str) -> None:
    heard = answers(fresh_peers, "gear_admin", "H:nowhere:1")
    assert heard["cancel"] == "ERR UNKNOWN_JOB\r\n"


def test_a_worker_of_pygearman_that_raised_gets_no_error(
    peers: Peers, job_server: JobServer, function: str
) -> None:
    worker = peers.worker("pygearman", throw=function, reverse=f"{function}-next")
    client = peers.client("gear", "run", function, workload="x", exceptions=1)
    assert client.names() == ["created", "exception"]
    assert peers.client("gear", "run", f"{function}-next", workload="x").result() == b"x"
    # It always sends WORK_FAIL after WORK_EXCEPTION, and merely logs gearmand's answer to that.
    complained = "JOB_NOT_FOUND" in worker.error_text()
    assert complained == (job_server.name == "gearmand")
