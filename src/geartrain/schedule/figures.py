"""
How a scheduler does: what it counted, and how late it was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Figures"]

_KEPT: Final = 10_000


@dataclass(slots=True)
class Figures:
    """
    Counts since the start.

    Attributes:
        claimed: Entries that were dealt with.
        submitted: Fires that a job server has acknowledged.
        ended: Fires that have ended.
        missed, skipped: Moments that did not run.
        takeovers: Fires that another scheduler had left behind.
        skew: Seconds by which this machine's clock is ahead of the database's.
        lags: Of the last fires: seconds from when they were due to the acknowledgement.

    """

    claimed: int = 0
    submitted: int = 0
    ended: int = 0
    missed: int = 0
    skipped: int = 0
    takeovers: int = 0
    skew: float = 0.0
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def lag(self, part: float) -> float:
        """Return the lag that this part of the last fires, such as 0.99, have at most."""
        ordered = sorted(self.lags)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0

    def line(self) -> str:
        """Return the figures on one line, for a log."""
        return (
            f"claimed {self.claimed}, submitted {self.submitted}, ended {self.ended}, "
            f"missed {self.missed}, skipped {self.skipped}, taken over {self.takeovers}; "
            f"lag p50 {self.lag(0.5):.3f} s, p99 {self.lag(0.99):.3f} s, "
            f"clock {self.skew:+.3f} s"
        )
