"""
How long to wait before the next attempt: longer each time, and never in step.

Exponential back-off spares a server that is down; the jitter keeps a thousand
clients that lost it in the same second from coming back in the same second.
Nothing is slept here, and chance is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST: Final = 0.1
FACTOR: Final = 2.0
LIMIT: Final = 5.0


class Backoff:
    """
    Delays between attempts: each is half fixed, half by chance.

    Args:
        random: Gives floats within [0, 1), such as ``random.random``.
        first: First delay at most, in seconds.
        factor: How much longer each delay may be than the one before.
        limit: Longest delay, in seconds.

    Attributes:
        attempts: Delays given since the last success.

    """

    def __init__(
        self,
        random: Callable[[], float],
        first: float = FIRST,
        factor: float = FACTOR,
        limit: float = LIMIT,
    ) -> None:
        self.random = random
        self.first = first
        self.factor = factor
        self.limit = limit
        self.attempts = 0
        self.ceiling = min(first, limit)

    def next_delay(self) -> float:
        """Return how many seconds to wait now that one more attempt has failed."""
        ceiling = self.ceiling
        self.attempts += 1
        self.ceiling = min(ceiling * self.factor, self.limit)
        return ceiling * (0.5 + 0.5 * self.random())

    def reset(self) -> None:
        """Start over, after an attempt that succeeded."""
        self.attempts = 0
        self.ceiling = min(self.first, self.limit)


__all__ = ["FACTOR", "FIRST", "LIMIT", "Backoff"]
