"""
The time that a job server goes by: seconds since 1970, which pass evenly.

Delayed jobs wait for a moment by the system's clock, but a worker's time is a span:
whoever sets the clock must not end it early, or late. So time goes on by a clock
that nobody can set, and follows the system's clock when it is asked to.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["SteadyClock"]

# A change by less than this many seconds is not somebody's doing, but the two clocks' uneven pace.
TOLERANCE = 0.5


class SteadyClock:
    """
    Seconds since 1970.

    Args:
        wall: Returns seconds since 1970, as the system says; it may jump.
        steady: Returns seconds that only ever pass.

    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wall = wall
        self.steady = steady
        self.offset = wall() - steady()

    def now(self) -> float:
        """Return the time, which has passed evenly since ``follow`` was last called."""
        return self.steady() + self.offset

    def follow(self) -> float:
        """
        Go by what the system's clock says now.

        Returns by how many seconds it was set, or 0 where it was not.
        """
        offset = self.wall() - self.steady()
        shift = offset - self.offset
        self.offset = offset
        return shift if abs(shift) > TOLERANCE else 0.0
