"""
python-gearman's worker: one job at a time, in the thread that calls ``work``, with hooks.

The protocol is this package's `WorkerSession`; the connections are kept by
``worker_connection``. No thread is started and no signal is handled here.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from geartrain.client.address import Address
from geartrain.client.sync_job import deadline_after
from geartrain.compat.gearman.connection import GearmanConnection
from geartrain.compat.gearman.connection_manager import GearmanConnectionManager
from geartrain.compat.gearman.errors import (
    EncodingError,
    InvalidWorkerState,
    ServerUnavailable,
)
from geartrain.compat.gearman.job import GearmanJob
from geartrain.compat.gearman.util import as_bytes, as_text
from geartrain.compat.gearman.worker_connection import WorkerConnection, WorkerConnections
from geartrain.errors import UsageError
from geartrain.wire.packet import SET_CLIENT_ID, WORK_COMPLETE, WORK_EXCEPTION, WORK_FAIL
from geartrain.wire.writer import pack_request
from geartrain.worker.session import Assignment

logger = logging.getLogger("gearman.worker")

# Seconds.
POLL_TIMEOUT_IN_SECONDS: Final = 60.0


class GearmanWorker(GearmanConnectionManager):
    """
    Grabs jobs from every server and runs their functions, one at a time.

    Args:
        host_list: The servers; see `GearmanConnectionManager`.

    Attributes:
        worker_abilities: Function, as text -> what runs its jobs.
        worker_client_id: Name of the worker in the servers' lists, or None.

    """

    def __init__(self, host_list: Any = None) -> None:
        self._connections = WorkerConnections()
        self._executing = False
        self._stopping = False
        # Since when there is no connection; None while there is one.
        self._alone_since: float | None = None
        self._hooks: Any = None
        self._last_job_time: float | None = None
        self.worker_abilities: dict[str, Callable[..., Any]] = {}
        self.worker_client_id: str | None = None
        super().__init__(host_list=host_list)

    def _new_connection(self, address: Address) -> GearmanConnection:
        connection = WorkerConnection(address)
        self._connections.connections.append(connection)
        return connection

    # What it can do.

    def set_client_id(self, client_id: Any) -> Any:
        """Name the worker in the servers' lists."""
        name = as_bytes(client_id)
        if b"\0" in name:
            raise UsageError(f"client id {client_id!r} contains a NUL, which ends names in packets")
        self.worker_client_id = as_text(client_id)
        self._connections.client_id = name
        with self._connections.lock:
            for session in self._connections.by_session:
                session.write(pack_request(SET_CLIENT_ID, [name]))
            self._connections.flush()
        return client_id

    def register_task(self, task: Any, callback_function: Callable[..., Any]) -> Any:
        """
        Announce a function.

        Args:
            task: Its name.
            callback_function: Called with the worker and a `GearmanJob`; returns the result.

        """
        name = as_bytes(task)
        if not name or b"\0" in name:
            raise UsageError(f"a function's name can't be {task!r}: empty, or with a NUL in it")
        self.worker_abilities[as_text(task)] = callback_function
        self._connections.abilities[name] = 0
        with self._connections.lock:
            for session in self._connections.by_session:
                session.can_do(name, 0)
            self._connections.flush()
        return task

    def unregister_task(self, task: Any) -> Any:
        """Withdraw a function. A job of it that runs now ends as usual."""
        name = as_bytes(task)
        self.worker_abilities.pop(as_text(task), None)
        self._connections.abilities.pop(name, None)
        with self._connections.lock:
            for session in self._connections.by_session:
                session.cant_do(name)
            self._connections.flush()
        return task

    def register_function(
        self, name: Any, func: Callable[[GearmanJob], Any], timeout: float | None = None
    ) -> None:
        """Announce a function whose ``func`` takes the job alone, as in python-gearman 1.x."""
        self.register_task(name, lambda _, job: func(job))

    # Working.

    def work(
        self,
        poll_timeout: float | None = POLL_TIMEOUT_IN_SECONDS,
        stop_if: Callable[[bool, float | None], Any] | None = None,
        hooks: Any = None,
    ) -> None:
        """
        Do jobs until `after_poll` or `after_job` returns false, or `shutdown` is called.

        Args:
            poll_timeout: Seconds after which `after_poll` is called although nothing came.
            stop_if: As in python-gearman 1.x: called with whether the worker is idle and the
                time of its last job; true ends the work.
            hooks: As in 1.x: an object with ``start(job)``, ``complete(job, result)`` and
                ``fail(job, exc_info)``.

        Raises:
            ServerUnavailable: No server can be reached.

        """
        self._hooks = hooks
        self._stopping = False
        self._alone_since = None
        self._last_job_time = None

        def go_on(any_activity: bool) -> Any:
            if stop_if is not None and stop_if(not any_activity, self._last_job_time):
                return False
            return self.after_poll(any_activity)

        try:
            while self.poll_connections_until_stopped(self.connection_list, go_on, poll_timeout):
                pass
        finally:
            self._connections.close_all()

    def poll_connections_until_stopped(
        self,
        submitted_connections: Collection[Any],
        callback_fxn: Callable[[bool], Any],
        timeout: float | None = None,
    ) -> bool:
        """Do jobs until the callback returns false; see the base class."""
        deadline = deadline_after(timeout)
        while not self._stopping:
            self._reconnect()
            self._connections.hold_grabs()
            jobs = self._connections.wait(deadline)
            time_is_over = jobs is None
            if jobs is None or jobs or self._connections.heard:
                if not self._execute_all(jobs or []) or self._stopping:
                    return False
                if not callback_fxn(not time_is_over) or self._stopping:
                    return False
            self._connections.release_grabs()
            if time_is_over:
                return True
        return False

    def _reconnect(self) -> None:
        """Dial the servers whose time has come, or raise where there is none for too long."""
        connections = self._connections
        if not connections.connections:
            raise ServerUnavailable("Found no valid connections in list: host_list is empty")
        connections.connect_due(self.connect_timeout, insist=not connections.any_connected())
        if connections.any_connected():
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        if self.patience is not None and now - self._alone_since >= self.patience:
            failures = ", ".join(
                f"{one.address} ({one.failure})" for one in connections.connections
            )
            raise ServerUnavailable(f"Found no valid connections in list: {failures}")

    def _execute_all(self, jobs: list[tuple[WorkerConnection, Assignment]]) -> bool:
        """Run jobs; return whether to go on after them."""
        go_on = True
        for connection, assignment in jobs:
            if assignment.function not in self._connections.abilities:
                self._connections.drop(assignment)
                continue
            self._executing = True
            try:
                self._execute(connection, assignment)
            finally:
                self._executing = False
            self._last_job_time = time.time()
            go_on = bool(self.after_job()) and go_on
        return go_on

    def _execute(self, connection: WorkerConnection, assignment: Assignment) -> None:
        """Run one job. Whether it has ended when its function returns is up to the hooks."""
        job = self.job_class(
            connection=connection,
            handle=assignment.handle,
            task=assignment.function,
            unique=assignment.unique,
            data=assignment.workload,
        )
        job._ticket = assignment
        try:
            job.data = self.decode_data(assignment.workload)
        except Exception:
            self._log_exception(job)
            self.on_job_exception(job, sys.exc_info())
        else:
            self.on_job_execute(job)
        self._connections.put_off_end(assignment)

    def shutdown(self) -> None:
        """Stop working. A job that runs now ends first, if its function calls this."""
        self._stopping = True
        if not self._executing:
            self._connections.interrupt()

    # Hooks.

    def after_poll(self, any_activity: bool) -> Any:
        """Called each time something has come or ``poll_timeout`` is over; false ends the work."""
        return True

    def after_job(self) -> Any:
        """Called after each job; false ends the work."""
        return True

    def on_job_execute(self, current_job: Any) -> Any:
        """Run a job's function, and have `on_job_complete` or `on_job_exception` end the job."""
        try:
            if self._hooks is not None:
                self._hooks.start(current_job)
            function = self.worker_abilities[current_job.task]
            result = function(self, current_job)
        except Exception:
            self._log_exception(current_job)
            return self.on_job_exception(current_job, sys.exc_info())
        try:
            return self.on_job_complete(current_job, result)
        except EncodingError:
            self._log_exception(current_job)
            return self.on_job_exception(current_job, sys.exc_info())

    def on_job_exception(self, current_job: Any, exc_info: Any) -> Any:
        """Called when a job's function raised: the client gets WORK_FAIL."""
        if self._hooks is not None:
            self._hooks.fail(current_job, exc_info)
        self.send_job_failure(current_job)
        return False

    def on_job_complete(self, current_job: Any, job_result: Any) -> Any:
        """Called with what a job's function returned: the client gets it."""
        if self._hooks is not None:
            self._hooks.complete(current_job, job_result)
        self.send_job_complete(current_job, job_result)
        return True

    def _log_exception(self, job: Any) -> None:
        logger.warning("%s: %s raised", job.handle, job.task, exc_info=True)

    # Reporting. ``poll_timeout`` is accepted and of no effect: what is said is sent at once.

    def send_job_status(
        self,
        current_job: Any,
        numerator: Any,
        denominator: Any,
        poll_timeout: float | None = None,
    ) -> None:
        """Tell the client how far a job has come."""
        assignment = self._assignment_of(current_job)
        with self._connections.lock:
            assignment.session.status(assignment, int(numerator), int(denominator))
            self._connections.flush()

    def send_job_data(self, current_job: Any, data: Any, poll_timeout: float | None = None) -> None:
        """Send the client a part of the result."""
        assignment = self._assignment_of(current_job)
        encoded = self.encode_data(data)
        with self._connections.lock:
            assignment.session.data(assignment, encoded)
            self._connections.flush()

    def send_job_warning(
        self, current_job: Any, data: Any, poll_timeout: float | None = None
    ) -> None:
        """Send the client a warning; the job goes on."""
        assignment = self._assignment_of(current_job)
        encoded = self.encode_data(data)
        with self._connections.lock:
            assignment.session.warning(assignment, encoded)
            self._connections.flush()

    def send_job_complete(
        self, current_job: Any, data: Any, poll_timeout: float | None = None
    ) -> None:
        """End a job with its result."""
        assignment = self._assignment_of(current_job)
        self._connections.end(assignment, WORK_COMPLETE, self.encode_data(data))

    def send_job_failure(self, current_job: Any, poll_timeout: float | None = None) -> None:
        """End a job with WORK_FAIL."""
        self._connections.end(self._assignment_of(current_job), WORK_FAIL)

    def send_job_exception(
        self, current_job: Any, data: Any, poll_timeout: float | None = None
    ) -> None:
        """End a job with WORK_EXCEPTION. No WORK_FAIL follows: servers take it for an error."""
        assignment = self._assignment_of(current_job)
        self._connections.end(assignment, WORK_EXCEPTION, self.encode_data(data))

    def _assignment_of(self, job: Any) -> Assignment:
        assignment = getattr(job, "_ticket", None)
        if not isinstance(assignment, Assignment):
            raise InvalidWorkerState(f"{job!r} did not come to this worker from a server")
        return assignment


__all__ = ["POLL_TIMEOUT_IN_SECONDS", "GearmanWorker"]
