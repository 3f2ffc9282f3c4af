"""
Log lines about what peers did, a few a second at most.

A peer that connects and breaks the protocol as fast as it can must not fill
the disk. What is left out is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("geartrain.server")

# Lines in one period, and its length in seconds.
MAX_LINES = 10
PERIOD = 1.0


class PeerLog:
    """
    Writes lines about peers to the log.

    Args:
        clock: Returns seconds that never go back.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.period_end = 0.0
        self.count = 0

    def note(self, text: str, *args: object) -> None:
        """Log a line, unless there were too many of them a moment ago."""
        now = self.clock()
        if now >= self.period_end:
            if self.count > MAX_LINES:
                logger.info("and %d more like that", self.count - MAX_LINES)
            self.period_end = now + PERIOD
            self.count = 0
        self.count += 1
        if self.count <= MAX_LINES:
            logger.info(text, *args)


__all__ = ["PeerLog"]
