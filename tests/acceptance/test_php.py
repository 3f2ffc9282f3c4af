"""What only php-gearman does: its second client API, and status by unique key."""

from __future__ import annotations

from tests.acceptance.job_server import eventually
from tests.acceptance.peer import Peers


def test_do_normal_pings_and_returns_what_was_sent_on_the_way_with_the_result(
    peers: Peers, function: str
) -> None:
    peers.worker("php", story=function)
    port = str(peers.job_server.port)
    client = peers.start("php", "do_normal", port, function, "x")
    # The library itself joins the data to the result and keeps the warning to itself.
    assert client.events() == [{"event": "pong"}, {"event": "complete", "data": b"onetwoend"}]


def test_do_normal_tells_a_failure(peers: Peers, function: str) -> None:
    peers.worker("php", fail=function)
    port = str(peers.job_server.port)
    client = peers.start("php", "do_normal", port, function, "x")
    assert client.names() == ["pong", "fail"]


def test_a_background_job_can_be_watched_by_its_unique_key(peers: Peers, function: str) -> None:
    port = str(peers.job_server.port)
    client = peers.start("php", "by_unique_key", port, function, f"key-{function}")
    client.event("created")

    def status() -> tuple[bool, bool, int, int]:
        client.tell("?")
        answer = client.event("answer")
        return answer["known"], answer["running"], answer["numerator"], answer["denominator"]

    assert status() == (True, False, 0, 0), "waiting"
    worker = peers.worker("php", hang=function)
    eventually(lambda: status() == (True, True, 1, 2), "running, half done")
    peers.kill(worker, function)
    peers.worker("php", echo=function)
    eventually(lambda: status() == (False, False, 0, 0), "done")
