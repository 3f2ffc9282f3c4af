"""A store that hangs or is gone: refusals within a second, others served, and soon well again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geartrain.store.batch import Batch
from geartrain.store.url import open_store
from tests.server.bystander import UNDISTURBED, Bystander
from tests.server.peer import (
    CAN_DO,
    ERROR,
    GRAB_JOB,
    JOB_ASSIGN,
    JOB_CREATED,
    NO_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
)
from tests.server.servers import ThreadServer
from tests.services.availability import require
from tests.services.key_value import MemcachedServer, RedisServer, Service
from tests.store.samples import make_jobs, numbers

KINDS = {"redis": RedisServer, "memcached": MemcachedServer}
# Seconds within which a submission is refused, and a store that is back is used again.
REFUSED = 1.0
HEALED = 5.0


@pytest.fixture(params=list(KINDS))
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    require(request.param)
    found = KINDS[request.param](tmp_path)
    found.start()
    yield found
    found.kill()


@pytest.mark.parametrize("fault", ["frozen", "killed"])
def test_store_trouble_is_told_at_once_disturbs_nobody_and_heals(
    service: Service, fault: str
) -> None:
    server = ThreadServer(open_store(service.url(), handle_prefix=b"H:x"))
    try:
        client = server.peer()
        assert submit(client, b"before")
        with Bystander(server.address) as bystander:
            service.freeze() if fault == "frozen" else service.kill()
            refused = 0
            while refused < 2 or len(bystander.times) < 20:
                refused += 1
                start = time.monotonic()
                assert not submit(client, b"refused-%d" % refused)
                assert time.monotonic() - start < REFUSED + UNDISTURBED
            service.thaw() if fault == "frozen" else service.start()
            start = time.monotonic()
            while not submit(client, b"after"):
                assert time.monotonic() - start < HEALED
        assert bystander.slowest() < UNDISTURBED
        assert drained(server.peer()) == [b"before", b"after"]
    finally:
        server.stop()
    # Nor do they come back with the next start.
    again = ThreadServer(open_store(service.url(), handle_prefix=b"H:y"))
    try:
        assert drained(again.peer()) == []
    finally:
        again.stop()


def test_jobs_that_the_server_names_as_refused_are_taken_out(service: Service) -> None:
    store = open_store(service.url(), handle_prefix=b"H:x")
    store.open()
    try:
        kept, refused = make_jobs(2)
        store.commit(Batch([kept, refused]))
        store.commit(Batch(refused=[refused.number]))
        assert numbers(store) == [kept.number]
    finally:
        store.close()


def submit(client: Peer, workload: bytes) -> bool:
    """Submit a job in the background, and return whether it was accepted."""
    client.send(SUBMIT_JOB_BG, b"trouble", b"", workload)
    kind, _ = client.receive()
    assert kind in (JOB_CREATED, ERROR)
    return kind == JOB_CREATED


def drained(worker: Peer) -> list[bytes]:
    """Run all jobs there are and return their workloads."""
    worker.send(CAN_DO, b"trouble")
    workloads = []
    while True:
        worker.send(GRAB_JOB)
        kind, body = worker.receive()
        if kind == NO_JOB:
            return workloads
        assert kind == JOB_ASSIGN
        handle, _, workload = body.split(b"\0", 2)
        workloads.append(workload)
        worker.send(WORK_COMPLETE, handle, b"")
