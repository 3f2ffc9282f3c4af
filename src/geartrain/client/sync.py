"""
The blocking client.

A client may be shared by threads. It starts none of its own, but for one that
carries out callbacks while any are due: sockets are served by the threads
that wait, so a job's reports are taken in while somebody waits for any job.

After a fork the child's client connects anew.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

from geartrain.client.address import Address, ServersLike, parse_addresses
from geartrain.client.batch import Batch, as_submission
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.job import forget_all
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.client.placement import PlacementRule
from geartrain.client.question import status_question
from geartrain.client.reports import UNKNOWN_STATUS, JobHandle, Status, read_status
from geartrain.client.settings import ANSWER_TIMEOUT, PATIENCE, ResendRule, Settings
from geartrain.client.submission import (
    Priority,
    Submission,
    SubmissionOptions,
    Text,
    When,
    Workload,
    foreground_submission,
    name_bytes,
    workload_bytes,
)
from geartrain.client.sync_job import Job, TaskSet, as_completed, deadline_after
from geartrain.client.sync_pump import Pump
from geartrain.errors import JobTimeout, UsageError
from geartrain.wire.packet import ECHO_REQ, OPTION_REQ
from geartrain.wire.reader import MAX_PACKET


class Client:
    """
    Submits jobs, waits for them, asks for them.

    Connects when it is first used. To be closed, or used in a ``with`` block. Threads may
    share it.

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
        self._pump = Pump(parse_addresses(servers), settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Jobs that have not ended are lost to this client."""
        self._pump.close()

    # One job.

    @overload
    def submit(
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
    def submit(
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
    def submit(
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
    def submit(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        background: Literal[False] = False,
        at: None = None,
        delay: None = None,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> Job: ...

    def submit(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        background: bool = False,
        at: When | None = None,
        delay: float | None = None,
        timeout: float | None = None,
        unique: Text | None = None,
        priority: Priority = "normal",
        reducer: Text | None = None,
    ) -> Job | JobHandle:
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
            unique: Key that joins equal jobs; this and the next ones as of `Submission`.
            priority: ``high``, ``normal`` or ``low``.
            reducer: Name of a function that the worker is to hand the parts to.

        Returns:
            A `Job` to wait for, or in the background a `JobHandle`.

        Raises:
            ServerError: The server refused it; its ``code`` says why, as in ``QUEUE_ERROR``.
            SubmissionUncertain: The connection ended before the server said yes or no, and
                there is no unique key that makes sending it again safe.
            ConnectionFailed: No server could be reached.
            JobTimeout: The server did not answer in time; it may have accepted it.
            UsageError: The arguments can't be sent.

        """
        pump = self._pump
        submission = Submission(
            function,
            workload,
            unique=unique,
            priority=priority,
            background=background,
            at=at,
            delay=delay,
            reducer=reducer,
        )
        job = Job(pump, submission, time.time())
        with pump.turns.lock:
            pump.submit(job)
            if not pump.wait(job.answered, deadline_after(timeout)):
                job.forget()
                raise JobTimeout(b"", timeout or 0.0)
        ticket = job.ticket()
        return ticket if job.background else job

    def call(
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
            GeartrainError: As `submit` and `Job.result` do.

        """
        job = Job(self._pump, foreground_submission(function, workload, **options), time.time())
        deadline = deadline_after(timeout)
        with self._pump.turns.lock:
            self._pump.submit(job)
            if not self._pump.wait(job.done, deadline):
                job.forget()
                raise JobTimeout(job.handle, timeout or 0.0)
        return job.outcome()

    def start(self, submissions: Iterable[Submission]) -> list[Job]:
        """Return jobs on their way, before the server has accepted them."""
        now = time.time()
        jobs = [Job(self._pump, submission, now) for submission in submissions]
        with self._pump.turns.lock:
            for job in jobs:
                self._pump.submit(job)
            self._pump.prepare(None)
        return jobs

    def wait_accepted(self, job: Job, timeout: float | None = None) -> JobHandle:
        """
        Wait until the server has accepted a job of `start`, and return where to ask for it.

        Raises:
            GeartrainError: As `submit` does.

        """
        with self._pump.turns.lock:
            if not self._pump.wait(job.answered, deadline_after(timeout)):
                job.forget()
                raise JobTimeout(b"", timeout or 0.0)
        return job.ticket()

    # Many jobs.

    @overload
    def submit_many(
        self,
        submissions: Iterable[tuple[Text, Workload] | tuple[Text, Workload, Text | None]],
        *,
        background: Literal[True],
        max_in_flight: int = 1000,
        timeout: float | None = None,
        **options: Any,
    ) -> list[JobHandle]: ...

    @overload
    def submit_many(
        self,
        submissions: Iterable[tuple[Text, Workload] | tuple[Text, Workload, Text | None]],
        *,
        background: Literal[False] = False,
        max_in_flight: int = 1000,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> list[Job]: ...

    @overload
    def submit_many(
        self,
        submissions: Iterable[Submission],
        *,
        max_in_flight: int = 1000,
        timeout: float | None = None,
    ) -> list[Job | JobHandle]: ...

    def submit_many(
        self,
        submissions: Iterable[Any],
        *,
        max_in_flight: int = 1000,
        timeout: float | None = None,
        **options: Any,
    ) -> Any:
        """
        Submit many jobs without waiting for each one's answer before sending the next.

        Args:
            submissions: `Submission` objects, or pairs of a function and a workload, or
                those two and a unique key.
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
        deadline = deadline_after(timeout)
        iterator = iter(submissions)
        in_time = True
        while in_time and not batch.failed:
            # Taken without the lock: the iterable may be anything, slow or using this client.
            chunk = [as_submission(item, options) for item in islice(iterator, batch.chunk)]
            if not chunk:
                break
            batch.expect(self.start(chunk))
            with self._pump.turns.lock:
                in_time = self._pump.wait(batch.has_room, deadline)
        with self._pump.turns.lock:
            in_time = self._pump.wait(batch.is_complete, deadline)
            if not in_time:
                forget_all(batch.give_up(timeout or 0.0))
        return batch.outcome()

    def map(
        self,
        function: Text,
        workloads: Iterable[Workload],
        *,
        max_in_flight: int = 100,
        timeout: float | None = None,
        **options: Unpack[SubmissionOptions],
    ) -> Iterator[bytes]:
        """
        Run a function on each workload, several at a time, and yield the results in order.

        Args:
            function: Name of the function.
            workloads: Taken as room allows, so that they may be without end.
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
        window: deque[Job] = deque()
        iterator = iter(workloads)
        # Topped up a few at a time, so that they leave in one write.
        batch = max(1, max_in_flight // 8)
        try:
            more = True
            while more or window:
                while more and len(window) <= max_in_flight - batch:
                    taken = list(islice(iterator, batch))
                    more = len(taken) == batch
                    window += self.start(
                        foreground_submission(function, work, **options) for work in taken
                    )
                if window:
                    yield window[0].result(timeout)
                    window.popleft()
        finally:
            forget_all(window)

    def task_set(self) -> TaskSet:
        """Return an empty set of jobs that run side by side."""
        return TaskSet(self._pump)

    def as_completed(self, jobs: Iterable[Job], timeout: float | None = None) -> Iterator[Job]:
        """
        Yield jobs as they end, whichever is first.

        Args:
            jobs: Jobs of this client.
            timeout: Seconds for all of them.

        Raises:
            JobTimeout: Not all ended in time.

        """
        return as_completed(self._pump, jobs, timeout)

    # Questions.

    def status(
        self,
        job: JobHandle | Job | Text | None = None,
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
            status = read_status(self._ask(address, kind, name, timeout))
            if status.known:
                return status
        return UNKNOWN_STATUS

    def echo(self, workload: Workload = b"", *, timeout: float | None = None) -> bytes:
        """
        Send bytes to the server that submissions go to, and return what comes back.

        Raises:
            ConnectionFailed: No server can be reached.
            ConnectionLost: The connection ended before the answer.
            JobTimeout: The answer did not come in time.

        """
        return self._ask(None, ECHO_REQ, workload_bytes(workload), timeout)[0]

    def option(self, name: Text, *, timeout: float | None = None) -> None:
        """
        Turn an option on, now and on each later connection; ``exceptions`` is the only one known.

        Raises:
            ServerError: The server does not know it.
            ConnectionFailed: No server can be reached.

        """
        option = name_bytes(name, "option")
        self._ask(None, OPTION_REQ, option, timeout)
        with self._pump.turns.lock:
            self._pump.add_option(option)

    def _ask(
        self, server: Address | None, kind: int, arg: bytes, timeout: float | None
    ) -> list[bytes]:
        deadline = deadline_after(timeout)
        with self._pump.turns.lock:
            try:
                question = self._pump.ask(server, kind, [arg], deadline)
            except TimeoutError as error:
                raise JobTimeout(b"", timeout or 0.0) from error
            if not self._pump.wait(question.done, deadline):
                question.forget()
                raise JobTimeout(b"", timeout or 0.0)
        return question.outcome()


__all__ = ["Client"]
