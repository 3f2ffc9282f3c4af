"""What a task can find out about its job, and say about it, while it runs."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from geartrain.worker.job import Job

if TYPE_CHECKING:
    from geartrain.tasks.task import RemoteTask


class CurrentJob:
    """
    The job that the running task is.

    Attributes:
        function: Name of the task on the wire.
        handle: The server's name of the job.
        unique: The caller's key, or empty.
        attempt: Which attempt this is, from 1 on; 0 where the server does not say.
        deadline: When the task's time is over, in seconds since 1970; None for never.

    """

    def __init__(self, task: RemoteTask[Any, Any], job: Job) -> None:
        self.task = task
        self.job = job
        self.function = task.name
        self.handle = job.handle.decode("utf-8", "backslashreplace")
        self.unique = job.unique.decode("utf-8", "backslashreplace")
        self.attempt = job.attempt
        limit = task.limits.soft or task.limits.hard
        self.deadline = None if limit is None else time.time() + limit

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, 0 when it is over; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.time())

    def progress(self, numerator: int, denominator: int) -> None:
        """Tell the caller how far the job has come: ``numerator`` of ``denominator``."""
        self.job.progress(numerator, denominator)

    def data(self, value: Any) -> None:
        """Send the caller a part of the result now, as a generator's ``yield`` does."""
        self.job.data(self.task.codec.dumps(value))

    def warn(self, text: str) -> None:
        """Send the caller a warning; the job goes on."""
        self.job.warn(text)

    def __repr__(self) -> str:
        return f"<CurrentJob {self.handle} of {self.function!r}>"


class LocalJob(CurrentJob):
    """What there is in a plain call: no job, and nobody to report to."""

    def __init__(self) -> None:
        self.function = self.handle = self.unique = ""
        self.attempt = 1
        self.deadline = None

    def progress(self, numerator: int, denominator: int) -> None:
        """Tell nobody."""

    def data(self, value: Any) -> None:
        """Tell nobody."""

    def warn(self, text: str) -> None:
        """Tell nobody."""


_CURRENT: Final[ContextVar[CurrentJob | None]] = ContextVar("geartrain_job", default=None)


def current_job() -> CurrentJob:
    """
    Return the job that the calling task is.

    In a plain call, which is no job, its ``handle`` is empty and its reports go nowhere.
    """
    return _CURRENT.get() or LocalJob()


__all__ = ["CurrentJob", "current_job"]
