# ruff: noqa: ASYNC109 - the blocking client takes timeouts, so this one does
"""
Jobs of the asyncio client: one to await, and several side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack

from geartrain.client.aio_pump import AsyncPump
from geartrain.client.job import JobRecord
from geartrain.client.question import Question
from geartrain.client.reports import JobEvent
from geartrain.client.submission import (
    Submission,
    SubmissionOptions,
    Text,
    Workload,
    foreground_submission,
)
from geartrain.client.turns import call_back
from geartrain.errors import GeartrainError, JobTimeout


class Changes:
    """Futures of those who wait until something holds that changes now and then."""

    def __init__(self) -> None:
        self.waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def note(self) -> None:
        """Let those go on whose condition holds."""
        for done, future in self.waiters:
            if not future.done() and done():
                future.set_result(None)

    async def wait(self, done: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until ``done()``; return False where the time was over first."""
        if done():
            return True
        future = asyncio.get_running_loop().create_future()
        waiter = (done, future)
        self.waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return done()
        finally:
            self.waiters.remove(waiter)
        return True


class AsyncJob(JobRecord):
    """
    A foreground job: its result will come. ``await job`` is ``await job.result()``.

    Made by `AsyncClient.submit`.
    """

    __slots__ = ("_changes",)

    def __init__(self, submission: Submission, now: float) -> None:
        super().__init__(submission, now)
        self._changes: Changes | None = None

    def __repr__(self) -> str:
        state = "ended" if self.ended else "accepted" if self.accepted else "not accepted yet"
        return f"<AsyncJob {self.handle!r} {self.function!r} {state}>"

    def __await__(self) -> Generator[Any, None, bytes]:
        return self.result().__await__()

    def note_change(self) -> None:
        """Tell those who wait."""
        if self._changes is not None:
            self._changes.note()

    async def until(self, done: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until ``done()``, to be asked at each change; return whether it came in time."""
        if self._changes is None:
            self._changes = Changes()
        return await self._changes.wait(done, seconds)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, ``timeout`` seconds at most; return whether it came."""
        return self.ended or await self.until(self.done, timeout)

    async def result(self, timeout: float | None = None) -> bytes:
        """
        Return what the worker sent with WORK_COMPLETE.

        Args:
            timeout: Seconds to wait; None for as long as it takes. The job goes on when
                they are over, and can be waited for again.

        Raises:
            GeartrainError: As `geartrain.client.sync.Job.result` does.

        """
        if not await self.wait(timeout):
            raise JobTimeout(self.handle, timeout or 0.0)
        return self.outcome()

    async def exception(self, timeout: float | None = None) -> GeartrainError | None:
        """Return what `result` would raise, None if it would not; wait as it does."""
        if not await self.wait(timeout):
            raise JobTimeout(self.handle, timeout or 0.0)
        return self.failure()

    async def events(self, timeout: float | None = None) -> AsyncIterator[JobEvent]:
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
            if not await self.until(self.has_news, timeout):
                raise JobTimeout(self.handle, timeout or 0.0)
            event = self.next_event()
            if event is None:
                yield self.last_event()
                return
            yield event

    def add_done_callback(self, callback: Callable[[AsyncJob], object]) -> None:
        """
        Have ``callback(job)`` called by the event loop once it has ended.

        An exception that it raises is logged and goes no further.
        """
        self.watch(partial(call_back_soon, asyncio.get_running_loop(), callback))


class AsyncQuestion(Question):
    """A question whose answer can be awaited."""

    __slots__ = ("changes",)

    def __init__(self, kind: int, args: list[bytes]) -> None:
        super().__init__(kind, args)
        self.changes = Changes()

    def note_change(self) -> None:
        """Tell whoever waits."""
        self.changes.note()


class AsyncTaskSet:
    """
    Jobs that run side by side and end in any order.

    ``add`` does not wait for the server; what is refused ends with an error as other jobs
    do. At the end of an ``async with`` block all jobs have ended.
    """

    def __init__(self, pump: AsyncPump) -> None:
        self._pump = pump
        self.jobs: list[AsyncJob] = []

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[AsyncJob]:
        return iter(self.jobs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self.wait()

    def add(
        self, function: Text, workload: Workload = b"", **options: Unpack[SubmissionOptions]
    ) -> AsyncJob:
        """Add a foreground job, and return it before the server has accepted it."""
        job = AsyncJob(foreground_submission(function, workload, **options), time.time())
        self._pump.submit(job)
        self.jobs.append(job)
        return job

    def as_completed(self, timeout: float | None = None) -> AsyncIterator[AsyncJob]:
        """Yield the jobs as they end; see `AsyncClient.as_completed`."""
        return as_completed(self.jobs, timeout)

    async def wait(self, timeout: float | None = None) -> list[AsyncJob]:
        """
        Wait until all have ended, well or not, and return them as they were added.

        Raises:
            JobTimeout: Not all ended in time.

        """
        async for _ in self.as_completed(timeout):
            pass
        return self.jobs

    async def results(self, timeout: float | None = None) -> list[bytes]:
        """Wait for all and return their results as they were added, or raise the first error."""
        return [job.outcome() for job in await self.wait(timeout)]


async def as_completed(jobs: Iterable[AsyncJob], timeout: float | None) -> AsyncIterator[AsyncJob]:
    """Yield jobs as they end; `JobTimeout` where not all end in time."""
    ended: asyncio.Queue[AsyncJob] = asyncio.Queue()
    pending = list(jobs)
    for job in pending:
        job.watch(ended.put_nowait)
    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else loop.time() + timeout
    for _ in range(len(pending)):
        try:
            async with asyncio.timeout_at(deadline):
                job = await ended.get()
        except TimeoutError:
            late = next(job for job in pending if not job.ended)
            raise JobTimeout(late.handle, timeout or 0.0) from None
        yield job


def call_back_soon(
    loop: asyncio.AbstractEventLoop, callback: Callable[[Any], object], job: AsyncJob
) -> None:
    """Call back in the next pass of the event loop."""
    loop.call_soon(call_back, callback, job)


__all__ = ["AsyncJob", "AsyncQuestion", "AsyncTaskSet", "as_completed"]
