"""How long the tools take to start, beside nothing else: ``make test`` runs this file alone."""

from __future__ import annotations

import time

import pytest

from tests.cli.conftest import Tools
from tests.cli.servers import Server

# Seconds, and how often it is tried: other programs run here too.
LONGEST = 0.150
TRIES = 10


def shortest(tools: Tools, name: str, *args: str, server: Server | None = None) -> float:
    """Return how long a tool takes from its start to its end."""
    times = []
    for _ in range(TRIES):
        start = time.perf_counter()
        assert tools.run(name, *args, server=server).returncode == 0
        times.append(time.perf_counter() - start)
    return min(times)


def test_gearman_starts_within_150_ms(server: Server, tools: Tools, function: str) -> None:
    tools.worker(server, function, "--", "true")
    assert shortest(tools, "gearman", "-f", function, "-s", server=server) < LONGEST


@pytest.mark.parametrize("name", ["gearman", "gearadmin"])
def test_a_tool_says_how_it_is_used_within_150_ms(tools: Tools, name: str) -> None:
    assert shortest(tools, name, "--help") < LONGEST
