"""What only Gearman::Client and Gearman::Worker do, and where a server must bear with them."""

from __future__ import annotations

import pytest

from tests.acceptance.expectations import repaired
from tests.acceptance.job_server import JobServer
from tests.acceptance.peer import Peers


@pytest.mark.parametrize("client", ["c", "perl"])
@repaired("it reads past the packet, drops the worker and gives the job out again, for ever")
def test_a_worker_that_returns_nothing_completes_its_job(
    peers: Peers, client: str, function: str
) -> None:
    # The worker sends its handle with no separator behind it; clients expect one.
    worker = peers.worker("perl", empty=function, echo=f"{function}-next")
    assert peers.client(client, "run", function, workload="x").result() == b""
    worker.event("job")
    assert peers.client(client, "run", f"{function}-next", workload="x").result() == b"x"
    assert worker.event("job")["function"] == f"{function}-next", "the first job was done once"


@pytest.mark.parametrize("fresh_job_server", ["gearmand"], indirect=True)
def test_gearmand_repeats_the_job_of_a_worker_that_returns_nothing(
    fresh_peers: Peers, function: str
) -> None:
    worker = fresh_peers.worker("perl", empty=function)
    client = fresh_peers.client("c", "run", function, workload="x")
    handle = client.event("created")["handle"]
    assert [worker.event("job")["handle"] for _ in range(5)] == [handle] * 5


def test_a_worker_that_dies_in_a_job_sends_what_it_died_of(peers: Peers, function: str) -> None:
    peers.worker("perl", throw=function)
    client = peers.client("c", "run", function, workload="x", exceptions=1)
    _, exception = client.events()
    assert exception["event"] == "exception"
    # The library freezes it with Storable.
    assert b"it broke\n" in exception["data"]


@repaired(
    "it answers the WORK_FAIL that follows WORK_EXCEPTION with ERROR, and the worker gives up"
)
def test_a_worker_that_died_in_a_job_does_the_next(peers: Peers, function: str) -> None:
    worker = peers.worker("perl", throw=f"{function}-throw", reverse=function)
    for _ in range(3):
        client = peers.client("perl", "run", f"{function}-throw", workload="x", exceptions=1)
        assert client.names() == ["created", "exception"]
        assert peers.client("perl", "run", function, workload="hello").result() == b"olleh"
    assert "JOB_NOT_FOUND" not in worker.error_text()


@pytest.mark.parametrize("job_server", ["gearmand"], indirect=True)
def test_gearmand_ends_a_worker_that_died_in_a_job(peers: Peers, function: str) -> None:
    worker = peers.worker("perl", throw=function)
    peers.client("perl", "run", function, workload="x", exceptions=1).events()
    assert worker.exit_code() != 0
    assert "unexpected packet type: error [JOB_NOT_FOUND" in worker.error_text()


def test_text_and_packets_take_turns_on_one_connection(
    peers: Peers, job_server: JobServer, function: str
) -> None:
    peers.worker("perl", reverse=function)
    client = peers.start("perl", "status", str(job_server.port), function)
    idle = {"event": "status", "queued": "0", "running": "0", "capable": "1"}
    assert client.events() == [idle, {"event": "complete", "data": b"olleh"}, idle]
