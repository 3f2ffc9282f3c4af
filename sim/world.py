"""
The clock and the chance of a simulation: everything happens here, one thing after another.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from random import Random

# When a simulation begins, in seconds since 1970. Any time would do.
BEGINNING = 1_000_000_000.0
# Lines of the log that are kept for whoever reads about a failure.
REMEMBERED = 400


class Happening:
    """Something that is going to happen, unless it is called off."""

    __slots__ = ("action", "is_off")

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action
        self.is_off = False

    def call_off(self) -> None:
        """Let it not happen."""
        self.is_off = True


class World:
    """
    Virtual time, and the only source of randomness.

    Args:
        seed: Decides everything.

    Attributes:
        now: Seconds since 1970.
        random: To be asked for each decision, in the order of time.
        log: The last lines that were noted.

    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = BEGINNING
        self.log: deque[str] = deque(maxlen=REMEMBERED)
        self.count = 0
        self._digest = sha256()
        self._coming: list[tuple[float, int, Happening]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> Happening:
        """Let something happen so many seconds from now; at the same time, first come first."""
        happening = Happening(action)
        self.count += 1
        heapq.heappush(self._coming, (self.now + max(0.0, seconds), self.count, happening))
        return happening

    def run_until(self, end: float) -> None:
        """Let everything happen that is due until ``end``."""
        while self._coming and self._coming[0][0] <= end:
            due, _, happening = heapq.heappop(self._coming)
            self.now = max(self.now, due)
            if not happening.is_off:
                happening.action()
        self.now = end

    def note(self, line: str) -> None:
        """Write a line into the log."""
        text = f"{self.now - BEGINNING:10.6f} {line}"
        self.log.append(text)
        self._digest.update(text.encode())

    def fingerprint(self) -> str:
        """Return what is equal for two runs in which the same things happened."""
        return self._digest.hexdigest()[:16]

    # Chances.

    def happens(self, chance: float) -> bool:
        """Return whether something with this chance happens."""
        return self.random.random() < chance

    def seconds(self, least: float, most: float) -> float:
        """Return some time between two."""
        return self.random.uniform(least, most)
