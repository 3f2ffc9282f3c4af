"""The job log: one row for each of Django's tasks that was enqueued, and what came of it."""

from __future__ import annotations

import traceback
import uuid
from typing import Any

from django.db import models
from django.utils import timezone

from geartrain.integrations.django.framework import (
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
)


class JobLog(models.Model):
    """
    One enqueued task.

    It is written in the transaction that enqueues, so it is there if and only if the job will
    run. ``processed`` means that the task has ended well; rows where it is false can be run again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task_path = models.CharField("task", max_length=255, db_index=True)
    queue_name = models.CharField("queue", max_length=100)
    priority = models.SmallIntegerField(default=0)
    backend = models.CharField(max_length=100)
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    run_after = models.DateTimeField(null=True)
    status = models.CharField(
        max_length=10, choices=TaskResultStatus.choices, default=TaskResultStatus.READY
    )
    processed = models.BooleanField(default=False, db_index=True)
    enqueued_at = models.DateTimeField(default=timezone.now, db_index=True)
    started_at = models.DateTimeField(null=True)
    last_attempted_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker_ids = models.JSONField(default=list)
    return_value = models.JSONField(null=True)
    errors = models.JSONField(default=list)
    # Where the server knows it; empty until it has acknowledged the job.
    server = models.CharField(max_length=255, default="")
    handle = models.CharField(max_length=64, default="")

    class Meta:
        verbose_name = "job"
        verbose_name_plural = "job log"
        ordering = ("-enqueued_at",)

    def __str__(self) -> str:
        return f"{self.task_path} {self.id}"

    @property
    def attempts(self) -> int:
        """How often a worker has begun with it."""
        return len(self.worker_ids)

    def begin(self, worker_id: str) -> None:
        """Note that a worker runs it."""
        now = timezone.now()
        self.status = TaskResultStatus.RUNNING
        self.started_at = self.started_at or now
        self.last_attempted_at = now
        self.finished_at = None
        self.worker_ids = [*self.worker_ids, worker_id]
        self.save(
            update_fields=["status", "started_at", "last_attempted_at", "finished_at", "worker_ids"]
        )

    def end(self, return_value: Any) -> None:
        """Note that it has ended well, and with what. Raises TypeError for what is no JSON."""
        self.return_value = normalize_json(return_value)
        self.status = TaskResultStatus.SUCCESSFUL
        self.processed = True
        self.finished_at = timezone.now()
        self.save(update_fields=["return_value", "status", "processed", "finished_at"])

    def fail(self, error: BaseException) -> None:
        """Note what it raised."""
        kind = type(error)
        self.errors = [
            *self.errors,
            {
                "exception_class_path": f"{kind.__module__}.{kind.__qualname__}",
                "traceback": "".join(traceback.format_exception(error)),
            },
        ]
        self.status = TaskResultStatus.FAILED
        self.finished_at = timezone.now()
        self.save(update_fields=["errors", "status", "finished_at"])

    def give_up(self, error: Exception) -> None:
        """Note that no worker will run it any more, unless one has begun with it meanwhile."""
        errors = [
            *self.errors,
            {"exception_class_path": "geartrain.errors.GivenUp", "traceback": str(error)},
        ]
        now = timezone.now()
        same = type(self).objects.filter(
            pk=self.pk, status=TaskResultStatus.RUNNING, last_attempted_at=self.last_attempted_at
        )
        if same.update(errors=errors, status=TaskResultStatus.FAILED, finished_at=now):
            self.errors, self.status, self.finished_at = errors, TaskResultStatus.FAILED, now

    def make_ready(self) -> None:
        """Note that it is to run once more."""
        self.status = TaskResultStatus.READY
        self.processed = False
        self.finished_at = None
        self.server = self.handle = ""
        self.save(update_fields=["status", "processed", "finished_at", "server", "handle"])

    def result(self, task: Any) -> Any:
        """Return it as the framework's `TaskResult` of a task."""
        result = TaskResult(
            task=task,
            id=str(self.id),
            status=TaskResultStatus(self.status),
            enqueued_at=self.enqueued_at,
            started_at=self.started_at,
            last_attempted_at=self.last_attempted_at,
            finished_at=self.finished_at,
            args=self.args,
            kwargs=self.kwargs,
            backend=self.backend,
            errors=[TaskError(**error) for error in self.errors],
            worker_ids=list(self.worker_ids),
        )
        # The framework's own backends set it this way: results are frozen.
        object.__setattr__(result, "_return_value", self.return_value)
        return result


__all__ = ["JobLog"]
