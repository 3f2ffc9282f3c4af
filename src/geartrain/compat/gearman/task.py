"""
What python-gearman 1.x called tasks, over the client of 2.x.

For programs that were never moved to 2.x: `Task`, `Taskset`, and the client's
``do_task``, ``do_taskset`` and ``dispatch_background_task``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from geartrain.compat.gearman.constants import (
    JOB_COMPLETE,
    JOB_FAILED,
    JOB_UNKNOWN,
    PRIORITY_HIGH,
    PRIORITY_NONE,
)
from geartrain.compat.gearman.errors import GearmanError, ServerUnavailable
from geartrain.compat.gearman.util import as_text


class Task:
    """
    One job to do.

    Args:
        func: Name of the function.
        arg: The data.
        uniq: Key that joins equal jobs; one by chance where it is None.
        background: Whether nobody waits for the result.
        high_priority: Whether it goes ahead of others.
        timeout: Seconds to wait for it.
        retry_count: How often to send it again where its connection was lost.
        hooks: ``on_complete(result)``, ``on_fail()``, ``on_status(numerator, denominator)``.

    Attributes:
        result: What the worker returned; None before.
        is_finished: Whether it has ended.

    """

    def __init__(
        self,
        func: Any,
        arg: Any,
        uniq: Any = None,
        background: bool = False,
        high_priority: bool = False,
        timeout: float | None = None,
        retry_count: int = 0,
        **hooks: Callable[..., object],
    ) -> None:
        self.func = as_text(func)
        self.arg = arg
        self.uniq = as_text(uniq) or os.urandom(16).hex()
        self.background = background
        self.high_priority = high_priority
        self.timeout = timeout
        self.retry_count = retry_count
        self.hooks = hooks
        self.handle: str | None = None
        self.result: Any = None
        self.is_finished = False

    def _take(self, request: Any) -> None:
        """Take in what came of the request that stands for it."""
        self.handle = request.job.handle
        # So that they compare equal, as text and text did.
        self.arg = request.job.data
        self.result = request.result
        self.is_finished = request.complete
        on_status = self.hooks.get("on_status")
        if on_status is not None:
            for numerator, denominator in request.status_updates:
                on_status(numerator, denominator)
        on_complete, on_fail = self.hooks.get("on_complete"), self.hooks.get("on_fail")
        if request.state == JOB_COMPLETE and on_complete is not None:
            on_complete(self.result)
        if request.state in (JOB_FAILED, JOB_UNKNOWN) and on_fail is not None:
            on_fail()


class Taskset(dict[str, Task]):
    """Tasks by their key, to be done side by side."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        super().__init__({task.uniq: task for task in tasks})

    def add(self, task: Task) -> None:
        """Add a task."""
        self[task.uniq] = task


class TaskFailed(GearmanError):
    """A task ended without a result."""


class TaskClient:
    """The methods of a client of 1.x."""

    TaskFailed = TaskFailed
    ServerUnavailable = ServerUnavailable

    def do_task(self, task: Task) -> Any:
        """Do one task and return its result, or raise `TaskFailed`."""
        if not self.do_taskset(Taskset([task]), timeout=task.timeout):
            raise TaskFailed(f"Task {task.func} failed, or did not end in time")
        return task.result

    def do_taskset(self, taskset: Taskset, timeout: float | None = None) -> bool:
        """Do all tasks of a set; return whether all ended well within ``timeout`` seconds."""
        requests = {task.uniq: self._request_of(task) for task in taskset.values()}
        self.submit_multiple_requests(list(requests.values()), poll_timeout=timeout)
        for uniq, task in taskset.items():
            task._take(requests[uniq])
        return all(
            request.complete and request.state != JOB_FAILED for request in requests.values()
        )

    def dispatch_background_task(
        self, func: Any, arg: Any, uniq: Any = None, high_priority: bool = False
    ) -> str | None:
        """Have a job done in the background and return its handle."""
        task = Task(func, arg, uniq, background=True, high_priority=high_priority)
        self.do_task(task)
        return task.handle

    def _request_of(self, task: Task) -> Any:
        job_info = {
            "task": task.func,
            "data": task.arg,
            "unique": task.uniq,
            "priority": PRIORITY_HIGH if task.high_priority else PRIORITY_NONE,
        }
        return self._create_request(job_info, task.background, task.retry_count)

    # Of the client that this is a part of.

    def submit_multiple_requests(
        self,
        job_requests: Any,
        wait_until_complete: bool = True,
        poll_timeout: float | None = None,
    ) -> Any:
        """Submit requests and wait for them."""
        raise NotImplementedError

    def _create_request(self, job_info: Any, background: bool, max_retries: int) -> Any:
        raise NotImplementedError


__all__ = ["Task", "TaskClient", "TaskFailed", "Taskset"]
