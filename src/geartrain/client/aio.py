# ruff: noqa: ASYNC109 - the blocking client takes timeouts, so this one does
"""
The asyncio client: the blocking one's methods, to be awaited.

A client belongs to the event loop of its first use. Nothing runs beside the
loop, and reports are taken in as they come, whoever waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Literal, Self, Unpack, cast, overload

from geartrain.client.address import Address, ServersLike, parse_addresses
from geartrain.client.aio_job import AsyncJob, AsyncQuestion, AsyncTaskSet, as_completed
from geartrain.client.aio_pump import AsyncPump
from geartrain.client.aio_source import Source
from geartrain.client.batch import Batch, as_submission
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.job import forget_all
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.client.placement import PlacementRule
from geartrain.client.question import status_question
from geartrain.client.reports import UNKNOWN_STATUS, JobHandle, Status, read_status
from geartrain.client.settings import ANSWER_TIMEOUT, PATIENCE, ResendRule, Settings
from geartrain.client.submission import (
    Submission,
    SubmissionOptions,
    Text,
    When,
    Workload,
    foreground_submission,
    name_bytes,
    workload_bytes,
)
from geartrain.errors import JobTimeout, UsageError
from geartrain.wire.packet import ECHO_REQ, OPTION_REQ
from geartrain.wire.reader import MAX_PACKET


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
        job = self.start(submission)
        in_time = False
        try:
            in_time = await job.until(job.answered, timeout)
        finally:
            # Also where the caller was cancelled.
            if not in_time:
                job.forget()
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
        job = self.start(foreground_submission(function, workload, **options))
        try:
            return await job.result(timeout)
        finally:
            if not job.ended:
                job.forget()

    def start(self, submission: Submission) -> AsyncJob:
        """Return a job on its way, before the server has accepted it."""
        job = AsyncJob(submission, time.time())
        self._pump.submit(job)
        return job

    async def wait_accepted(self, job: AsyncJob, timeout: float | None = None) -> JobHandle:
        """
        Wait until the server has accepted a job of `start`, and return where to ask for it.

        Raises:
            GeartrainError: As `submit` does.

        """
        in_time = False
        try:
            in_time = await job.until(job.answered, timeout)
        finally:
            # Also where the caller was cancelled.
            if not in_time:
                job.forget()
        if not in_time:
            raise JobTimeout(b"", timeout or 0.0)
        return job.ticket()

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
                    jobs = [self.start(as_submission(item, options)) for item in items]
                    batch.expect(jobs)
                    while not batch.has_room():
                        await self._wait_answer(batch)
                while not batch.is_complete():
                    await self._wait_answer(batch)
        except TimeoutError:
            forget_all(batch.give_up(timeout or 0.0))
        except BaseException:
            forget_all(batch.give_up(0.0))
            raise
        return batch.outcome()

    async def _wait_answer(self, batch: Batch) -> None:
        """Wait until the oldest is answered; the others of its server come in the same breath."""
        oldest = cast("AsyncJob", batch.open[0])
        await oldest.until(oldest.answered, None)

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
                while more and len(window) <= max_in_flight - batch:
                    taken = await source.take(batch)
                    more = len(taken) == batch
                    for work in taken:
                        submission = foreground_submission(function, work, **options)
                        window.append(self.start(submission))
                if window:
                    yield await window[0].result(timeout)
                    window.popleft()
        finally:
            forget_all(window)

    def task_set(self) -> AsyncTaskSet:
        """Return an empty set of jobs that run side by side."""
        return AsyncTaskSet(self._pump)

    def as_completed(
        self, jobs: Iterable[AsyncJob], timeout: float | None = None
    ) -> AsyncIterator[AsyncJob]:
        """
        Yield jobs as they end, whichever is first.

        Args:
            jobs: Jobs of this client.
            timeout: Seconds for all of them.

        Raises:
            JobTimeout: Not all ended in time.

        """
        return as_completed(jobs, timeout)

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
        kind, name, server = status_question(job, unique)
        for address in [server] if server is not None else self._pump.placement.addresses():
            status = read_status(await self._ask(address, kind, name, timeout))
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


__all__ = ["AsyncClient"]
