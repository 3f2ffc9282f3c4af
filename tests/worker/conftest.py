"""Fixtures of the worker's tests: job servers, workers of every kind, gates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.job_server import JobServer
from tests.worker.fake_server import FakeServer
from tests.worker.running import KINDS, Gate, MakeGate, RunningWorker, StartWorker

# To run the tests against one more server, teach JobServer its name and add it here.
SERVERS = ["gearmand", "geartrain"]


@pytest.fixture(scope="module", params=SERVERS)
def job_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JobServer]:
    server = JobServer(request.param, tmp_path_factory.mktemp(request.param))
    yield server
    server.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each way to run handlers."""
    return str(request.param)


@pytest.fixture
def start_worker() -> Iterator[StartWorker]:
    """Start workers that end with the test."""
    workers: list[RunningWorker] = []

    def start(kind: str, *arguments: Any, **options: Any) -> RunningWorker:
        worker = RunningWorker(kind, *arguments, **options)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.worker.stop(0)
    for worker in workers:
        worker.join()


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[MakeGate]:
    """Make gates; what still waits there is let go when the test ends."""
    numbers = itertools.count()
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate(tmp_path / f"gate{next(numbers)}"))
        return gates[-1]

    yield make
    for gate in gates:
        with suppress(OSError):
            gate.is_reached()
        gate.close()


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def other_server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server
