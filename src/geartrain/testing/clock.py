"""A clock that tests turn by hand."""

from __future__ import annotations

import math
import threading
import time


class FakeClock:
    """
    Seconds since 1970 that pass only when told to.

    Args:
        now: Where it starts; by default the present, in whole seconds, as delays are.

    """

    def __init__(self, now: float | None = None) -> None:
        self._lock = threading.Lock()
        self._now = math.ceil(time.time()) if now is None else now

    def __call__(self) -> float:
        """Return the time."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds


__all__ = ["FakeClock"]
