"""
python-gearman's client, over this package's own.

Jobs are submitted and followed by the blocking client's `Pump`; here its jobs
become requests with a state, data goes through the encoder, and waiting means
what it meant: until jobs are accepted, or until they have ended.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from geartrain.client.address import Address
from geartrain.client.job import JobRecord
from geartrain.client.question import Question
from geartrain.client.reports import read_status
from geartrain.client.settings import Settings
from geartrain.client.submission import Submission
from geartrain.client.sync_job import Job, deadline_after
from geartrain.client.sync_pump import Pump
from geartrain.compat.gearman.connection import GearmanConnection
from geartrain.compat.gearman.connection_manager import (
    DataEncoder,
    GearmanConnectionManager,
    TextDataEncoder,
)
from geartrain.compat.gearman.constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_PENDING,
    JOB_UNKNOWN,
    PRIORITY_NONE,
)
from geartrain.compat.gearman.errors import (
    ExceededSubmissionAttempts,
    InvalidClientState,
    ServerUnavailable,
)
from geartrain.compat.gearman.job import GearmanJobRequest
from geartrain.compat.gearman.task import TaskClient
from geartrain.compat.gearman.util import Stopwatch, as_bytes, as_text, unlist
from geartrain.errors import (
    ConnectionFailed,
    JobException,
    JobFailed,
    ServerError,
    SubmissionUncertain,
    UsageError,
)
from geartrain.wire.packet import GET_STATUS

RANDOM_UNIQUE_BYTES: Final = 16
# A client whose patience has no end looks for servers as long as this, in seconds.
_FOR_EVER: Final = 1e9

_PRIORITIES: Final = {None: "normal", "": "normal", "LOW": "low", "HIGH": "high"}


class ClientConnection(GearmanConnection):
    """One server of a client."""

    def __init__(self, address: Address, client: GearmanClient) -> None:
        super().__init__(address)
        self._client = weakref.ref(client)

    @property
    def connected(self) -> bool:
        """Whether a connection to it stands."""
        client = self._client()
        pump = client._pump if client is not None else None
        return pump is not None and self.address in pump.connections


class GearmanClient(GearmanConnectionManager, TaskClient):
    """
    Submits jobs, waits for them, asks for their status.

    Args:
        host_list: The servers; see `GearmanConnectionManager`.
        random_unique_bytes: Bytes of chance in the keys of jobs that were given none.

    """

    def __init__(
        self, host_list: Any = None, random_unique_bytes: int = RANDOM_UNIQUE_BYTES
    ) -> None:
        self._pump: Pump | None = None
        self._closed = False
        # Submitted and not ended.
        self._requests: weakref.WeakSet[GearmanJobRequest] = weakref.WeakSet()
        self.random_unique_bytes = random_unique_bytes
        super().__init__(host_list=host_list)

    def _new_connection(self, address: Address) -> GearmanConnection:
        if self._pump is not None:
            raise InvalidClientState("servers are added before the first job is submitted")
        return ClientConnection(address, self)

    def shutdown(self) -> None:
        """Close all connections; nothing can be submitted after it."""
        self._closed = True
        if self._pump is not None:
            self._pump.close()

    # Submitting.

    def submit_job(
        self,
        task: Any,
        data: Any,
        unique: Any = None,
        priority: str | None = PRIORITY_NONE,
        background: bool = False,
        wait_until_complete: bool = True,
        max_retries: int = 0,
        poll_timeout: float | None = None,
    ) -> Any:
        """
        Submit one job; the arguments are those of `submit_multiple_jobs`.

        Args:
            task: Name of the function.
            data: What the worker gets, as the encoder takes it.
            unique: Key that joins equal jobs; one by chance where it is None. ``-`` makes
                the data the key.
            priority: ``PRIORITY_NONE``, ``PRIORITY_LOW`` or ``PRIORITY_HIGH``.
            background: Whether nobody waits for the result.
            wait_until_complete: Whether to return only when it has ended.
            max_retries: How often to send it again where its connection ended before it
                was accepted.
            poll_timeout: Seconds to wait; None for ever.

        Returns:
            A `GearmanJobRequest`.

        """
        job_info = {"task": task, "data": data, "unique": unique, "priority": priority}
        requests = self.submit_multiple_jobs(
            [job_info],
            background=background,
            wait_until_complete=wait_until_complete,
            max_retries=max_retries,
            poll_timeout=poll_timeout,
        )
        return unlist(requests)

    def submit_multiple_jobs(
        self,
        jobs_to_submit: Iterable[Any],
        background: bool = False,
        wait_until_complete: bool = True,
        max_retries: int = 0,
        poll_timeout: float | None = None,
    ) -> Any:
        """
        Submit several jobs at once.

        Args:
            jobs_to_submit: Dicts with ``task`` and ``data``, and if wanted ``unique`` and
                ``priority``.
            background: Whether nobody waits for the results.
            wait_until_complete: Whether to return only when all have ended. Without it, and
                with background jobs, this returns when all are accepted.
            max_retries: How often to send again those whose connection ended before they
                were accepted.
            poll_timeout: Seconds to wait; None for ever. What has not ended by then has
                ``timed_out`` set.

        Returns:
            A list with a `GearmanJobRequest` for each.

        Raises:
            ServerUnavailable: No server can be reached.
            ExceededConnectionAttempts: A connection ended before a job was accepted, and no
                retry is left.
            EncodingError: The encoder can't take the data.

        """
        requests = [
            self._create_request(job_info, background, max_retries) for job_info in jobs_to_submit
        ]
        return self.submit_multiple_requests(
            requests, wait_until_complete=wait_until_complete, poll_timeout=poll_timeout
        )

    def submit_multiple_requests(
        self,
        job_requests: Any,
        wait_until_complete: bool = True,
        poll_timeout: float | None = None,
    ) -> Any:
        """
        Submit requests that are not under way, and wait for all.

        Takes those that timed out or failed to connect as well: the former are waited for
        again, the latter submitted again.
        """
        stopwatch = Stopwatch(poll_timeout)
        requests = self.wait_until_jobs_accepted(job_requests, poll_timeout=poll_timeout)
        remaining = stopwatch.get_time_remaining()
        if wait_until_complete and remaining != 0.0:
            requests = self.wait_until_jobs_completed(requests, poll_timeout=remaining)
        return requests

    def _create_request(self, job_info: Any, background: bool, max_retries: int) -> Any:
        unique = job_info.get("unique")
        if unique is None or unique in ("", b""):
            unique = os.urandom(self.random_unique_bytes).hex()
        job = self.job_class(
            connection=None,
            handle=None,
            task=job_info["task"],
            unique=unique,
            data=self._as_handed_out(job_info["data"]),
        )
        return self.job_request_class(
            job,
            initial_priority=job_info.get("priority", PRIORITY_NONE),
            background=background,
            max_attempts=max_retries + 1,
        )

    def _as_handed_out(self, data: Any) -> Any:
        """Return data as a result would be, so that an echo is equal to what was sent."""
        if self.data_encoder in (DataEncoder, TextDataEncoder):
            return self.decode_data(self.encode_data(data))
        return data

    def send_job_request(self, current_request: Any) -> Any:
        """Put a request on its way, without waiting for anything."""
        submission = self._submission_of(current_request)
        pump = self._open_pump()
        record = Job(pump, submission, time.time())
        with pump.turns.lock:
            pump.submit(record)
        current_request.connection_attempts += 1
        current_request.timed_out = False
        current_request.state = JOB_PENDING
        current_request._failure = None
        current_request._job = record
        self._requests.add(current_request)
        return current_request

    def _submission_of(self, request: Any) -> Submission:
        job = request.job
        priority: Any = _PRIORITIES.get(request.priority)
        if priority is None:
            raise UsageError(
                f"priority {request.priority!r} is unknown; take gearman.PRIORITY_NONE, "
                "PRIORITY_LOW or PRIORITY_HIGH"
            )
        return Submission(
            as_bytes(job.task),
            self.encode_data(job.data),
            unique=as_bytes(job.unique),
            priority=priority,
            background=request.background,
        )

    def _open_pump(self) -> Pump:
        """Return what serves the connections, made with the first job."""
        if self._closed:
            raise ServerUnavailable("the client was shut down; make a new one")
        if not self.connection_list:
            raise ServerUnavailable("Found no valid connections: host_list is empty")
        if self._pump is None:
            settings = Settings(
                placement="random",
                resend="never",
                connect_timeout=self.connect_timeout,
                patience=_FOR_EVER if self.patience is None else self.patience,
            )
            addresses = [connection.address for connection in self.connection_list]
            self._pump = Pump(list(dict.fromkeys(addresses)), settings.check())
        return self._pump

    # Waiting.

    def wait_until_jobs_accepted(self, job_requests: Any, poll_timeout: float | None = None) -> Any:
        """
        Submit requests that are not under way, and wait until servers have accepted all.

        Returns:
            ``job_requests``. Those still pending when the time is over are ``timed_out``.

        Raises:
            GearmanError: As `submit_multiple_jobs` does.

        """
        deadline = deadline_after(poll_timeout)
        to_send = [request for request in job_requests if request.state == JOB_UNKNOWN]
        for request in to_send:
            # What failed before may be tried again as often as the first time.
            request._attempts_before = request.connection_attempts
        while to_send:
            for request in to_send:
                self.send_job_request(request)
            self._wait_for(job_requests, JobRecord.answered, deadline)
            to_send = [request for request in job_requests if _was_cut_off(request)]
            _check_attempts(to_send)
        self._wait_for(job_requests, JobRecord.answered, deadline)
        for request in job_requests:
            request.timed_out = request.state == JOB_PENDING
        return job_requests

    def wait_until_jobs_completed(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """
        Wait until jobs have ended; background jobs, until they are accepted.

        Returns:
            ``job_requests``. Those not ended when the time is over are ``timed_out``; those
            whose connection was lost have the state ``JOB_UNKNOWN``.

        """
        self._wait_for(job_requests, JobRecord.done, deadline_after(poll_timeout))
        for request in job_requests:
            request.timed_out = not request.complete and request.state != JOB_UNKNOWN
        return job_requests

    def _wait_for(
        self, requests: Any, is_over: Callable[[Any], bool], deadline: float | None
    ) -> None:
        """Wait for something of each request's job, and take in what was reported meanwhile."""
        waiting = [request._job for request in requests if request._job is not None]

        def all_are_over() -> bool:
            # Taken off one by one, so that many jobs are not looked at again each time.
            while waiting and is_over(waiting[-1]):
                waiting.pop()
            return not waiting

        if waiting:
            pump = self._open_pump()
            with pump.turns.lock:
                pump.wait(all_are_over, deadline)
        for request in requests:
            self._take_reports(request)
        for request in requests:
            if isinstance(request._failure, ConnectionFailed):
                raise ServerUnavailable(
                    f"Found no valid connections: {self.connection_list!r}"
                ) from request._failure

    def poll_connections_until_stopped(
        self,
        submitted_connections: Collection[Any],
        callback_fxn: Callable[[bool], Any],
        timeout: float | None = None,
    ) -> bool:
        """
        Take in what servers send until the callback returns false; see the base class.

        The callback is asked before the first wait too: what it waits for may have come.
        """
        deadline = deadline_after(timeout)
        pump = self._open_pump()
        any_activity = False
        while callback_fxn(any_activity):
            if deadline is not None and time.monotonic() >= deadline:
                return True
            if not pump.connections:
                raise ServerUnavailable(f"Found no valid connections: {self.connection_list!r}")
            any_activity = self._poll(pump, deadline)
        return False

    def _poll(self, pump: Pump, deadline: float | None) -> bool:
        """Wait until something has come; return whether it has."""

        def heard() -> dict[Address, float]:
            return {address: one.heard_at for address, one in pump.connections.items()}

        before = heard()
        with pump.turns.lock:
            any_activity = pump.wait(lambda: heard() != before, deadline)
        for request in list(self._requests):
            self._take_reports(request)
        return any_activity

    # What was reported.

    def _take_reports(self, request: Any) -> None:
        """Bring a request up to date with its job."""
        job: Job | None = request._job
        if job is None:
            return
        # Looked at first: what another thread takes in meanwhile is left for the next time.
        ended = job.ended
        if job.accepted and request.state == JOB_PENDING:
            request.job.handle = as_text(job.handle)
            request.job.connection = self._connection_to(job.address)
            request.state = JOB_CREATED
        for event in iter(job.next_event, None):
            if event.kind == "data":
                request.data_updates.append(self.decode_data(event.workload))
            elif event.kind == "warning":
                request.warning_updates.append(self.decode_data(event.workload))
            elif event.kind == "progress":
                progress = event.progress
                request.status = _status(
                    request, True, True, progress.numerator, progress.denominator
                )
        if ended:
            self._take_end(request, job)
            request._job = None
            self._requests.discard(request)

    def _take_end(self, request: Any, job: Job) -> None:
        error = job.failure()
        if error is None:
            if not request.background:
                request.result = self.decode_data(job.outcome())
                request.state = JOB_COMPLETE
        elif isinstance(error, JobFailed):
            request.state = JOB_FAILED
        elif isinstance(error, JobException):
            request.exception = self._decode_exception(error.workload)
            request.state = JOB_FAILED
        elif isinstance(error, ServerError | UsageError):
            request.exception = str(error)
            request.state = JOB_FAILED
        else:
            request._failure = error
            request.state = JOB_UNKNOWN

    def _decode_exception(self, workload: bytes) -> Any:
        """Return an exception as the worker wrote it, which may know another encoder or none."""
        try:
            return self.decode_data(workload)
        except Exception:
            return workload

    def _connection_to(self, address: str) -> Any:
        return next((one for one in self.connection_list if str(one.address) == address), None)

    # The status of jobs.

    def get_job_status(self, current_request: Any, poll_timeout: float | None = None) -> Any:
        """Ask for one job; see `get_job_statuses`."""
        return unlist(self.get_job_statuses([current_request], poll_timeout=poll_timeout))

    def get_job_statuses(self, job_requests: Any, poll_timeout: float | None = None) -> Any:
        """
        Ask servers for accepted jobs, and wait for the answers.

        Returns:
            ``job_requests``, their ``status`` up to date. Those without an answer when the
            time is over are ``timed_out``.

        Raises:
            InvalidClientState: A request has no handle yet.
            ServerUnavailable: Its server can't be reached.

        """
        stopwatch = Stopwatch(poll_timeout)
        pump = self._open_pump()
        for request in job_requests:
            if not request.job.handle:
                raise InvalidClientState(f"{request!r} was not accepted, so there is no handle")
            request._question = self._ask(pump, request, stopwatch)
        remaining = stopwatch.get_time_remaining()
        return self.wait_until_job_statuses_received(job_requests, poll_timeout=remaining)

    def _ask(self, pump: Pump, request: Any, stopwatch: Stopwatch) -> Question | None:
        connection = request.job.connection
        address = getattr(connection, "address", None)
        handle = [as_bytes(request.job.handle)]
        deadline = deadline_after(stopwatch.get_time_remaining())
        try:
            with pump.turns.lock:
                return pump.ask(address, GET_STATUS, handle, deadline)
        except TimeoutError:
            return None
        except ConnectionFailed as error:
            raise ServerUnavailable(
                f"Found no valid connections: {connection or self.connection_list!r}"
            ) from error

    def wait_until_job_statuses_received(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Wait for the answers to `get_job_statuses` that timed out before."""
        pump = self._open_pump()
        waiting = [one._question for one in job_requests if one._question is not None]
        with pump.turns.lock:
            pump.wait(lambda: all(one.ended for one in waiting), deadline_after(poll_timeout))
        for request in job_requests:
            question: Question | None = request._question
            request.timed_out = question is None or not question.ended
            if question is not None and question.ended:
                request._question = None
                self._take_answer(request, question)
            self._take_reports(request)
        return job_requests

    def _take_answer(self, request: Any, question: Question) -> None:
        try:
            answer = question.outcome()
        except ServerError as error:
            raise InvalidClientState(str(error)) from error
        except Exception as error:
            raise ServerUnavailable(str(error)) from error
        status = read_status(answer)
        request.status = _status(
            request, status.known, status.running, status.numerator, status.denominator
        )


def _was_cut_off(request: Any) -> bool:
    """Return whether a request's connection ended before the server said yes or no."""
    return request.state == JOB_UNKNOWN and isinstance(request._failure, SubmissionUncertain)


def _check_attempts(requests: list[Any]) -> None:
    """Raise `ExceededConnectionAttempts` where a request was sent as often as it may be."""
    for request in requests:
        if (
            request.connection_attempts - request._attempts_before
            >= request.max_connection_attempts
        ):
            raise ExceededSubmissionAttempts(
                f"Exceeded {request.max_connection_attempts} connection attempt(s) :: {request!r}"
            ) from request._failure


def _status(
    request: Any, known: bool, running: bool, numerator: float, denominator: float
) -> dict[str, Any]:
    return {
        "handle": request.job.handle,
        "known": known,
        "running": running,
        "numerator": numerator,
        "denominator": denominator,
        "time_received": time.time(),
    }


__all__ = ["RANDOM_UNIQUE_BYTES", "ClientConnection", "GearmanClient"]
