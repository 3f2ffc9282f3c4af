"""
What a function's jobs are to be done by: retries, time-outs, limits. Data and arithmetic only.

A policy is made by configuration or declared by a worker; how it is kept is said
in ``policing``, ``retrying`` and ``inquiring``.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

__all__ = ["NO_LIMIT", "RESULT_FUNCTION", "Policy"]

# A foreground job of this function is answered by the server itself: with the result of the job
# whose handle is its workload.
RESULT_FUNCTION: Final = b"geartrain:result"
# More jobs than there ever are.
NO_LIMIT: Final = 1 << 60
# Delays no longer grow after so many attempts; they would leave what a float can hold.
_LAST_DOUBLING: Final = 60


class Policy:
    """
    The policy of one function, or of those that a pattern fits.

    Attributes:
        pattern: The function's name, or a pattern with ``*``, ``?`` and ``[...]``.
        attempts: Attempts that a job gets, whatever ends them; 0 for any number.
        first: Seconds between a failure and the second attempt.
        factor: How much longer each further wait is than the one before; 1 for the same.
        longest: Longest wait, in seconds.
        jitter: Part of a wait, 0 to 1, by which it is shortened at most, to spread retries.
        timeout: Seconds that an attempt may take; 0 for any time.
        dead_letters: Whether a background job that is given up is kept for a person.
        keeps_failures: The same, of one that failed and is not tried again.
        poison: Workers that may be lost with a job until it is given up; 0 for any number.
        concurrency: Jobs that may run at a time; 0 for any number.
        per_key: Jobs with the same key that may run at a time; 0 for any number.
        separator: The key of a job is its unique key up to this.
        interval: Seconds from one assignment to the next, on average; 0 for no limit.
        burst: Assignments that may follow each other without a pause.
        expires: Seconds that a job may wait; 0 for any time.
        retention: Seconds that results of background jobs are kept; 0 for not at all.
        maxqueue: Jobs that the function may hold; 0 for any number.
        queued_only: Whether a submission joins a job only while that waits, not while it runs.

    """

    __slots__ = (
        "attempts",
        "burst",
        "concurrency",
        "dead_letters",
        "expires",
        "factor",
        "first",
        "interval",
        "jitter",
        "keeps_failures",
        "longest",
        "maxqueue",
        "pattern",
        "per_key",
        "poison",
        "queued_only",
        "retention",
        "separator",
        "timeout",
    )

    def __init__(
        self,
        pattern: bytes,
        attempts: int = 0,
        first: float = 0.0,
        factor: float = 1.0,
        longest: float = 0.0,
        jitter: float = 0.0,
        timeout: float = 0.0,
        dead_letters: bool = False,
        poison: int = 0,
        concurrency: int = 0,
        per_key: int = 0,
        separator: bytes = b":",
        interval: float = 0.0,
        burst: int = 1,
        expires: float = 0.0,
        retention: float = 0.0,
        maxqueue: int = 0,
        queued_only: bool = False,
        keeps_failures: bool = False,
    ) -> None:
        self.pattern = pattern
        self.attempts = attempts
        self.first = first
        self.factor = factor
        self.longest = longest
        self.jitter = jitter
        self.timeout = timeout
        self.dead_letters = dead_letters
        self.poison = poison
        self.concurrency = concurrency
        self.per_key = per_key
        self.separator = separator
        self.interval = interval
        self.burst = burst
        self.expires = expires
        self.retention = retention
        self.maxqueue = maxqueue
        self.queued_only = queued_only
        self.keeps_failures = keeps_failures

    def delay(self, handle: bytes, attempts: int) -> float:
        """
        Return how long a job waits after it has failed, in seconds.

        The jitter comes from the job's handle and attempts, so that the same commands
        always give the same effects.
        """
        doublings = min(attempts - 1, _LAST_DOUBLING)
        wait = min(self.longest, self.first * self.factor**doublings)
        chance = crc32(b"%b %d" % (handle, attempts)) / 4294967296.0
        return wait * (1.0 - self.jitter * chance)

    def key(self, unique: bytes) -> bytes:
        """Return what a job counts under for ``per_key``; empty for nothing."""
        if unique == b"-":
            return b""
        return unique.partition(self.separator)[0]

    def is_limited(self) -> bool:
        """Return whether jobs may have to wait although a worker is free."""
        return self.concurrency > 0 or self.interval > 0.0

    def holds_back(self) -> bool:
        """Return whether the end of a job may let another start."""
        return self.per_key > 0 or self.is_limited()

    def values(self) -> tuple[object, ...]:
        """Return all that the policy says, to be compared with another's."""
        return (
            self.attempts,
            self.first,
            self.factor,
            self.longest,
            self.jitter,
            self.timeout,
            self.dead_letters,
            self.poison,
            self.concurrency,
            self.per_key,
            self.separator,
            self.interval,
            self.burst,
            self.expires,
            self.retention,
            self.maxqueue,
            self.queued_only,
            self.keeps_failures,
        )
