"""``manage.py geartrain_worker``: runs the tasks of all applications of the project."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from geartrain.errors import UsageError
from geartrain.integrations.django import registry
from geartrain.integrations.django.loading import load_task
from geartrain.integrations.django.project import project_app
from geartrain.tasks.task import AsyncStreamTask, AsyncTask, StreamTask, Task
from geartrain.tasks.worker import TaskWorker
from geartrain.worker.rules import Lifetime


class Command(BaseCommand):
    """Runs until it is asked to stop; SIGTERM and SIGINT let running tasks end first."""

    help = "Run the tasks of this project: Django's own, and those declared with @app.task."

    def add_arguments(self, parser: Any) -> None:
        """Declare the options."""
        parser.add_argument("--list", action="store_true", help="list the tasks and end")
        parser.add_argument(
            "--queue", action="append", metavar="NAME", help="take this queue only; may be repeated"
        )
        parser.add_argument(
            "--app", action="append", metavar="LABEL", help="take this application's tasks only"
        )
        parser.add_argument("--concurrency", type=int, help="tasks at once; one a processor")
        parser.add_argument("--pool", choices=["thread", "process"], default="thread")
        parser.add_argument("--max-jobs", type=int, help="replace a process after so many jobs")
        parser.add_argument("--grace", type=float, default=30.0, help="seconds to end in")
        parser.add_argument("--client-id", default="", help="name in the server's lists")
        parser.add_argument("--reload", action="store_true", help="start over when a file changes")

    def handle(self, **options: Any) -> None:
        """List the tasks, or run them."""
        entries = chosen(options["app"], options["queue"])
        if options["list"]:
            for entry in entries:
                self.stdout.write("\t".join(entry))
            return
        if not entries:
            raise CommandError(
                "no task was found; declare some in tasks.py or workers.py of an installed app, "
                "and see them with --list"
            )
        if options["reload"]:
            from django.utils import autoreload

            autoreload.run_with_reloader(self.work, entries, options)
        else:
            self.work(entries, options)

    def work(self, entries: list[registry.Entry], options: dict[str, Any]) -> None:
        """Run a worker for some tasks."""
        # Children begin without Django, which the modules of tasks need.
        for kind in (Task, AsyncTask, StreamTask, AsyncStreamTask):
            ForkingPickler.register(kind, by_name)
        try:
            worker = TaskWorker(
                project_app(),
                concurrency=options["concurrency"],
                pool=options["pool"],
                queues=[entry.name for entry in entries],
                client_id=options["client_id"],
                grace=options["grace"],
                lifetime=Lifetime(max_jobs=options["max_jobs"]),
            )
        except UsageError as error:
            raise CommandError(str(error)) from error
        self.stderr.write(f"{len(entries)} tasks, {worker.concurrency} at once")
        worker.run()


def chosen(labels: list[str] | None, queues: list[str] | None) -> list[registry.Entry]:
    """Return the tasks of some applications and queues; None for all."""
    return [
        entry
        for entry in registry.entries()
        if (labels is None or entry.application in labels)
        and (queues is None or entry.queue in queues)
    ]


def by_name(task: Any) -> Any:
    """Return how a child process finds a task."""
    return load_task, (task.name,)


__all__ = ["Command"]
