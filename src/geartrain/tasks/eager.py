"""
Tasks run where they are called, without a server, through the same bytes.

For tests: arguments and results are written and read as they would be on the
way to a worker and back, so that what can't be sent fails here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from geartrain.client.aio_job import AsyncJob
from geartrain.client.job import JobRecord
from geartrain.client.reports import JobEvent
from geartrain.client.session import Event
from geartrain.client.submission import Submission
from geartrain.errors import GeartrainError
from geartrain.wire.packet import (
    JOB_CREATED,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)
from geartrain.worker.job import Ending, Handler, Job

# Where eager jobs' handles say that they are.
SERVER = "eager"


class EagerJob(JobRecord):
    """A job that has run by the time anybody sees it."""

    __slots__ = ()

    def wait(self, timeout: float | None = None) -> bool:
        """Return True: it has ended."""
        return True

    def result(self, timeout: float | None = None) -> bytes:
        """Return its result, or raise what it ended with."""
        return self.outcome()

    def exception(self, timeout: float | None = None) -> GeartrainError | None:
        """Return what `result` would raise."""
        return self.failure()

    def events(self, timeout: float | None = None) -> Iterator[JobEvent]:
        """Yield what was reported, the end last."""
        while (event := self.next_event()) is not None:
            yield event
        yield self.last_event()

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call it at once."""
        callback(self)


class Desk:
    """Takes what a handler reports, in the place of a server."""

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self.request = record.make_request()

    def receive(self, kind: int, *args: bytes) -> None:
        """Let the record hear what a client would."""
        self.record.receive(Event(self.request, kind, [self.record.handle, *args]))

    def progress(self, ticket: object, numerator: int, denominator: int) -> None:
        """Take progress."""
        self.receive(WORK_STATUS, b"%d" % numerator, b"%d" % denominator)

    def data(self, ticket: object, data: bytes) -> None:
        """Take a part of the result."""
        self.receive(WORK_DATA, data)

    def warn(self, ticket: object, data: bytes) -> None:
        """Take a warning."""
        self.receive(WORK_WARNING, data)

    def end(self, ending: Ending) -> None:
        """Take the end."""
        if ending.kind == WORK_FAIL:
            self.receive(WORK_FAIL)
        else:
            self.receive(ending.kind, ending.data)

    async def drain(self, ticket: object) -> None:
        """Never wait."""


def foreground(submission: Submission) -> Submission:
    """Return a submission whose result is wanted, since here it is known at once."""
    return Submission(submission.function, submission.workload, unique=submission.unique)


def accepted(record: JobRecord, number: int) -> Desk:
    """Give a record its handle, and return the desk for its reports."""
    desk = Desk(record)
    record.receive(Event(desk.request, JOB_CREATED, [b"H:eager:%d" % number]))
    return desk


def run_eagerly(handler: Handler, submission: Submission, number: int) -> EagerJob:
    """Run a handler for a submission, and return the job that has ended."""
    record = EagerJob(foreground(submission), 0.0)
    desk = accepted(record, number)
    job = Job(
        desk,
        None,
        record.handle,
        submission.function,
        submission.unique,
        submission.reducer,
        submission.workload,
    )
    ending = handler(job)
    desk.end(ending if isinstance(ending, Ending) else Ending(WORK_EXCEPTION, b"no ending"))
    return record


def new_async_record(submission: Submission, number: int) -> tuple[AsyncJob, Desk]:
    """Return the same for the event loop, not run yet."""
    record = AsyncJob(foreground(submission), 0.0)
    return record, accepted(record, number)


__all__ = ["SERVER", "Desk", "EagerJob", "new_async_record", "run_eagerly"]
