"""
How many processes a program is to have, from how long its jobs wait.

There are to be more at once when jobs wait for longer than the target, by a
half of what there is, and one less after a while in which one had nothing to
do. After each step the next waits until its effect can be seen.
"""

from __future__ import annotations

from geartrain.supervisor.program import Autoscale

__all__ = ["Scaler"]


class Scaler:
    """
    The number of processes of one program.

    Args:
        rule: What the configuration asks for.

    """

    __slots__ = ("calm_since", "patience", "rule")

    def __init__(self, rule: Autoscale) -> None:
        self.rule = rule
        # Since when one process has had nothing to do; None if all have.
        self.calm_since: float | None = None
        # Until when the last step is waited for.
        self.patience = 0.0

    def bounded(self, count: int) -> int:
        """Return the nearest number of processes that the rule allows."""
        return max(self.rule.min, min(self.rule.max, count))

    def observe(self, now: float, count: int, seconds: float, running: int) -> int:
        """
        Return how many processes there are to be.

        Args:
            now: Seconds.
            count: Processes there are, all of them running.
            seconds: How long jobs wait.
            running: Jobs that run.

        """
        if seconds > self.rule.target_wait:
            self.calm_since = None
            if now < self.patience:
                return count
            self.patience = now + self.rule.target_wait
            return self.bounded(count + max(1, count // 2))
        if seconds > 0 or running >= count:
            self.calm_since = None
            return count
        if self.calm_since is None:
            self.calm_since = now
        if now - self.calm_since < self.rule.calm:
            return count
        self.calm_since = now
        return self.bounded(count - 1)
