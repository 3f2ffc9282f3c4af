"""
``geartrain worker``: run an app's tasks.

With ``--reload`` this process only watches files, and runs the worker in another
one that it replaces when they change.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from geartrain.cli.reloading import run_reloaded
from geartrain.errors import UsageError

if TYPE_CHECKING:
    from geartrain.tasks.worker import TaskWorker

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def worker(
    place: Annotated[str, typer.Argument(metavar="MODULE:APP", help="Where the app is.")],
    servers: Annotated[
        list[str] | None,
        typer.Option("--server", "-s", help="Job server. May be repeated. Default: the app's."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", help="Tasks that run at once.")
    ] = None,
    pool: Annotated[
        str, typer.Option(help="Where they run: thread, process, async or inline.")
    ] = "thread",
    queues: Annotated[
        str | None, typer.Option(help="Names of the tasks to take, with commas; * for any text.")
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option(help="Replace a process after so many jobs.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(help="Replace a process that holds more, such as 512M.")
    ] = None,
    max_age: Annotated[
        str | None, typer.Option(help="Replace a process after a time, such as 12h.")
    ] = None,
    jitter: Annotated[
        float, typer.Option(help="By what part of these limits processes may differ.")
    ] = 0.1,
    grace: Annotated[
        float, typer.Option(help="Seconds that running tasks get when the worker is stopped.")
    ] = 30.0,
    client_id: Annotated[str, typer.Option(help="Its name in the server's lists.")] = "",
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when files change.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Run the tasks of an app."""
    if reload:
        arguments = [word for word in sys.argv[1:] if word != "--reload"]
        sys.exit(run_reloaded(arguments, [Path.cwd()]))
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    options: dict[str, Any] = {
        "concurrency": concurrency,
        "pool": pool,
        "queues": None if queues is None else queues.split(","),
        "grace": grace,
        "client_id": client_id,
    }
    limits = {"max_jobs": max_jobs, "max_memory": max_memory, "max_age": max_age}
    run_worker(place, servers, options, limits, jitter)


def run_worker(
    place: str,
    servers: list[str] | None,
    options: dict[str, Any],
    limits: dict[str, Any],
    jitter: float,
) -> None:
    """Run a worker until it is stopped; start anew where its own lifetime is over."""
    from geartrain.tasks.limits import seconds_of
    from geartrain.tasks.locating import find_app
    from geartrain.tasks.worker import Pool, TaskWorker
    from geartrain.worker.rules import Lifetime

    if options["pool"] not in get_args(Pool):
        raise UsageError(f"--pool is {options['pool']!r}; it is one of {', '.join(get_args(Pool))}")
    lifetime = Lifetime(
        limits["max_jobs"],
        bytes_of(limits["max_memory"]),
        seconds_of("max_age", limits["max_age"]),
        jitter,
    )
    app = find_app(place)
    if servers:
        app.servers = servers
    task_worker = TaskWorker(app, lifetime=lifetime, on_ready=say_ready, **options)
    finished = task_worker.run()
    if task_worker.retired:
        # The process is what has grown old: another takes its place, under the same number.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    sys.exit(0 if finished else 1)


def say_ready(task_worker: TaskWorker) -> None:
    """Say that the servers know the worker."""
    names = ", ".join(task.name for task in task_worker.tasks)
    print(
        f"ready: {task_worker.concurrency} at once ({task_worker.pool}): {names}",
        file=sys.stderr,
        flush=True,
    )


def bytes_of(text: str | None) -> int | None:
    """Return a size such as ``512M`` in bytes. Raises UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"--max-memory is {text!r}; write bytes, or for instance 512M, 2G")
    return int(match[1]) * _SIZES[match[2].upper()]


__all__ = ["worker"]
