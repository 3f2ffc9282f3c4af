"""python-gearman's jobs: what a worker gets, and how a client follows what it submitted."""

from __future__ import annotations

from collections import deque
from typing import Any

from geartrain.compat.gearman.constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_UNKNOWN,
    PRIORITY_NONE,
)
from geartrain.compat.gearman.util import as_text


class GearmanJob:
    """
    A job.

    Attributes:
        connection: The server that has it; None before it is accepted.
        handle: The server's name of it, as text; None before it is accepted.
        task: The function, as text.
        unique: The client's key, as text.
        data: The data, as the encoder hands it out.

    """

    # What the worker or the client knows it by.
    _ticket: Any = None

    def __init__(self, connection: Any, handle: Any, task: Any, unique: Any, data: Any) -> None:
        self.connection = connection
        self.handle = as_text(handle)
        self.task = as_text(task)
        self.unique = as_text(unique)
        self.data = data

    @property
    def arg(self) -> Any:
        """The data, by the name it had in python-gearman 1.x."""
        return self.data

    def to_dict(self) -> dict[str, Any]:
        """Return task, handle, key and data by their names on the wire."""
        return {
            "task": self.task,
            "job_handle": self.handle,
            "unique": self.unique,
            "data": self.data,
        }

    def __repr__(self) -> str:
        return (
            f"<GearmanJob connection/handle=({self.connection!r}, {self.handle!r}), "
            f"task={self.task}, unique={self.unique}, data={self.data!r}>"
        )


class GearmanJobRequest:
    """
    A client's view of one job it submitted.

    Attributes:
        gearman_job: The job; ``job`` is the same.
        priority: ``PRIORITY_NONE``, ``PRIORITY_LOW`` or ``PRIORITY_HIGH``.
        background: Whether nobody waits for its result.
        connection_attempts: How often it was sent.
        max_connection_attempts: How often it may be sent.
        state: One of the ``JOB_`` constants.
        result: What the worker returned, once ``state`` is ``JOB_COMPLETE``.
        exception: What the worker raised, or the code and text of a refusal by the server.
        data_updates: Parts of the result that the worker sent, oldest first.
        warning_updates: Warnings that the worker sent, oldest first.
        status: Empty, or the last progress or status known: ``handle``, ``known``,
            ``running``, ``numerator``, ``denominator``, ``time_received``.
        timed_out: Whether the last wait ended before the job did.

    """

    # The submission under way, and the question for its status.
    _job: Any = None
    _question: Any = None
    _failure: Exception | None = None
    _attempts_before: int = 0

    def __init__(
        self,
        gearman_job: GearmanJob,
        initial_priority: str | None = PRIORITY_NONE,
        background: bool = False,
        max_attempts: int = 1,
    ) -> None:
        self.gearman_job = gearman_job
        self.priority = initial_priority
        self.background = background
        self.connection_attempts = 0
        self.max_connection_attempts = max_attempts
        self.initialize_request()

    def initialize_request(self) -> None:
        """Forget what came of it, as before it was submitted."""
        self.result: Any = None
        self.exception: Any = None
        self.timed_out = False
        self.state = JOB_UNKNOWN
        self.data_updates: deque[Any] = deque()
        self.warning_updates: deque[Any] = deque()
        self.status: dict[str, Any] = {}
        self._job = self._question = self._failure = None

    def reset(self) -> None:
        """Make it ready to be submitted once more."""
        self.initialize_request()
        self.connection_attempts = 0
        self.gearman_job.connection = None
        self.gearman_job.handle = None

    @property
    def job(self) -> GearmanJob:
        """The job."""
        return self.gearman_job

    @property
    def complete(self) -> bool:
        """Whether no more will come: its end, or for a background job that it was accepted."""
        if self.background:
            return self.state == JOB_CREATED
        return self.state in (JOB_COMPLETE, JOB_FAILED)

    @property
    def status_updates(self) -> deque[tuple[Any, Any]]:
        """The last progress as a pair, if there is any; ``status`` has replaced it."""
        if "numerator" not in self.status:
            return deque()
        return deque([(self.status["numerator"], self.status["denominator"])])

    @property
    def server_status(self) -> dict[str, Any]:
        """The same as ``status``."""
        return self.status

    def __repr__(self) -> str:
        return (
            f"<GearmanJobRequest task={self.job.task!r}, unique={self.job.unique!r}, "
            f"priority={self.priority!r}, background={self.background!r}, state={self.state!r}, "
            f"timed_out={self.timed_out!r}>"
        )


__all__ = ["GearmanJob", "GearmanJobRequest"]
