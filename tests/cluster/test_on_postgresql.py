"""Two servers on a real PostgreSQL: unique keys, status, clients of ours, and who takes part."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from geartrain import AdminClient, Client
from tests.faults.cluster import Member
from tests.server.peer import (
    CAN_DO,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
)
from tests.server.servers import eventually
from tests.services.postgresql import shared_postgresql

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Member]]:
    instance = shared_postgresql()
    url = instance.url(instance.new_database())
    folder = tmp_path_factory.mktemp("members")
    members = [Member(folder / name, url, name) for name in ("one", "two")]
    try:
        for member in members:
            member.start()
        yield members
    finally:
        for member in members:
            member.stop()


@pytest.fixture
def peers(members: list[Member]) -> Iterator[list[Peer]]:
    """A connection to each server."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Peer(("127.0.0.1", member.port))) for member in members]


def test_a_unique_key_counts_at_both(peers: list[Peer]) -> None:
    one, two = peers
    handle = one.submit(SUBMIT_JOB_BG, b"keys", b"key")
    assert two.submit(SUBMIT_JOB_BG, b"keys", b"key") == handle
    assert one.submit(SUBMIT_JOB, b"keys", b"key") == handle
    two.send(CAN_DO, b"keys")
    assert two.grab() == b""
    one.send(CAN_DO, b"keys")
    assert one.grab() == handle
    one.send(WORK_COMPLETE, handle, b"done")
    one.expect(WORK_COMPLETE, handle, b"done")
    # Who has seen it end gets a job of its own, at either.
    again = two.submit(SUBMIT_JOB_BG, b"keys", b"key")
    assert again != handle
    assert two.grab() == again
    two.send(WORK_COMPLETE, again, b"")
    two.echo()


def test_both_tell_the_status_of_a_job(peers: list[Peer]) -> None:
    one, two = peers
    handle = one.submit(SUBMIT_JOB_BG, b"status", b"asked-for")
    two.send(GET_STATUS, handle)
    two.expect(STATUS_RES, handle, b"1", b"0", b"0", b"0")
    one.send(CAN_DO, b"status")
    assert one.grab() == handle
    two.send(GET_STATUS_UNIQUE, b"asked-for")
    two.expect(STATUS_RES_UNIQUE, b"asked-for", b"1", b"1", b"0", b"0", b"0")
    one.send(WORK_COMPLETE, handle, b"")
    one.echo()
    eventually(lambda: status(two, handle) == b"0", "it has ended")


def status(peer: Peer, handle: bytes) -> bytes:
    """Return whether a job is known."""
    peer.send(GET_STATUS, handle)
    kind, body = peer.receive()
    assert kind == STATUS_RES
    return body.split(b"\0")[1]


def test_the_command_shows_both(members: list[Member]) -> None:
    command = Path(sys.executable).with_name("geartrain")
    done = subprocess.run(
        [command, "cluster", "--json", "--server", f"127.0.0.1:{members[1].port}"],
        capture_output=True,
        check=True,
    )
    rows = json.loads(done.stdout)
    assert sorted((row["name"], row["here"], row["state"]) for row in rows) == [
        ("one", False, "serving"),
        ("two", True, "serving"),
    ]


def test_our_client_gets_its_result_although_its_server_is_killed(members: list[Member]) -> None:
    """A foreground job with a unique key is safe to submit again, and the client does."""
    victim, other = members
    addresses = [f"127.0.0.1:{member.port}" for member in members]
    with (
        Client(addresses) as client,
        Peer(("127.0.0.1", victim.port)) as worker,
        Peer(("127.0.0.1", other.port)) as second,
        ThreadPoolExecutor() as threads,
    ):
        for peer in (worker, second):
            peer.send(CAN_DO, b"failing-over")
        result = threads.submit(client.call, "failing-over", b"work", unique="once")
        eventually(lambda: bool(worker.grab()), "the first server has the job")
        victim.kill()
        again: list[bytes] = []

        def has_it() -> bool:
            again.append(second.grab())
            return bool(again[-1])

        eventually(has_it, "the client has submitted it again")
        second.send(WORK_COMPLETE, again[-1], b"result")
        assert result.result(10) == b"result"
    with AdminClient(addresses[1]) as admin:
        assert "two" in [member.name for member in admin.cluster()]
