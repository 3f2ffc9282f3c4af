"""A server that sleeps while another takes its store wakes up with nothing, and stands by."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.job_server import eventually
from tests.server.peer import (
    CAN_DO,
    ERROR,
    GRAB_JOB,
    JOB_ASSIGN,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
)
from tests.server.servers import EndedAtOnce, ProcessServer
from tests.services.availability import require
from tests.services.key_value import MemcachedServer, RedisServer, Service

COUNT = 20
LEASE = 1.0


@pytest.fixture(params=["redis", "memcached"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    require(request.param)
    kinds = {"redis": RedisServer, "memcached": MemcachedServer}
    found = kinds[request.param](tmp_path)
    found.start()
    yield found
    found.kill()


def test_server_that_slept_through_its_lease_runs_nothing_of_what_it_held(
    service: Service, tmp_path: Path
) -> None:
    directories = [tmp_path / "first", tmp_path / "second"]
    for directory in directories:
        directory.mkdir()
    first = ProcessServer(directories[0], store=service.url(), lease=LEASE)
    servers = [first]
    try:
        client, worker = first.peer(), first.peer()
        for n in range(COUNT):
            client.submit(SUBMIT_JOB_BG, b"f", workload=b"%d" % n)
        worker.send(CAN_DO, b"f")
        held = worker.grab()
        # While it lives, nobody else gets in.
        with pytest.raises(EndedAtOnce, match="is in use by another server"):
            ProcessServer(directories[1], store=service.url(), lease=LEASE)
        first.signal(signal.SIGSTOP)
        second = ProcessServer(directories[1], store=service.url(), lease=LEASE)
        servers.append(second)
        with closing(Peer(second.address)) as other:
            assert drained(other) == [b"%d" % n for n in range(COUNT)]
        first.signal(signal.SIGCONT)
        # What it had assigned may not end here, and nothing is assigned any more.
        assert not ends(worker, held)
        with closing(Peer(first.address)) as late:
            assert drained(late) == []
        assert "was taken over by another server" in first.error_text()
        assert "Traceback" not in first.error_text()
        # When the second goes, the first stands in.
        second.signal(signal.SIGTERM)
        second.wait()
        eventually(lambda: submits(first), "the first server takes part again")
        with closing(Peer(first.address)) as late:
            assert drained(late) == [b"again"]
        # That it has to wait is said once.
        assert first.error_text().count("could not join the servers") <= 1
    finally:
        for server in servers:
            server.signal(signal.SIGCONT)
            server.stop()


def drained(worker: Peer) -> list[bytes]:
    """Run all jobs there are and return their workloads."""
    worker.send(CAN_DO, b"f")
    workloads = []
    worker.send(GRAB_JOB)
    while (answer := worker.receive())[0] == JOB_ASSIGN:
        handle, _, workload = answer[1].split(b"\0", 2)
        workloads.append(workload)
        worker.send(WORK_COMPLETE, handle, b"")
        worker.send(GRAB_JOB)
    assert answer[0] == NO_JOB
    return workloads


def ends(worker: Peer, handle: bytes) -> bool:
    """Return whether a result is taken; the connection may be cut instead of an answer."""
    try:
        worker.send(WORK_COMPLETE, handle, b"")
        worker.send(GRAB_JOB)
        kinds = []
        while not kinds or kinds[-1] not in (NO_JOB, JOB_ASSIGN):
            kinds.append(worker.receive()[0])
    except (OSError, EOFError):
        return False
    assert JOB_ASSIGN not in kinds
    return not {ERROR, NOOP} & set(kinds)


def submits(server: ProcessServer) -> bool:
    """Return whether a submission is accepted."""
    with closing(Peer(server.address)) as client:
        client.send(SUBMIT_JOB_BG, b"f", b"again", b"again")
        return client.receive()[0] == JOB_CREATED
