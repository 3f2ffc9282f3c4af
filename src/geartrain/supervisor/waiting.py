"""
How long jobs wait, as far as a job server tells.

Ours tell for how long the first in line has waited. gearmand's status names the jobs
that wait and not since when. A line that has not been empty for a minute may hold a job
that old and none that is older: so there the time since a line was last seen empty is
what is reported, and it is right where it counts, when a line does not get shorter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from geartrain.client.address import AddressLike
from geartrain.client.admin_aio import AsyncAdminClient
from geartrain.client.admin_replies import FunctionWait
from geartrain.errors import ServerError

__all__ = ["WaitMeter", "ask"]


class WaitMeter:
    """Tells how long jobs of some functions wait. Pure: it is told what a server said, and when."""

    def __init__(self, functions: Sequence[str]) -> None:
        self.functions = functions
        self.empty_at: float | None = None

    def observe(self, now: float, lines: Iterable[FunctionWait]) -> tuple[float, int]:
        """
        Return how long jobs wait, in seconds, and how many run.

        Args:
            now: Seconds.
            lines: Those of every server; with seconds below 0 where it does not tell.

        """
        mine = [line for line in lines if line.function in self.functions]
        untold = [line for line in mine if line.seconds < 0]
        if not any(line.waiting for line in untold) or self.empty_at is None:
            # The first look does not know for how long they have waited.
            self.empty_at = now
        longest = max([now - self.empty_at, *(line.seconds for line in mine)])
        return longest, sum(line.running for line in mine)


async def ask(servers: Sequence[AddressLike]) -> list[FunctionWait]:
    """
    Return how long jobs of each function of each server wait; below 0 where it does not tell.

    Raises:
        GeartrainError: A server does not answer.

    """
    lines: list[FunctionWait] = []
    for server in servers:
        async with AsyncAdminClient(server) as client:
            try:
                lines += await client.waits()
            except ServerError:
                lines += [
                    FunctionWait(row.function, row.total - row.running, row.running, -1.0)
                    for row in await client.status()
                ]
    return lines
