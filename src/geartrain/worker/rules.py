"""
What holds for a worker's handlers, threads and children beside running jobs.

How long a handler may run, when a child is replaced although it is well, and
what is called in a process before its first job and after its last.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from geartrain.errors import UsageError
from geartrain.wire.packet import WORK_EXCEPTION
from geartrain.worker.job import Ending, printable


@dataclass(frozen=True, slots=True)
class Lifetime:
    """
    When a process has run long enough; None for never.

    Attributes:
        max_jobs: After so many jobs.
        max_memory: When it holds so many bytes after a job.
        max_age: After so many seconds.
        jitter: By how much of the limits processes differ, so that those started together
            are not all replaced together: with 0.1, one ends after 90 to 100 % of them.

    Raises:
        UsageError: A limit is not above 0, or the jitter not from 0 to 1.

    """

    max_jobs: int | None = None
    max_memory: int | None = None
    max_age: float | None = None
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name in ("max_jobs", "max_memory", "max_age"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise UsageError(f"{name} is {limit!r}; give a number above 0")
        if not 0 <= self.jitter < 1:
            raise UsageError(f"jitter is {self.jitter!r}; give a number from 0 up to 1")


class Age:
    """
    How far one process has come with its lifetime.

    Args:
        lifetime: The limits.
        pid: The process.

    """

    def __init__(self, lifetime: Lifetime, pid: int) -> None:
        self.lifetime = lifetime
        self.pid = pid
        self.jobs = 0
        part = 1 - lifetime.jitter * random.random()
        self.max_jobs = None if lifetime.max_jobs is None else max(1, lifetime.max_jobs * part)
        self.end = None if lifetime.max_age is None else time.monotonic() + lifetime.max_age * part

    def seconds_left(self) -> float | None:
        """Return how long until it is too old; None for ever."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def note_job(self) -> None:
        """Take note that a job has ended."""
        self.jobs += 1

    def reason_to_end(self) -> str:
        """Return why the process is to end, in words for the log; empty while it is not."""
        if self.max_jobs is not None and self.jobs >= self.max_jobs:
            return f"has done {self.jobs} jobs"
        if self.seconds_left() == 0.0:
            return "is old enough"
        limit = self.lifetime.max_memory
        # Not before its first job: a limit too small for any process would replace them for ever.
        if limit is not None and self.jobs > 0 and (held := memory_of(self.pid)) > limit:
            return f"holds {held} bytes"
        return ""


def memory_of(pid: int) -> int:
    """Return the bytes of memory that a process holds; 0 where it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def too_late(function: bytes) -> Ending:
    """Return the end of a job whose handler took too long."""
    text = f"TimeoutError: the handler of {printable(function)} was cut off"
    return Ending(WORK_EXCEPTION, text.encode("utf-8", "backslashreplace"), text)


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """
    What holds beside running jobs.

    Attributes:
        time_limits: Function -> seconds after which a handler is cut off.
        timed_out: Returns the end of a job that was cut off.
        lifetime: When children are replaced.
        on_start: Called in each child before it is ready; picklable.
        on_stop: Called in each child after its last job; picklable.

    """

    time_limits: Mapping[bytes, float] = field(default_factory=dict)
    timed_out: Callable[[bytes], Ending] = too_late
    lifetime: Lifetime = Lifetime()
    on_start: Callable[[], object] | None = None
    on_stop: Callable[[], object] | None = None


NO_RULES = WorkerRules()

__all__ = ["NO_RULES", "Age", "Lifetime", "WorkerRules", "memory_of", "too_late"]
