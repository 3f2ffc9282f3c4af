"""What only libgearman offers: reduce jobs, delayed jobs, status by unique key."""

from __future__ import annotations

import time

from tests.acceptance.expectations import repaired
from tests.acceptance.job_server import eventually
from tests.acceptance.peer import Peers, Program


def answer(client: Program, question: str) -> tuple[bool, bool, int, int]:
    client.tell(question)
    status = client.event("answer")
    return status["known"], status["running"], status["numerator"], status["denominator"]


def test_a_reduce_job_is_split_reduced_and_joined(peers: Peers, function: str) -> None:
    splitter = peers.worker("c", split=function)
    reducer = peers.worker("c", reverse=f"{function}-reverse")
    client = peers.client(
        "c", "run", function, workload="one two three", reducer=f"{function}-reverse"
    )
    # libgearman runs the parts in an order of its own.
    assert sorted(client.result().split(b"+")) == [b"eerht", b"eno", b"owt"]
    assert splitter.event("job")["workload"] == b"one two three"
    parts = [reducer.event("job")["workload"] for _ in range(3)]
    assert sorted(parts) == [b"one", b"three", b"two"]


def test_a_job_without_a_reducer_reaches_a_worker_that_can_split(
    peers: Peers, function: str
) -> None:
    # libgearman's workers send GRAB_JOB_ALL, which is answered with JOB_ASSIGN_UNIQ here.
    worker = peers.worker("c", reverse=function)
    client = peers.client("c", "run", function, workload="hello", unique=f"key-{function}")
    assert client.result() == b"olleh"
    assert worker.event("job")["unique"] == f"key-{function}"


@repaired("it never wakes a sleeping worker when the moment of a delayed job has come")
def test_a_delayed_job_wakes_a_worker_when_its_moment_comes(peers: Peers, function: str) -> None:
    worker = peers.worker("c", echo=function)
    submitted = time.time()
    peers.client("c", "background", function, workload="later", delay=2).event("created")
    worker.event("job")
    # Moments are whole seconds, so two seconds later is at least one second from now.
    assert 1 <= time.time() - submitted < 4


def test_a_delayed_job_is_not_given_out_before_its_moment(peers: Peers, function: str) -> None:
    client = peers.client("c", "background", function, workload="later", delay=1000)
    handle = client.event("created")["handle"]
    worker = peers.worker("c", echo=function)
    assert peers.client("c", "run", function, workload="now").result() == b"now"
    assert worker.event("job")["workload"] == b"now"
    assert answer(client, handle) == (True, False, 0, 0)


def test_a_job_can_be_watched_by_its_unique_key(peers: Peers, function: str) -> None:
    key = f"key-{function}"
    client = peers.client("c", "background", function, workload="x", unique=key)
    client.event("created")
    assert answer(client, f"unique:{key}") == (True, False, 0, 0), "waiting"
    worker = peers.worker("c", hang=function)
    eventually(lambda: answer(client, f"unique:{key}") == (True, True, 1, 2), "half done")
    peers.kill(worker, function)
    peers.worker("c", echo=function)
    eventually(lambda: answer(client, f"unique:{key}") == (False, False, 0, 0), "done")


def test_an_unknown_handle_and_an_unknown_key_are_answered(peers: Peers, function: str) -> None:
    client = peers.client("c", "background", function, workload="x")
    client.event("created")
    assert answer(client, "H:nowhere:1") == (False, False, 0, 0)
    assert answer(client, "unique:nobody's key") == (False, False, 0, 0)
