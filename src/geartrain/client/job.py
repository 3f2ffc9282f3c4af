"""
A job as its client sees it: accepted, under way, ended.

Shared by the blocking and the asyncio client; how one waits is theirs, what
there is to know is here. The rule for what may be sent twice is here as well:
what certainly never left may go to another server, anything else only if its
unique key makes that safe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from mypy_extensions import mypyc_attr

from geartrain.client.reports import (
    NO_PROGRESS,
    EventKind,
    JobEvent,
    JobHandle,
    Progress,
    read_progress,
    server_error,
)
from geartrain.client.session import LOST_RUNNING, LOST_UNANSWERED, LOST_UNSENT, Event, Request
from geartrain.client.submission import Submission
from geartrain.errors import (
    ConnectionFailed,
    ConnectionLost,
    GeartrainError,
    JobException,
    JobFailed,
    SubmissionUncertain,
)
from geartrain.wire.packet import (
    ERROR,
    JOB_CREATED,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)

# A job that ends its server each time must not take down one after the other for ever.
MOST_RESENDS: Final = 5


@mypyc_attr(allow_interpreted_subclasses=True)
class JobRecord:
    """
    All that is known of one submission and its job.

    Args:
        submission: What to submit.
        now: The time, in seconds since 1970; a delay counts from here.

    Attributes:
        function: Name of the function.
        unique: The key it was submitted with; empty for none.
        background: Whether nobody waits for its result.
        address: The server it went to last; empty before.
        handle: The server's name of the job; empty before the server accepted it.
        accepted: Whether it has.
        ended: Whether no more will come: a foreground job's end, or a background job's
            handle, or a failure.
        progress: How far the job was at its last report.
        loss: What to raise if it can't be placed anew; None if it was never cut off.
        forgotten: Whether nobody wants to hear of it any more.
        resends: How often it was sent again after it may have been accepted.
        give_up_at: When to stop looking for a server; 0 where that has not begun.

    """

    __slots__ = (
        "_arguments",
        "_error",
        "_has_key",
        "_kind",
        "_log",
        "_request",
        "_watchers",
        "_workload",
        "accepted",
        "address",
        "background",
        "ended",
        "forgotten",
        "function",
        "give_up_at",
        "handle",
        "loss",
        "progress",
        "resends",
        "unique",
    )

    def __init__(self, submission: Submission, now: float) -> None:
        unique = submission.unique
        self.function = submission.function
        self.unique = unique
        self.background = submission.background
        self.address = ""
        self.handle = b""
        self.accepted = False
        self.ended = False
        self.forgotten = False
        self.progress = NO_PROGRESS
        self.loss: GeartrainError | None = None
        self.resends = 0
        self.give_up_at = 0.0
        self._kind = submission.kind
        # None once the server has the job and nobody may send it again.
        self._arguments: list[bytes] | None = submission.arguments(now)
        # An empty workload is no key.
        self._has_key = unique != b"" and (unique != b"-" or submission.workload != b"")
        self._request: Request | None = None
        self._error: GeartrainError | None = None
        self._workload = b""
        # To be told of the end.
        self._watchers: list[Callable[[Any], object]] | None = None
        # Reports that nobody has taken yet; most jobs never have any.
        self._log: deque[JobEvent] | None = None

    # What has been reported.

    @property
    def data(self) -> list[bytes]:
        """The pieces of data sent by the worker so far and not yet taken from ``events()``."""
        return self._logged("data")

    @property
    def warnings(self) -> list[bytes]:
        """The warnings sent by the worker so far and not yet taken from ``events()``."""
        return self._logged("warning")

    def _logged(self, kind: EventKind) -> list[bytes]:
        # Copied in one go: another thread may be adding to it.
        return [event.workload for event in list(self._log or ()) if event.kind == kind]

    def has_news(self) -> bool:
        """Return whether `next_event` has a report to give, or the job has ended."""
        return bool(self._log) or self.ended

    def next_event(self) -> JobEvent | None:
        """Take the oldest report that nobody has taken; None where there is none."""
        return self._log.popleft() if self._log else None

    def last_event(self) -> JobEvent:
        """Return how a job ended, or raise where it was cut off or refused."""
        if self._error is None:
            return JobEvent("completed", self._workload, self.progress)
        if isinstance(self._error, JobFailed):
            return JobEvent("failed", b"", self.progress)
        if isinstance(self._error, JobException):
            return JobEvent("raised", self._error.workload, self.progress)
        raise self._error

    def done(self) -> bool:
        """Return whether the job has ended, well or not."""
        return self.ended

    def answered(self) -> bool:
        """Return whether the server has accepted it, or it has failed before that."""
        return self.accepted or self.ended

    # What the session reports.

    def key(self) -> tuple[bytes, bytes]:
        """Return what decides on the server: the unique key and the workload."""
        return self.unique, self._arguments[-1] if self._arguments else b""

    def make_request(self) -> Request:
        """Return a request that submits it."""
        assert self._arguments is not None
        self._request = Request(self._kind, self._arguments, None if self.forgotten else self)
        return self._request

    def receive(self, event: Event) -> None:
        """Take in what happened to the request."""
        kind = event.kind
        args = event.args
        if kind == JOB_CREATED:
            self.handle = args[0]
            self.accepted = True
            self.give_up_at = 0.0
            self.loss = None
            if not self._has_key:
                self._arguments = None
            if self.background:
                self._end(None)
        elif kind == WORK_COMPLETE:
            self._workload = args[1]
            self._end(None)
        elif kind == WORK_FAIL:
            self._end(JobFailed(self.handle))
        elif kind == WORK_EXCEPTION:
            self._end(JobException(self.handle, args[1]))
        elif kind == WORK_DATA:
            self._add(JobEvent("data", args[1], self.progress))
        elif kind == WORK_WARNING:
            self._add(JobEvent("warning", args[1], self.progress))
        elif kind == WORK_STATUS:
            self._receive_progress(read_progress(args))
        elif kind == ERROR:
            self._end(server_error(args))
        self.note_change()

    def _receive_progress(self, progress: Progress) -> None:
        self.progress = progress
        if self._log and self._log[-1].kind == "progress":
            # Only the last of several in a row is news.
            self._log.pop()
        self._add(JobEvent("progress", b"", progress))

    def _add(self, event: JobEvent) -> None:
        if self._log is None:
            self._log = deque()
        self._log.append(event)

    def lose(self, kind: int, address: str, may_resend: bool, cause: Exception | None) -> bool:
        """
        Take in that the connection ended, and how far the request had come.

        Args:
            kind: One of the ``LOST_`` kinds of the session.
            address: The server that was lost.
            may_resend: Whether a unique key allows sending it again.
            cause: Why the connection ended.

        Returns:
            Whether it is to be placed again. If not, it has failed.

        """
        if kind == LOST_UNSENT:
            return True
        error = ConnectionLost(address)
        if kind == LOST_UNANSWERED:
            error = SubmissionUncertain(address, self.function)
        error.__cause__ = cause
        if not (may_resend and self._has_key) or self.resends >= MOST_RESENDS:
            self.fail(error)
            return False
        self.resends += 1
        self.loss = error
        if kind == LOST_RUNNING:
            self.accepted = False
            self.progress = NO_PROGRESS
            self._add(JobEvent("restarted", b"", NO_PROGRESS))
            self.note_change()
        return True

    def fail(self, error: GeartrainError) -> None:
        """End it with ``error``."""
        if not self.ended:
            self._end(error)
            self.note_change()

    def fail_unplaced(self, failures: dict[str, str]) -> None:
        """End it because no server could be reached."""
        error: GeartrainError = ConnectionFailed(failures)
        if self.loss is not None:
            self.loss.__cause__ = error
            error = self.loss
        self.fail(error)

    def _end(self, error: GeartrainError | None) -> None:
        self.ended = True
        self._error = error
        self._arguments = None
        self._request = None
        watchers = self._watchers
        self._watchers = None
        for watcher in watchers or ():
            watcher(self)

    def watch(self, watcher: Callable[[Any], object]) -> None:
        """Have ``watcher(record)`` called when it ends; at once if it has."""
        if self.ended:
            watcher(self)
        elif self._watchers is None:
            self._watchers = [watcher]
        else:
            self._watchers.append(watcher)

    def note_change(self) -> None:
        """Tell those who wait for any change; the asyncio client knows how."""

    def forget(self) -> None:
        """
        Stop listening: its later reports are dropped as they come.

        Safe without any lock, since a generator may be closed at any moment.
        """
        self.forgotten = True
        request = self._request
        if request is not None:
            request.owner = None

    # What came of it.

    def outcome(self) -> bytes:
        """Return the result of a job that has ended, or raise what it ended with."""
        if self._error is not None:
            raise self._error
        return self._workload

    def failure(self) -> GeartrainError | None:
        """Return what a job that has ended ended with, or None if it ended well."""
        return self._error

    def ticket(self) -> JobHandle:
        """Return where to ask for the job, or raise why it was not accepted."""
        if self._error is not None and not self.handle:
            raise self._error
        # As JobHandle() does, without its detour through Python: there is one for each job.
        return tuple.__new__(JobHandle, (self.address, self.handle))


def forget_all(records: Iterable[JobRecord]) -> None:
    """Stop listening to each of them."""
    for record in records:
        record.forget()


__all__ = ["MOST_RESENDS", "JobRecord", "forget_all"]
