"""How long jobs wait, asked of a server that tells and of one that does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from geartrain import Client
from geartrain.client.admin_replies import FunctionWait
from geartrain.supervisor.waiting import WaitMeter, ask
from tests.acceptance.job_server import JobServer


def told(waiting: int, seconds: float, running: int = 0, function: str = "f") -> FunctionWait:
    return FunctionWait(function, waiting, running, seconds)


def test_what_servers_tell_is_taken_and_the_longest_counts() -> None:
    meter = WaitMeter(["f", "g"])
    assert meter.observe(100.0, [told(3, 7.5, running=2), told(1, 9.0, 1, "h")]) == (7.5, 2)
    assert meter.observe(900.0, [told(3, 0.5), told(1, 4.0, 1, "g")]) == (4.0, 1)
    assert meter.observe(901.0, [told(0, 0.0)]) == (0.0, 0)


def test_where_no_server_tells_it_is_the_time_since_the_line_was_empty() -> None:
    meter = WaitMeter(["f"])
    assert meter.observe(100.0, [told(3, -1.0)]) == (0.0, 0)
    assert meter.observe(130.0, [told(9, -1.0), told(1, 2.0)]) == (30.0, 0)
    assert meter.observe(140.0, [told(0, -1.0), told(1, 2.0)]) == (2.0, 0)
    assert meter.observe(145.0, [told(1, -1.0)]) == (5.0, 0)


@pytest.mark.parametrize(("kind", "tells"), [("geartrain", True), ("gearmand", False)])
def test_a_server_tells_or_does_not(kind: str, tells: bool, tmp_path: Path) -> None:
    server = JobServer(kind, tmp_path)
    try:
        address = f"127.0.0.1:{server.port}"
        with Client(address) as client:
            client.submit("f", background=True)
        (line,) = asyncio.run(ask([address]))
        assert (line.function, line.waiting, line.running) == ("f", 1, 0)
        assert (line.seconds >= 0) is tells
    finally:
        server.stop()
