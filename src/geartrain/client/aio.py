# ruff: noqa: ASYNC109 - the blocking client takes timeouts, so this one does
"""
The asyncio client: the blocking one's methods, to be awaited.

A client belongs to the event loop of its first use. Nothing runs beside the
loop, and reports are taken in as they come, whoever waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack, cast, overload

from geartrain.client.address import Address, ServersLike, parse_address, parse_addresses
from geartrain.client.aio_pump import AsyncPump
from geartrain.client.batch import Batch, as_submission
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.job import (
    UNKNOWN_STATUS,
    JobEvent,
    JobHandle,
    JobRecord,
    Question,
    Status,
    read_status,
)
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.client.placement import PlacementRule
from geartrain.client.settings import ANSWER_TIMEOUT, PATIENCE, ResendRule, Settings
from geartrain.client.submission import (
    Submission,
    SubmissionOptions,
    Text,
    When,
    Workload,
    name_bytes,
    workload_bytes,
)
from geartrain.errors import GeartrainError, JobTimeout, UsageError
from geartrain.wire.packet import ECHO_REQ, GET_STATUS, GET_STATUS_UNIQUE, OPTION_REQ
from geartrain.wire.reader import MAX_PACKET

Item = TypeVar("Item")

logger = logging.getLogger("geartrain.client")


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
        self.watch(partial(_call_back_soon, asyncio.get_running_loop(), callback))


class AsyncQuestion(Question):
    """A question whose answer can be awaited."""

    __slots__ = ("changes",)

    def __init__(self, kind: int, args: list[bytes]) -> None:
        super().__init__(kind, args)
        self.changes = Changes()

    def note_change(self) -> None:
        """Tell whoever waits."""
        self.changes.note()


class AsyncClient:
    """
    Submits jobs, waits for them, asks for them, on an event loop.

    Connects when it is first used. To be closed, or used in an ``async with`` block.

    Args:
        servers: Job servers, such as ``"10.0.0.1:4730"``, or several of them; None for
            those of ``GEARMAN_SERVERS``, or one on this machine.
        placement: Which server gets a submission: ``ordered`` is the first that answers,
            ``random`` one by chance, ``hash`` the one that the unique key picks, so that
            equal keys meet. In each case the next one where it can't be reached.
        resend: Whether submissions that were cut off are sent again: ``if_unique`` they
            have a unique key, or ``never``. Those without a key never are.
        exceptions: Whether workers' exceptions are wanted as such (`JobException`).
        connect_timeout: Seconds for one attempt to connect.
        answer_timeout: Seconds of silence of a server that owes an answer, after which its
            connection is given up; None for ever. Jobs may run as long as they like.
        patience: Seconds during which unreachable servers are tried again before a
            submission fails.
        keepalive: When the kernel probes quiet connections; None for never.
        max_packet: Largest packet sent or received, in bytes.

    Raises:
        UsageError: A server or a setting can't be used.

    """

    def __init__(
        self,
        servers: ServersLike = None,
        *,
        placement: PlacementRule = "ordered",
        resend: ResendRule = "if_unique",
        exceptions: bool = True,
        connect_timeout: float = CONNECT_TIMEOUT,
        answer_timeout: float | None = ANSWER_TIMEOUT,
        patience: float = PATIENCE,
        keepalive: Keepalive | None = DEFAULT_KEEPALIVE,
        max_packet: int = MAX_PACKET,
    ) -> None:
        settings = Settings(
            placement,
            resend,
            exceptions,
            connect_timeout,
            answer_timeout,
            patience,
            keepalive,
            max_packet,
        ).check()
        self._pump = AsyncPump(parse_addresses(servers), settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Jobs that have not ended are lost to this client."""
        await self._pump.close()

    # One job.

    @overload
    async def submit(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        background: Literal[True],
        at: When | None = None,
        delay: float | None = None,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> JobHandle: ...

    @overload
    async def submit(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        background: bool = False,
        at: When,
        delay: None = None,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> JobHandle: ...

    @overload
    async def submit(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        background: bool = False,
        at: None = None,
        delay: float,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> JobHandle: ...

    @overload
    async def submit(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        background: Literal[False] = False,
        at: None = None,
        delay: None = None,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> AsyncJob: ...

    async def submit(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        background: bool = False,
        at: When | None = None,
        delay: float | None = None,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> AsyncJob | JobHandle:
        """
        Submit a job, and return once the server has accepted it.

        Args:
            function: Name of the function.
            workload: What the worker gets.
            background: Whether the job runs without anybody waiting for its result.
            at: Don't run it before; a datetime with a time zone, or seconds since 1970.
                Such a job is a background job.
            delay: Don't run it before that many seconds from now; the same.
            timeout: Seconds to wait for the server's word.
            options: ``unique``, ``priority``, ``reducer``: see `Submission`.

        Returns:
            An `AsyncJob` to await, or in the background a `JobHandle`.

        Raises:
            GeartrainError: As `geartrain.client.sync.Client.submit` does.

        """
        submission = Submission(
            function, workload, background=background, at=at, delay=delay, **options
        )
        job = self._start(submission)
        in_time = False
        try:
            in_time = await job.until(job.answered, timeout)
        finally:
            # Also where the caller was cancelled.
            if not in_time:
                self._pump.abandon(job)
        if not in_time:
            raise JobTimeout(b"", timeout or 0.0)
        ticket = job.ticket()
        return ticket if job.background else job

    async def call(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> bytes:
        """
        Submit a job, wait for its end and return its result.

        Args:
            function: Name of the function.
            workload: What the worker gets.
            timeout: Seconds for all of it. When they are over the job is forgotten here,
                which does not stop it.
            options: ``unique``, ``priority``, ``reducer``: see `Submission`.

        Raises:
            GeartrainError: As `submit` and `AsyncJob.result` do.

        """
        job = self._start(Submission(function, workload, **options))
        try:
            return await job.result(timeout)
        finally:
            if not job.ended:
                self._pump.abandon(job)

    def _start(self, submission: Submission) -> AsyncJob:
        """Return a job on its way, not waited for."""
        job = AsyncJob(submission, time.time())
        self._pump.submit(job)
        return job

    # Many jobs.

    @overload
    async def submit_many(
        self,
        submissions: Iterable[tuple[Text, Workload] | tuple[Text, Workload, Text | None]],
        *,
        background: Literal[True],
        max_in_flight: int = 1000,
        timeout: float | None = None,
        **options: Any,
    ) -> list[JobHandle]: ...

    @overload
    async def submit_many(
        self,
        submissions: Iterable[tuple[Text, Workload] | tuple[Text, Workload, Text | None]],
        *,
        background: Literal[False] = False,
        max_in_flight: int = 1000,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> list[AsyncJob]: ...

    @overload
    async def submit_many(
        self,
        submissions: Iterable[Submission],
        *,
        max_in_flight: int = 1000,
        timeout: float | None = None,
    ) -> list[AsyncJob | JobHandle]: ...

    async def submit_many(
        self,
        submissions: Iterable[Any] | AsyncIterable[Any],
        *,
        max_in_flight: int = 1000,
        timeout: float | None = None,
        **options: Any,
    ) -> Any:
        """
        Submit many jobs without waiting for each one's answer before sending the next.

        Args:
            submissions: `Submission` objects, or pairs of a function and a workload, or
                those two and a unique key; iterable, or iterable by ``async for``.
            max_in_flight: Most submissions that wait for their answer at a time.
            timeout: Seconds for all of it.
            options: What holds for all pairs: ``background``, ``at``, ``delay``,
                ``priority``, ``reducer``: see `Submission`.

        Returns:
            For each submission, in order, what `submit` returns.

        Raises:
            PartlySubmitted: Some were not accepted. Nothing more was sent after the first
                of them; its ``results`` say what became of those that were.
            UsageError: Arguments can't be sent.

        """
        batch = Batch(max_in_flight)
        source = Source(submissions)
        try:
            async with asyncio.timeout(timeout):
                while not batch.failed and (items := await source.take(batch.chunk)):
                    jobs = [self._start(as_submission(item, options)) for item in items]
                    batch.expect(jobs)
                    while not batch.has_room():
                        await self._wait_answer(batch)
                while not batch.is_complete():
                    await self._wait_answer(batch)
        except TimeoutError:
            self._abandon(batch.give_up(timeout or 0.0))
        except BaseException:
            self._abandon(batch.give_up(0.0))
            raise
        return batch.outcome()

    async def _wait_answer(self, batch: Batch) -> None:
        """Wait until about as many are answered as may follow, in the order of submission."""
        job = cast("AsyncJob", batch.open[min(batch.chunk, len(batch.open)) - 1])
        await job.until(job.answered, None)

    def _abandon(self, jobs: Iterable[JobRecord]) -> None:
        for job in jobs:
            self._pump.abandon(job)

    async def map(
        self,
        function: Text,
        workloads: Iterable[Workload] | AsyncIterable[Workload],
        *,
        max_in_flight: int = 100,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> AsyncIterator[bytes]:
        """
        Run a function on each workload, several at a time, and yield the results in order.

        Args:
            function: Name of the function.
            workloads: Taken as room allows, so that they may be without end; iterable, or
                iterable by ``async for``.
            max_in_flight: Most jobs submitted whose results have not been yielded.
            timeout: Seconds to wait for each result.
            options: ``priority``, ``reducer``, ``unique``: see `Submission`. The useful key
                here is ``-``, which joins jobs with equal workloads.

        Raises:
            GeartrainError: As `call` does, in the place of the result that is missing; the
                jobs after it are forgotten.

        """
        if max_in_flight < 1:
            raise UsageError("max_in_flight is to be 1 or more")
        window: deque[AsyncJob] = deque()
        source = Source(workloads)
        # Topped up a few at a time, so that they leave in one write.
        batch = max(1, max_in_flight // 8)
        try:
            more = True
            while more or window:
                room = max_in_flight - len(window)
                if more and room >= batch:
                    taken = await source.take(room)
                    more = len(taken) == room
                    window += [self._start(Submission(function, work, **options)) for work in taken]
                if window:
                    yield await window[0].result(timeout)
                    window.popleft()
        finally:
            self._abandon(window)

    def task_set(self) -> AsyncTaskSet:
        """Return an empty set of jobs that run side by side."""
        return AsyncTaskSet(self)

    async def as_completed(
        self,
        jobs: Iterable[AsyncJob],
        timeout: float | None = None,
    ) -> AsyncIterator[AsyncJob]:
        """
        Yield jobs as they end, whichever is first.

        Args:
            jobs: Jobs of this client.
            timeout: Seconds for all of them.

        Raises:
            JobTimeout: Not all ended in time.

        """
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

    # Questions.

    async def status(
        self,
        job: JobHandle | AsyncJob | Text | None = None,
        *,
        unique: Text | None = None,
        timeout: float | None = None,
    ) -> Status:
        """
        Ask for a job, by what `submit` returned, by its handle, or by its unique key.

        Args:
            job: What to ask for. A bare handle is asked of one server after the other.
            unique: The key, in the place of ``job``. Where several functions have jobs with
                the same key, servers answer for any of them.
            timeout: Seconds for each server's answer.

        Raises:
            ConnectionFailed: A server that might know it can't be reached.
            ConnectionLost: The connection ended before the answer.
            JobTimeout: The answer did not come in time.
            UsageError: Neither or both were given.

        """
        if unique is not None:
            if job is not None:
                raise UsageError("status takes a job or a unique key, not both")
            key = name_bytes(unique, "unique")
            return await self._ask_status(GET_STATUS_UNIQUE, key, None, timeout)
        if isinstance(job, AsyncJob):
            job = job.ticket()
        if isinstance(job, JobHandle):
            server = parse_address(job.server)
            return await self._ask_status(GET_STATUS, job.handle, server, timeout)
        if job is None:
            raise UsageError("status takes a job, its handle, or unique=")
        return await self._ask_status(GET_STATUS, name_bytes(job, "handle"), None, timeout)

    async def _ask_status(
        self, kind: int, name: bytes, server: Address | None, seconds: float | None
    ) -> Status:
        for address in [server] if server is not None else self._pump.addresses():
            status = read_status(await self._ask(address, kind, name, seconds))
            if status.known:
                return status
        return UNKNOWN_STATUS

    async def echo(
        self,
        workload: Workload = b"",
        *,
        timeout: float | None = None,
    ) -> bytes:
        """
        Send bytes to the server that submissions go to, and return what comes back.

        Raises:
            ConnectionFailed: No server can be reached.
            ConnectionLost: The connection ended before the answer.
            JobTimeout: The answer did not come in time.

        """
        return (await self._ask(None, ECHO_REQ, workload_bytes(workload), timeout))[0]

    async def option(
        self,
        name: Text,
        *,
        timeout: float | None = None,
    ) -> None:
        """
        Turn an option on, now and on each later connection; ``exceptions`` is the only one known.

        Raises:
            ServerError: The server does not know it.
            ConnectionFailed: No server can be reached.

        """
        option = name_bytes(name, "option")
        await self._ask(None, OPTION_REQ, option, timeout)
        self._pump.add_option(option)

    async def _ask(
        self, server: Address | None, kind: int, arg: bytes, seconds: float | None
    ) -> list[bytes]:
        question = AsyncQuestion(kind, [arg])
        try:
            async with asyncio.timeout(seconds):
                await self._pump.ask(server, question)
                await question.changes.wait(question.done, None)
        except TimeoutError:
            raise JobTimeout(b"", seconds or 0.0) from None
        finally:
            if not question.ended:
                question.forget()
        return question.outcome()


class AsyncTaskSet:
    """
    Jobs that run side by side and end in any order.

    ``add`` does not wait for the server; what is refused ends with an error as other jobs
    do. At the end of an ``async with`` block all jobs have ended.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
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
        job = self._client._start(Submission(function, workload, **options))
        self.jobs.append(job)
        return job

    def as_completed(self, timeout: float | None = None) -> AsyncIterator[AsyncJob]:
        """Yield the jobs as they end; see `AsyncClient.as_completed`."""
        return self._client.as_completed(self.jobs, timeout)

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


class Source:
    """What is iterable one way or the other, taken a few items at a time."""

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any]) -> None:
        self.plain: Iterator[Any] | None = None
        self.asynchronous: AsyncIterator[Any] | None = None
        if isinstance(items, AsyncIterable):
            self.asynchronous = aiter(items)
        else:
            self.plain = iter(items)

    async def take(self, count: int) -> list[Any]:
        """Return the next items, ``count`` at most; fewer only at the end."""
        items: list[Any] = []
        try:
            while len(items) < count:
                if self.plain is not None:
                    items.append(next(self.plain))
                elif self.asynchronous is not None:
                    items.append(await anext(self.asynchronous))
        except (StopIteration, StopAsyncIteration):
            pass
        return items


def _call_back_soon(
    loop: asyncio.AbstractEventLoop, callback: Callable[[Any], object], job: AsyncJob
) -> None:
    loop.call_soon(_call_back, callback, job)


def _call_back(callback: Callable[[Any], object], job: AsyncJob) -> None:
    try:
        callback(job)
    except Exception:
        logger.exception("callback of %r raised", job)


__all__ = ["AsyncClient", "AsyncJob", "AsyncTaskSet"]
