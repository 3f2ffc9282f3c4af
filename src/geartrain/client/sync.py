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
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Final, Literal, Self, Unpack, overload

from geartrain.client.address import Address, ServersLike, parse_address, parse_addresses
from geartrain.client.batch import Batch, as_submission
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.job import (
    UNKNOWN_STATUS,
    JobEvent,
    JobHandle,
    JobRecord,
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
from geartrain.client.sync_pump import Pump, call_back
from geartrain.errors import GeartrainError, JobTimeout, UsageError
from geartrain.wire.packet import ECHO_REQ, GET_STATUS, GET_STATUS_UNIQUE, OPTION_REQ
from geartrain.wire.reader import MAX_PACKET

# A task set that is filled faster than the server takes it waits when this much is unsent.
_MOST_UNSENT: Final = 1024 * 1024


class Job(JobRecord):
    """
    A foreground job: its result will come.

    Made by `Client.submit`. Any thread may wait for it, several at once.
    """

    __slots__ = ("_pump",)

    def __init__(self, pump: Pump, submission: Submission, now: float) -> None:
        super().__init__(submission, now)
        self._pump = pump

    def __repr__(self) -> str:
        state = "ended" if self.ended else "accepted" if self.accepted else "not accepted yet"
        return f"<Job {self.handle!r} {self.function!r} {state}>"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, ``timeout`` seconds at most; return whether it came."""
        if self.ended:
            return True
        with self._pump.lock:
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
            with self._pump.lock:
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
        with self._pump.lock:
            if not self.ended:
                self._pump.do_expect_callback()
                self.watch(partial(self._pump.do_call_back, callback))
                return
        call_back(callback, self)


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
        **options: Unpack[SubmissionOptions],
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
            options: ``unique``, ``priority``, ``reducer``: see `Submission`.

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
        submission = Submission(
            function, workload, background=background, at=at, delay=delay, **options
        )
        job = Job(self._pump, submission, time.time())
        with self._pump.lock:
            self._pump.do_submit(job)
            if not self._pump.wait(job.answered, deadline_after(timeout)):
                self._pump.do_abandon(job)
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
        job = self._start(Submission(function, workload, **options))
        try:
            return job.result(timeout)
        except JobTimeout:
            self._abandon([job])
            raise

    def _start(self, submission: Submission) -> Job:
        """Return a job on its way, not waited for."""
        job = Job(self._pump, submission, time.time())
        with self._pump.lock:
            self._pump.do_submit(job)
        return job

    def _abandon(self, jobs: Iterable[Job]) -> None:
        with self._pump.lock:
            for job in jobs:
                self._pump.do_abandon(job)

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
            now = time.time()
            jobs = [Job(self._pump, submission, now) for submission in chunk]
            with self._pump.lock:
                for job in jobs:
                    self._pump.do_submit(job)
                batch.expect(jobs)
                self._pump.do_flush()
                in_time = self._pump.wait(batch.has_room, deadline)
        with self._pump.lock:
            in_time = self._pump.wait(batch.is_complete, deadline)
            if not in_time:
                for late in batch.give_up(timeout or 0.0):
                    self._pump.do_abandon(late)
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
                if more and len(window) <= max_in_flight - batch:
                    room = max_in_flight - len(window)
                    taken = [
                        Submission(function, work, **options) for work in islice(iterator, room)
                    ]
                    more = len(taken) == room
                    window += [self._start(submission) for submission in taken]
                    self._flush()
                if window:
                    yield window[0].result(timeout)
                    window.popleft()
        finally:
            self._abandon(window)

    def _flush(self) -> None:
        with self._pump.lock:
            self._pump.do_flush()

    def task_set(self) -> TaskSet:
        """Return an empty set of jobs that run side by side."""
        return TaskSet(self)

    def as_completed(self, jobs: Iterable[Job], timeout: float | None = None) -> Iterator[Job]:
        """
        Yield jobs as they end, whichever is first.

        Args:
            jobs: Jobs of this client.
            timeout: Seconds for all of them.

        Raises:
            JobTimeout: Not all ended in time.

        """
        ended: deque[Job] = deque()
        pending = list(jobs)
        with self._pump.lock:
            for job in pending:
                job.watch(ended.append)
        deadline = deadline_after(timeout)
        for _ in range(len(pending)):
            with self._pump.lock:
                if not self._pump.wait(lambda: bool(ended), deadline):
                    late = next(job for job in pending if not job.ended)
                    raise JobTimeout(late.handle, timeout or 0.0)
            yield ended.popleft()

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
        if unique is not None:
            if job is not None:
                raise UsageError("status takes a job or a unique key, not both")
            return self._ask_status(GET_STATUS_UNIQUE, name_bytes(unique, "unique"), None, timeout)
        if isinstance(job, Job):
            job = job.ticket()
        if isinstance(job, JobHandle):
            server = parse_address(job.server)
            return self._ask_status(GET_STATUS, job.handle, server, timeout)
        if job is None:
            raise UsageError("status takes a job, its handle, or unique=")
        return self._ask_status(GET_STATUS, name_bytes(job, "handle"), None, timeout)

    def _ask_status(
        self, kind: int, name: bytes, server: Address | None, timeout: float | None
    ) -> Status:
        for address in [server] if server is not None else self._pump.addresses():
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
        with self._pump.lock:
            self._pump.do_add_option(option)

    def _ask(
        self, server: Address | None, kind: int, arg: bytes, timeout: float | None
    ) -> list[bytes]:
        deadline = deadline_after(timeout)
        with self._pump.lock:
            question = self._pump.ask(server, kind, [arg], deadline)
            if not self._pump.wait(question.done, deadline):
                question.forget()
                raise JobTimeout(b"", timeout or 0.0)
        return question.outcome()


class TaskSet:
    """
    Jobs that run side by side and end in any order.

    ``add`` does not wait for the server; what is refused ends with an error as other jobs
    do. At the end of a ``with`` block all jobs have ended.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
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
        pump = self._client._pump
        job = Job(pump, Submission(function, workload, **options), time.time())
        self.jobs.append(job)
        with pump.lock:
            pump.do_submit(job)
            pump.wait(lambda: pump.unsent_size() < _MOST_UNSENT, None)
        return job

    def as_completed(self, timeout: float | None = None) -> Iterator[Job]:
        """Yield the jobs as they end; see `Client.as_completed`."""
        return self._client.as_completed(self.jobs, timeout)

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


def deadline_after(timeout: float | None) -> float | None:
    """Return the moment ``timeout`` seconds from now by the monotonic clock; None for never."""
    return None if timeout is None else time.monotonic() + timeout


__all__ = ["Client", "Job", "TaskSet"]
