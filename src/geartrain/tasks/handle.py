# ruff: noqa: ASYNC109 - the clients take timeouts, so this does
"""
Background jobs of tasks: a small value that can be stored, sent and asked.

Each question opens a connection of its own to the job's server, so that a handle
works in any process and holds nothing open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from geartrain.client.job import JobRecord
from geartrain.client.reports import JobHandle, Status
from geartrain.client.submission import Submission
from geartrain.errors import JobException, JobFailed, NoResult
from geartrain.tasks.codec import Codec
from geartrain.tasks.failure import read_failure
from geartrain.tasks.other_words import HANDLE_METHODS, no_attribute

R = TypeVar("R")

# The function that servers answer themselves: a handle in, the kept result out.
RESULT_FUNCTION: Final = b"geartrain:result"


@dataclass(frozen=True, slots=True)
class TaskHandle(Generic[R]):
    """
    Where to ask for a background job; picklable, good in any process.

    Attributes:
        server: The server's address, as ``host:port`` or ``unix:/path``.
        handle: The server's name of the job.
        function: Name of the task on the wire.
        codec: Reads the result.
        kind: What the result is annotated as, or what is yielded.
        streams: Whether the task yields; its result is the list of what it yielded.

    """

    server: str
    handle: str
    function: str
    codec: Codec = field(repr=False, compare=False)
    kind: Any = field(repr=False, compare=False, default=Any)
    streams: bool = field(repr=False, compare=False, default=False)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(type(self), name, HANDLE_METHODS)

    @property
    def job(self) -> JobHandle:
        """The same for a `Client`."""
        return JobHandle(self.server, self.handle.encode())

    def status(self, timeout: float | None = 30.0) -> Status:
        """
        Ask the server whether the job waits or runs, and how far it is.

        Raises:
            ConnectionFailed: The server can't be reached.
            JobTimeout: It does not answer within ``timeout`` seconds.

        """
        from geartrain.client.sync import Client

        with Client(self.server) as client:
            return client.status(self.job, timeout=timeout)

    async def astatus(self, timeout: float | None = 30.0) -> Status:
        """Ask as `status` does, on an event loop."""
        from geartrain.client.aio import AsyncClient

        async with AsyncClient(self.server) as client:
            return await client.status(self.job, timeout=timeout)

    def result(self, timeout: float | None = None) -> R:
        """
        Wait for the job's end and return what the task returned.

        The server keeps results for the function's ``retention``. One that keeps none, as
        gearmand, does not answer: give a ``timeout`` there.

        Args:
            timeout: Seconds to wait; None for as long as it takes.

        Raises:
            TaskError: The task raised.
            GivenUp: The server tries it no more; the message says how to look at it and to
                run it again.
            NoResult: It failed without a word, or its result is not kept.
            JobTimeout: It has not ended in time.
            ConnectionFailed: The server can't be reached.

        """
        from geartrain.client.sync import Client

        with Client(self.server) as client:
            job = client.start([Submission(RESULT_FUNCTION, self.handle)])[0]
            try:
                workload = job.result(timeout)
            except (JobException, JobFailed) as error:
                raise self._failure(error) from None
        return self._read(workload, job.data)

    async def aresult(self, timeout: float | None = None) -> R:
        """Wait as `result` does, on an event loop."""
        from geartrain.client.aio import AsyncClient

        async with AsyncClient(self.server) as client:
            job = client.start(Submission(RESULT_FUNCTION, self.handle))
            try:
                workload = await job.result(timeout)
            except (JobException, JobFailed) as error:
                raise self._failure(error) from None
        return self._read(workload, job.data)

    def cancel(self) -> None:
        """
        Take the job out of its waiting line; what runs goes on.

        Raises:
            ServerError: The server does not have it.

        """
        from geartrain.client.admin import AdminClient

        with AdminClient(self.server) as admin:
            admin.cancel_job(self.job)

    def _outcome(self, record: JobRecord | None) -> R:
        """Return the result of a job that has ended here."""
        try:
            if record is None:
                raise JobFailed(self.handle.encode())
            return self._read(record.outcome(), record.data)
        except (JobException, JobFailed) as error:
            raise self._failure(error) from None

    def _read(self, workload: bytes, pieces: list[bytes]) -> R:
        result: Any = (
            [self._convert(piece) for piece in pieces] if self.streams else self._convert(workload)
        )
        return cast(R, result)

    def _convert(self, data: bytes) -> Any:
        # Nothing at all is what other languages' workers send for nothing.
        value = self.codec.loads(data) if data or self.codec.name == "raw" else None
        return self.codec.convert(value, self.kind)

    def _failure(self, error: JobException | JobFailed) -> Exception:
        handle = self.handle.encode()
        if isinstance(error, JobFailed):
            return NoResult(handle, self.function)
        return read_failure(JobException(handle, error.workload), self.server)


__all__ = ["RESULT_FUNCTION", "TaskHandle"]
