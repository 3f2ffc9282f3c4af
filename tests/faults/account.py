"""
The account: what was acknowledged, what was refused, what ran, and when servers died.

Every line is written by a client or worker when it happens, never read from a server.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Verdict:
    """
    What the account adds up to.

    Attributes:
        acked: Background submissions that were acknowledged.
        run: Of these, how many ran.
        lost: Names of those that did not.
        refused_but_run: Names of those that were answered with ERROR and ran all the same.
        twice: Names that ran more than once, and how often.
        unexplained: Of these, the ones not in flight when a server died.
        kills: How many servers died.
        recoveries: Seconds from each fault until something was acknowledged again.
        slowest: Seconds that the slowest answer to a submission took, ERROR included.
        slowest_refusal: Seconds that the slowest ERROR took.
        refused: Submissions that were answered with ERROR.

    """

    acked: int
    run: int
    lost: list[bytes]
    refused_but_run: list[bytes]
    twice: dict[bytes, int]
    unexplained: list[bytes]
    kills: int
    recoveries: list[float] = field(default_factory=list)
    slowest: float = 0.0
    slowest_refusal: float = 0.0
    refused: int = 0

    def __str__(self) -> str:
        return (
            f"acked {self.acked}, run {self.run}, lost {len(self.lost)}{self.kinds_lost()}, "
            f"refused {self.refused}, refused but run {len(self.refused_but_run)}, "
            f"twice {len(self.twice)} (not in flight at a kill: {len(self.unexplained)}), "
            f"kills {self.kills}{self.recovered()}"
        )

    def kinds_lost(self) -> str:
        """Say which producers' jobs were lost, and how many of each."""
        kinds = Counter(name.partition(b"-")[0].decode() for name in self.lost)
        counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        return f" ({counts})" if counts else ""

    def recovered(self) -> str:
        """Say how long service was away, where that was measured."""
        if not self.recoveries:
            return ""
        median, worst = statistics.median(self.recoveries), max(self.recoveries)
        return f", recovered in {median:.2f} s (median), {worst:.2f} s at most"

    def is_broken(self) -> bool:
        """Return whether a promise is broken."""
        return bool(self.lost or self.refused_but_run or self.unexplained)


@dataclass
class Account:
    """What happened, by name of the job; filled by many threads."""

    # A job is in flight from its assignment until its end is on disk. A worker may read an
    # assignment this long after the server that sent it is gone, and a running server has
    # committed a result this long after a worker sent it; both in seconds.
    reading_time: float = 0.5
    commit_time: float = 1.0
    acked: set[bytes] = field(default_factory=set)
    refused: set[bytes] = field(default_factory=set)
    runs: dict[bytes, list[float]] = field(default_factory=lambda: defaultdict(list))
    kills: list[float] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)
    # When the fault was that nothing was acknowledged after; None where all is well.
    away_since: float | None = None
    slowest: float = 0.0
    slowest_refusal: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ack(self, name: bytes) -> None:
        """Note that the server promised to run the job."""
        with self.lock:
            self.acked.add(name)
            if self.away_since is not None:
                self.recoveries.append(time.monotonic() - self.away_since)
                self.away_since = None

    def refuse(self, name: bytes) -> None:
        """Note that the server said it will not run the job."""
        with self.lock:
            self.refused.add(name)

    def run(self, name: bytes) -> None:
        """Note that a worker is about to answer for the job."""
        with self.lock:
            self.runs[name].append(time.monotonic())

    def kill(self) -> None:
        """Note that a server is gone."""
        with self.lock:
            self.kills.append(time.monotonic())

    def back(self, since: float) -> None:
        """Note that service can go on; the next acknowledgement ends what began then."""
        with self.lock:
            self.away_since = since

    def answered(self, seconds: float, *, refused: bool) -> None:
        """Note how long the answer to a submission took."""
        with self.lock:
            self.slowest = max(self.slowest, seconds)
            if refused:
                self.slowest_refusal = max(self.slowest_refusal, seconds)

    def missing(self) -> set[bytes]:
        """Return acknowledged jobs that have not run yet."""
        with self.lock:
            return self.acked - self.runs.keys()

    def verdict(self) -> Verdict:
        """Add the account up."""
        with self.lock:
            times = Counter({name: len(runs) for name, runs in self.runs.items()})
            twice = {name: count for name, count in times.items() if count > 1}
            return Verdict(
                acked=len(self.acked),
                run=len(self.acked & self.runs.keys()),
                lost=sorted(self.acked - self.runs.keys()),
                refused_but_run=sorted((self.refused - self.acked) & self.runs.keys()),
                twice=twice,
                unexplained=sorted(name for name in twice if not self.explained(name)),
                kills=len(self.kills),
                recoveries=list(self.recoveries),
                slowest=self.slowest,
                slowest_refusal=self.slowest_refusal,
                refused=len(self.refused - self.acked),
            )

    def explained(self, name: bytes) -> bool:
        """Return whether between any two runs of a job a server died while it was in flight."""
        runs = self.runs[name]
        return all(
            any(
                first - self.reading_time <= kill <= min(second, first + self.commit_time)
                for kill in self.kills
            )
            for first, second in pairwise(runs)
        )
