"""What gearmanode is sensitive to: how packets share a segment, and how often a worker is woken."""

from __future__ import annotations

from tests.acceptance.peer import Peers


def test_a_burst_of_results_is_put_together_again(peers: Peers, function: str) -> None:
    peers.worker("c", reverse=function)
    client = peers.client("node", "run", function, workload="0123456789", times=300)
    events = client.events()
    assert len({event["handle"] for event in events if event["event"] == "created"}) == 300
    results = [event["data"] for event in events if event["event"] == "complete"]
    assert results == [b"9876543210"] * 300


def test_a_burst_of_updates_arrives_in_order(peers: Peers, function: str) -> None:
    peers.worker("c", story=function)
    events = peers.client("node", "run", function, workload="x", times=50).events()
    updates = [event.get("data") for event in events if event["event"] in ("data", "complete")]
    assert updates == [b"one", b"two", b"end"] * 50


def test_a_worker_under_a_burst_does_one_job_at_a_time(peers: Peers, function: str) -> None:
    # It starts one job for each NOOP, whatever it is doing, so one NOOP too many shows here.
    worker = peers.worker("node", slow=function)
    client = peers.client("c", "run", function, workload="x", times=12)
    assert client.names()[12:] == ["complete"] * 12
    for _ in range(12):
        worker.event("done")
    assert [event["event"] for event in worker.seen] == ["job", "done"] * 12


def test_jobs_that_come_one_by_one_wake_a_worker_once_each(peers: Peers, function: str) -> None:
    worker = peers.worker("node", reverse=function)
    for count in range(20):
        client = peers.client("c", "run", function, workload=f"<{count}")
        assert client.result() == f"<{count}".encode()[::-1]
        worker.event("job")
    assert worker.error_text() == ""
