"""A client in one language, a worker in another: neither may notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.expectations import repaired
from tests.acceptance.peer import Peers

LANGUAGES = ["php", "perl", "node", "c", "pygearman", "gear", "geartrain", "geartrain_aio"]

every_pair = pytest.mark.parametrize(
    ("client", "worker"),
    [
        ("php", "perl"),
        ("node", "php"),
        ("c", "pygearman"),
        ("perl", "node"),
        ("pygearman", "gear"),
        ("gear", "perl"),
        ("geartrain", "php"),
        ("perl", "geartrain"),
        ("geartrain_aio", "perl"),
        ("node", "geartrain_aio"),
    ],
)


@every_pair
def test_the_whole_story_of_a_job_crosses_languages(
    peers: Peers, client: str, worker: str, function: str
) -> None:
    peers.worker(worker, story=function)
    events = peers.client(client, "run", function, workload="x").events()
    assert events[1:] == [
        {"event": "data", "data": b"one"},
        {"event": "data", "data": b"two"},
        {"event": "warning", "data": b"careful"},
        {"event": "status", "numerator": 1, "denominator": 2},
        {"event": "complete", "data": b"end"},
    ]


@every_pair
def test_a_background_job_crosses_languages(
    peers: Peers, client: str, worker: str, function: str
) -> None:
    sleeping = peers.worker(worker, echo=function)
    submitted = peers.client(client, "background", function, workload="later", priority="high")
    job = sleeping.event("job")
    assert job["workload"] == b"later"
    assert submitted.events()[0]["handle"] == job["handle"]


@repaired("it sends no more than 1.5 MB/s to a peer on its own machine, so it takes too long")
@pytest.mark.parametrize(
    ("client", "worker"),
    [("php", "perl"), ("perl", "pygearman"), ("node", "perl"), ("geartrain", "geartrain")],
)
def test_eight_mebibytes_cross_languages(
    peers: Peers, client: str, worker: str, function: str, very_large_file: Path
) -> None:
    peers.worker(worker, echo=function)
    result = peers.client(client, "run", function, file=very_large_file).result()
    assert result == very_large_file.read_bytes()


def test_clients_of_all_languages_with_the_same_unique_share_one_job(
    peers: Peers, function: str
) -> None:
    clients = [
        peers.client(language, "run", function, workload="once", unique=f"key-{function}")
        for language in LANGUAGES
    ]
    assert len({client.event("created")["handle"] for client in clients}) == 1
    peers.worker("php", reverse=function)
    assert [client.result() for client in clients] == [b"ecno"] * len(clients)


@pytest.mark.parametrize("fresh_job_server", ["geartrain"], indirect=True)
def test_what_was_acknowledged_to_any_language_outlives_the_server(fresh_peers: Peers) -> None:
    # gearmand keeps background jobs in memory unless it is given a queue plugin.
    acknowledged = set()
    for language in LANGUAGES:
        client = fresh_peers.client(language, "background", "keep", workload=language)
        acknowledged.add((client.events()[0]["handle"], language.encode()))
    fresh_peers.job_server.stop()
    fresh_peers.job_server.start()
    worker = fresh_peers.worker("php", echo="keep")
    jobs = [worker.event("job") for _ in range(len(acknowledged))]
    assert {(job["handle"], job["workload"]) for job in jobs} == acknowledged


def test_workers_of_all_languages_share_the_work(peers: Peers, function: str) -> None:
    workers = [peers.worker(language, slow=function) for language in LANGUAGES]
    client = peers.client("c", "run", function, workload="x", times=60)
    assert client.names()[60:] == ["complete"] * 60
    for worker in workers:
        worker.event("done")
