"""
How long jobs wait, as far as a job server tells.

Gearman's status names the jobs that wait and not since when. A line that has
not been empty for a minute may hold a job that old and none that is older: so
the time since a line was last seen empty is what is reported, and it is right
where it counts, when a line does not get shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from geartrain.client.address import AddressLike
from geartrain.client.admin_aio import AsyncAdminClient

__all__ = ["WaitMeter", "ask"]


class WaitMeter:
    """Tells how long jobs of some functions wait. Pure: it is told what a server said, and when."""

    def __init__(self, functions: Sequence[str]) -> None:
        self.functions = functions
        self.empty_at: float | None = None

    def observe(self, now: float, lines: Iterable[tuple[str, int, int]]) -> tuple[float, int]:
        """
        Return how long jobs wait, in seconds, and how many run.

        Args:
            now: Seconds.
            lines: Function, jobs that wait and jobs that run, of every server.

        """
        waiting = running = 0
        for function, waits, runs in lines:
            if function in self.functions:
                waiting += waits
                running += runs
        if not waiting or self.empty_at is None:
            # The first look does not know for how long they have waited.
            self.empty_at = now
        return (now - self.empty_at if waiting else 0.0), running


async def ask(servers: Sequence[AddressLike]) -> list[tuple[str, int, int]]:
    """
    Return function, jobs that wait and jobs that run, for each function of each server.

    Raises:
        GeartrainError: A server does not answer.

    """
    lines: list[tuple[str, int, int]] = []
    for server in servers:
        async with AsyncAdminClient(server) as client:
            rows = await client.status()
        lines += [(row.function, row.total - row.running, row.running) for row in rows]
    return lines
