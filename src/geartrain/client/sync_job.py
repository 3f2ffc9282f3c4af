"""
Jobs of the blocking client: one to wait for, and several side by side.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Final, Self, Unpack

from geartrain.client.job import JobRecord
from geartrain.client.reports import JobEvent
from geartrain.client.submission import (
    Submission,
    SubmissionOptions,
    Text,
    Workload,
    foreground_submission,
)
from geartrain.client.sync_pump import Pump
from geartrain.client.turns import call_back
from geartrain.errors import GeartrainError, JobTimeout

# A task set that is filled faster than the server takes it waits when this much is unsent.
_MOST_UNSENT: Final = 1024 * 1024


class Job(JobRecord):
    """
    A foreground job: its result will come.

    Made by `Client.submit`. Any thread may wait for it, several at once.
    """

    __slots__ = ("_pump",)

    def __init__(self, pump: Pump, submission: Submission, now: float) -> None:
        # Not by super(), which takes as long as half of what it finds.
        JobRecord.__init__(self, submission, now)
        self._pump = pump

    def __repr__(self) -> str:
        state = "ended" if self.ended else "accepted" if self.accepted else "not accepted yet"
        return f"<Job {self.handle!r} {self.function!r} {state}>"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, ``timeout`` seconds at most; return whether it came."""
        if self.ended:
            return True
        with self._pump.turns.lock:
            return self._pump.wait(self.done, deadline_after(timeout))

    def result(self, timeout: float | None = None) -> bytes:
        """
        Return what the worker sent with WORK_COMPLETE.

        Args:
            timeout: Seconds to wait; None for as long as it takes. The job goes on when
                they are over, and can be waited for again.

        Raises:
            JobTimeout: It has not ended in time.
            JobFailed: The worker gave up, or the server did.
            JobException: The worker raised an exception.
            ServerError: The server refused it.
            SubmissionUncertain: The connection ended before the server said yes or no.
            ConnectionLost: The connection ended before the result.
            ConnectionFailed: No server could be reached.

        """
        if not self.wait(timeout):
            raise JobTimeout(self.handle, timeout or 0.0)
        return self.outcome()

    def exception(self, timeout: float | None = None) -> GeartrainError | None:
        """Return what `result` would raise, None if it would not; wait as it does."""
        if not self.wait(timeout):
            raise JobTimeout(self.handle, timeout or 0.0)
        return self.failure()

    def events(self, timeout: float | None = None) -> Iterator[JobEvent]:
        """
        Yield what the worker reports as it comes, the end last.

        Each report is handed out once, and no longer found in ``data`` and ``warnings``.

        Args:
            timeout: Seconds to wait for each.

        Raises:
            JobTimeout: The next did not come in time.
            GeartrainError: The job was refused or cut off, as in `result`.

        """
        while True:
            with self._pump.turns.lock:
                if not self._pump.wait(self.has_news, deadline_after(timeout)):
                    raise JobTimeout(self.handle, timeout or 0.0)
            event = self.next_event()
            if event is None:
                yield self.last_event()
                return
            yield event

    def add_done_callback(self, callback: Callable[[Job], object]) -> None:
        """
        Have ``callback(job)`` called when it ends: at once if it has, else in some other thread.

        An exception that it raises is logged and goes no further.
        """
        with self._pump.turns.lock:
            if not self.ended:
                self._pump.turns.expect_callback()
                self.watch(partial(self._pump.turns.leave_callback, callback))
                return
        call_back(callback, self)


class TaskSet:
    """
    Jobs that run side by side and end in any order.

    ``add`` does not wait for the server; what is refused ends with an error as other jobs
    do. At the end of a ``with`` block all jobs have ended.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self.jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.wait()

    def add(
        self, function: Text, workload: Workload = b"", **options: Unpack[SubmissionOptions]
    ) -> Job:
        """Add a foreground job, and return it before the server has accepted it."""
        pump = self._pump
        job = Job(pump, foreground_submission(function, workload, **options), time.time())
        with pump.turns.lock:
            pump.submit(job)
            self.jobs.append(job)
            pump.prepare(None)
            pump.wait(lambda: pump.unsent_size() < _MOST_UNSENT, None)
        return job

    def as_completed(self, timeout: float | None = None) -> Iterator[Job]:
        """Yield the jobs as they end; see `Client.as_completed`."""
        return as_completed(self._pump, self.jobs, timeout)

    def wait(self, timeout: float | None = None) -> list[Job]:
        """
        Wait until all have ended, well or not, and return them as they were added.

        Raises:
            JobTimeout: Not all ended in time.

        """
        for _ in self.as_completed(timeout):
            pass
        return self.jobs

    def results(self, timeout: float | None = None) -> list[bytes]:
        """Wait for all and return their results as they were added, or raise the first error."""
        return [job.outcome() for job in self.wait(timeout)]


def as_completed(pump: Pump, jobs: Iterable[Job], timeout: float | None) -> Iterator[Job]:
    """Yield jobs of one pump as they end; `JobTimeout` where not all end in time."""
    ended: deque[Job] = deque()
    pending = list(jobs)
    with pump.turns.lock:
        for job in pending:
            job.watch(ended.append)
    deadline = deadline_after(timeout)
    for _ in range(len(pending)):
        with pump.turns.lock:
            if not pump.wait(lambda: bool(ended), deadline):
                late = next(job for job in pending if not job.ended)
                raise JobTimeout(late.handle, timeout or 0.0)
        yield ended.popleft()


def deadline_after(timeout: float | None) -> float | None:
    """Return the moment ``timeout`` seconds from now by the monotonic clock; None for never."""
    return None if timeout is None else time.monotonic() + timeout


__all__ = ["Job", "TaskSet", "as_completed", "deadline_after"]
