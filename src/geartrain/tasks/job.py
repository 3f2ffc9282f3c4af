# ruff: noqa: ASYNC109 - the clients' jobs take timeouts, so these do
"""
Foreground jobs of tasks: futures whose results have the task's types.

They say in Python's values what the clients' jobs say in bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from geartrain.client.aio_job import AsyncJob
from geartrain.client.job import JobRecord
from geartrain.client.reports import EventKind, JobEvent, Progress
from geartrain.errors import GeartrainError, JobException
from geartrain.tasks.failure import read_failure

if TYPE_CHECKING:
    from geartrain.tasks.task import RemoteTask

R = TypeVar("R")


class TaskEvent(NamedTuple):
    """
    Something a task reported.

    Attributes:
        kind: ``data``, ``warning``, ``progress``, ``restarted``, or at the end
            ``completed``, ``failed``, ``raised``.
        value: What came with it: a yielded value, a warning's text, the result, the
            exception; else None.
        progress: How far the job was by then.

    """

    kind: EventKind
    value: Any
    progress: Progress


class BlockingJob(Protocol):
    """What `TaskJob` needs: the blocking client's jobs, and those of eager mode."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end."""

    def result(self, timeout: float | None = None) -> bytes:
        """Return the result, or raise."""

    def exception(self, timeout: float | None = None) -> GeartrainError | None:
        """Return what `result` would raise."""

    def events(self, timeout: float | None = None) -> Iterator[JobEvent]:
        """Yield reports."""

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Have it called at the end."""


class _Reports(Generic[R]):
    """What both kinds of jobs know without waiting."""

    def __init__(self, record: JobRecord, task: RemoteTask[Any, R]) -> None:
        self.record = record
        self.task = task

    @property
    def handle(self) -> str:
        """The server's name of the job."""
        return self.record.handle.decode("utf-8", "backslashreplace")

    @property
    def progress(self) -> Progress:
        """How far the job was at its last report."""
        return self.record.progress

    @property
    def data(self) -> list[Any]:
        """What the task has yielded so far and nobody has taken from ``events()``."""
        return [self.task.read_piece(piece) for piece in self.record.data]

    @property
    def warnings(self) -> list[str]:
        """The warnings so far that nobody has taken from ``events()``."""
        return [text.decode("utf-8", "backslashreplace") for text in self.record.warnings]

    def done(self) -> bool:
        """Return whether the job has ended, well or not."""
        return self.record.done()

    def read_event(self, event: JobEvent) -> TaskEvent:
        """Return a report in Python's values."""
        value: Any = None
        if event.kind == "data":
            value = self.task.read_piece(event.workload)
        elif event.kind == "warning":
            value = event.workload.decode("utf-8", "backslashreplace")
        elif event.kind == "completed":
            value = self.task.read_result(event.workload, [])
        elif event.kind in ("failed", "raised"):
            value = translated(self.record.failure())
        return TaskEvent(event.kind, value, event.progress)

    def __repr__(self) -> str:
        state = "ended" if self.record.ended else "under way"
        return f"<{type(self).__name__} {self.handle} of {self.task.name!r}, {state}>"


class TaskJob(_Reports[R]):
    """
    A task that runs while its caller may do something else.

    Made by ``task.submit()``; any thread may wait for it.
    """

    def __init__(self, job: BlockingJob, record: JobRecord, task: RemoteTask[Any, R]) -> None:
        super().__init__(record, task)
        self.job = job

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, ``timeout`` seconds at most; return whether it came."""
        return self.job.wait(timeout)

    def result(self, timeout: float | None = None) -> R:
        """
        Return what the task returned.

        Args:
            timeout: Seconds to wait; None for as long as it takes. The job goes on when
                they are over, and can be waited for again.

        Raises:
            TaskError: The task raised.
            JobTimeout: It has not ended in time.
            JobFailed: It ended with WORK_FAIL.
            CodecError: The result can't be read as the task's annotation says.
            GeartrainError: As the blocking client's jobs do.

        """
        try:
            workload = self.job.result(timeout)
        except JobException as error:
            raise read_failure(error) from None
        return self.task.read_result(workload, self.record.data)

    def exception(self, timeout: float | None = None) -> GeartrainError | None:
        """Return what `result` would raise, None if it would not; wait as it does."""
        return translated(self.job.exception(timeout))

    def events(self, timeout: float | None = None) -> Iterator[TaskEvent]:
        """
        Yield what the task reports as it comes, its end last.

        Args:
            timeout: Seconds to wait for each.

        Raises:
            JobTimeout: The next did not come in time.
            GeartrainError: The job was refused or cut off.

        """
        for event in self.job.events(timeout):
            yield self.read_event(event)

    def add_done_callback(self, callback: Callable[[TaskJob[R]], object]) -> None:
        """Have ``callback(job)`` called when it ends: at once if it has, else in some thread."""
        self.job.add_done_callback(lambda _: callback(self))


class AsyncTaskJob(_Reports[R]):
    """A task that runs while its caller may do something else; ``await`` it for the result."""

    record: AsyncJob

    def __init__(self, job: AsyncJob, task: RemoteTask[Any, R]) -> None:
        super().__init__(job, task)

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, ``timeout`` seconds at most; return whether it came."""
        return await self.record.wait(timeout)

    async def result(self, timeout: float | None = None) -> R:
        """Return what the task returned. Raises what `TaskJob.result` raises."""
        try:
            workload = await self.record.result(timeout)
        except JobException as error:
            raise read_failure(error) from None
        return self.task.read_result(workload, self.record.data)

    async def exception(self, timeout: float | None = None) -> GeartrainError | None:
        """Return what `result` would raise, None if it would not; wait as it does."""
        return translated(await self.record.exception(timeout))

    async def events(self, timeout: float | None = None) -> AsyncIterator[TaskEvent]:
        """Yield what the task reports as it comes, its end last; see `TaskJob.events`."""
        async for event in self.record.events(timeout):
            yield self.read_event(event)

    def add_done_callback(self, callback: Callable[[AsyncTaskJob[R]], object]) -> None:
        """Have ``callback(job)`` called by the event loop once it has ended."""
        self.record.add_done_callback(lambda _: callback(self))


def translated(error: GeartrainError | None) -> GeartrainError | None:
    """Return a job's error in the task's words."""
    return read_failure(error) if isinstance(error, JobException) else error


__all__ = ["AsyncTaskJob", "BlockingJob", "TaskEvent", "TaskJob", "translated"]
