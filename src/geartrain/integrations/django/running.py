"""
Runs Django's tasks in a worker, and writes down in the job log what comes of them.

On the wire such a job is a call with three arguments: the row's key, and the
task's own arguments by position and by name.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from geartrain.integrations.django.framework import (
    TaskContext,
    TaskResultStatus,
    task_finished,
    task_started,
)
from geartrain.integrations.django.loading import load_task
from geartrain.integrations.django.models import JobLog
from geartrain.integrations.django.project import policy_of
from geartrain.tasks.app import App
from geartrain.tasks.limits import TimeLimits, seconds_of
from geartrain.tasks.task import Options, Task
from geartrain.worker.job import is_ctrl_c, leave_copy

logger = logging.getLogger("geartrain.django")


class DjangoTask(Task[Any, Any]):
    """One of Django's tasks as a task of the project's app."""

    path: str

    def __reduce__(self) -> Any:
        # A child process starts without Django.
        return load_task, (self.name,)


def new_remote_task(app: App, name: str, path: str, task: Any) -> DjangoTask:
    """
    Return one of Django's tasks as a task of an app.

    Raises:
        UsageError: An option of ``POLICIES`` can't be used.

    """

    def run(id: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return run_task(task, id, args, kwargs)

    options = policy_of(path)
    limits = TimeLimits(
        seconds_of("soft_timeout", options.pop("soft_timeout", None)),
        seconds_of("timeout", options.pop("timeout", None)),
    )
    remote = DjangoTask(app, run, name, app.codec, limits, options, Options())
    remote.__module__, remote.__qualname__ = task.func.__module__, task.func.__qualname__
    return remote


def run_task(task: Any, id: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """
    Run one of Django's tasks.

    A job whose row was deleted does not run, and one whose row says that it has ended well does
    not run again: servers hand out a job twice when its worker was lost.
    """
    if not task.get_backend().log:
        return call(task, None, args, kwargs)
    row = JobLog.objects.filter(pk=id).first()
    if row is None:
        logger.warning("job %s of %s is not in the log any more, and not run", id, task.module_path)
        return None
    if row.processed:
        logger.info("job %s of %s has ended already, and is not run again", id, task.module_path)
        return row.return_value
    row.begin(worker_id())
    backend = type(task.get_backend())
    task_started.send(backend, task_result=row.result(task))
    process = os.getpid()
    try:
        value = call(task, row, args, kwargs)
        leave_copy(process)
        row.end(value)
    except BaseException as error:
        leave_copy(process, error)
        if is_ctrl_c(error):
            raise
        row.fail(error)
        task_finished.send(backend, task_result=row.result(task))
        raise
    task_finished.send(backend, task_result=row.result(task))
    return row.return_value


def call(task: Any, row: JobLog | None, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a task's function, with its context where it takes one."""
    if not task.takes_context:
        return task.call(*args, **kwargs)
    if row is None:
        row = JobLog(status=TaskResultStatus.RUNNING, args=args, kwargs=kwargs)
        row.worker_ids = [worker_id()]
    return task.call(TaskContext(task_result=row.result(task)), *args, **kwargs)


def worker_id() -> str:
    """Return what the log calls this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


__all__ = ["DjangoTask", "new_remote_task", "run_task", "worker_id"]
