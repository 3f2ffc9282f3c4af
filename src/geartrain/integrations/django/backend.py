"""
The backend for Django's tasks: what is enqueued becomes a background job.

A job is submitted when the transaction that enqueued it is committed, and
never if it is rolled back. Its row in the log is a part of that transaction: if
the server can't be reached then, the row stays and can be submitted later.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router, transaction
from django.utils import timezone

from geartrain.integrations.django.framework import (
    BaseTaskBackend,
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    normalize_json,
    task_enqueued,
)

if TYPE_CHECKING:
    from geartrain.integrations.django.models import JobLog

OPTIONS: Final = {"log"}


class GeartrainBackend(BaseTaskBackend):
    """
    Submits tasks to the job servers of ``GEARTRAIN``.

    The one option is ``log``: whether each task gets a row in the job log, on by default.
    Without, there are no results to ask for.
    """

    supports_defer = True
    supports_async_task = True
    supports_priority = True
    supports_get_result = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        unknown = set(self.options) - OPTIONS
        if unknown:
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]: there is no option {', '.join(sorted(unknown))}; "
                f"there is {', '.join(sorted(OPTIONS))}"
            )
        self.log = bool(self.options.get("log", True))
        self.supports_get_result = self.log

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """
        Have a worker run a task, once the current transaction is committed.

        Raises:
            InvalidTask: No worker would find it, or it is none for this backend.
            TypeError: The arguments are no JSON.
            GeartrainError: There is no transaction, and no server takes the job. The row
                stays in the log, to be submitted later.

        """
        self.validate_task(task)
        check_that_workers_find(task)
        model = log_model()
        row = model(
            id=uuid.uuid4(),
            task_path=task.module_path,
            queue_name=task.queue_name,
            priority=task.priority,
            backend=self.alias,
            args=normalize_json(list(args)),
            kwargs=normalize_json(dict(kwargs)),
            run_after=task.run_after,
        )
        database = router.db_for_write(model)
        if self.log:
            row.save(force_insert=True, using=database)
        result = row.result(task)
        if connections[database].vendor == "unknown":
            # A project without a database has no transactions.
            self.submit(row, task)
        else:
            transaction.on_commit(partial(self.submit, row, task), using=database)
        return result

    def submit(self, row: JobLog, task: Any) -> None:
        """
        Submit a row of the log. The row's key is the job's, so a second time does no harm.

        Raises:
            GeartrainError: No server takes it.

        """
        from geartrain.integrations.django.registry import remote_task

        remote = remote_task(task.module_path)
        if row.run_after is not None and row.run_after > timezone.now():
            # No packet carries both a time and a priority.
            remote = remote.options(unique=str(row.id), at=row.run_after)
        else:
            priority: Any = "normal"
            if row.priority:
                priority = "high" if row.priority > 0 else "low"
            remote = remote.options(unique=str(row.id), priority=priority)
        ticket = remote.delay(str(row.id), row.args, row.kwargs)
        if self.log:
            # These alone: a worker may have written the others meanwhile.
            log_model().objects.filter(pk=row.pk).update(server=ticket.server, handle=ticket.handle)
        task_enqueued.send(type(self), task_result=row.result(task))

    def get_result(self, result_id: str) -> Any:
        """Return what the log knows of a task. Raises TaskResultDoesNotExist."""
        from geartrain.integrations.django.registry import django_tasks
        from geartrain.integrations.django.settling import settle

        if not self.log:
            return super().get_result(result_id)
        model = log_model()
        try:
            row = model.objects.get(pk=uuid.UUID(str(result_id)))
            task = django_tasks()[row.task_path]
        except (ValueError, KeyError, model.DoesNotExist) as error:
            raise TaskResultDoesNotExist(result_id) from error
        settle(row)
        task = task.using(
            priority=row.priority,
            queue_name=row.queue_name,
            run_after=row.run_after,
            backend=row.backend,
        )
        return row.result(task)


def log_model() -> type[JobLog]:
    """
    Return the model of the job log.

    Not imported before it is used: tasks may be declared while Django still loads its models.

    Raises:
        ImproperlyConfigured: Its application is not installed.

    """
    if not apps.is_installed("geartrain.integrations.django"):
        raise ImproperlyConfigured(
            "the backend for tasks needs its application: add 'geartrain.integrations.django' to "
            "INSTALLED_APPS"
        )
    from geartrain.integrations.django.models import JobLog

    return JobLog


def check_that_workers_find(task: Any) -> None:
    """Raise InvalidTask for a task that is in no module that workers look through."""
    from geartrain.integrations.django.project import setting
    from geartrain.integrations.django.registry import django_tasks

    if task.module_path not in django_tasks():
        names = " or ".join(f"{name}.py" for name in setting("MODULES"))
        raise InvalidTask(
            f"no worker would find {task.module_path}: define it in {names} of an installed app"
        )


def run_again(rows: Any) -> int:
    """
    Submit rows of the log again, whatever became of them; return how many.

    Raises:
        GeartrainError: No server takes one; those after it stay as they are.

    """
    from geartrain.integrations.django.framework import task_backends
    from geartrain.integrations.django.registry import django_tasks

    count = 0
    for row in rows:
        task = django_tasks().get(row.task_path)
        backend = task_backends[row.backend]
        if task is None or not isinstance(backend, GeartrainBackend):
            continue
        if row.status != TaskResultStatus.READY or row.processed:
            row.make_ready()
        backend.submit(row, task)
        count += 1
    return count


__all__ = ["GeartrainBackend", "run_again"]
