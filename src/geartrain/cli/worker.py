"""
``geartrain worker``: run an app's tasks.

SIGHUP has it start anew once it has finished what it runs: the way to give it new code.

With ``--reload`` this process only watches files, and runs the worker in another
one that it replaces when they change.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from geartrain.cli.reloading import run_reloaded
from geartrain.errors import UsageError
from geartrain.supervisor.notify import notify

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
    ready_file: Annotated[
        Path | None,
        typer.Option(help="A file that is there from when the servers know it until it stops."),
    ] = None,
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
    run_worker(place, servers, options, limits, jitter, Readiness(ready_file))


def run_worker(
    place: str,
    servers: list[str] | None,
    options: dict[str, Any],
    limits: dict[str, Any],
    jitter: float,
    readiness: Readiness,
) -> None:
    """Run a worker until it is stopped; start anew at SIGHUP and when its lifetime is over."""
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
    task_worker = TaskWorker(app, lifetime=lifetime, on_ready=readiness.begin, **options)
    hangup = Hangup(task_worker, readiness)
    finished = task_worker.run()
    readiness.end()
    if (task_worker.retired or hangup.asks_for_renewal) and not task_worker.was_signalled:
        # The same process, under the same number; another hangup that comes too early is lost.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    sys.exit(0 if finished else 1)


class Readiness:
    """
    Says whether the servers know the worker: on standard error, to systemd, and by a file.

    Args:
        path: The file, which holds the number of the process; None for none.

    """

    def __init__(self, path: Path | None) -> None:
        self.path = None if path is None else path.absolute()
        # Left by one that was killed.
        self.end()
        self.is_over = False

    def begin(self, task_worker: TaskWorker) -> None:
        """Say that they do."""
        if self.is_over:
            return
        names = ", ".join(task.name for task in task_worker.tasks)
        print(
            f"ready: {task_worker.concurrency} at once ({task_worker.pool}): {names}",
            file=sys.stderr,
            flush=True,
        )
        if self.path is not None:
            try:
                self.path.write_text(f"{os.getpid()}\n")
            except OSError as error:
                logging.error("the ready file %s can't be written: %s", self.path, error.strerror)
        notify("READY=1")

    def end(self) -> None:
        """Say that they don't, or not for long."""
        self.is_over = True
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()


class Hangup:
    """
    Answers SIGHUP: running tasks end within their grace, then the program starts anew.

    Where it was started from a terminal, SIGHUP says that this is gone, and the worker stops.

    Attributes:
        asks_for_renewal: Whether the worker is to start anew once it has stopped.

    """

    def __init__(self, task_worker: TaskWorker, readiness: Readiness) -> None:
        self.task_worker = task_worker
        self.readiness = readiness
        self.asks_for_renewal = False
        self.has_terminal = sys.stdin is not None and sys.stdin.isatty()
        signal.signal(signal.SIGHUP, self.receive)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Have the worker stop; not from here, where a lock may be held that this needs."""
        self.asks_for_renewal = not self.has_terminal
        threading.Thread(target=self.stop, name="geartrain-hangup", daemon=True).start()

    def stop(self) -> None:
        """Have the worker stop, and say what for."""
        self.readiness.end()
        if self.asks_for_renewal:
            logging.info("SIGHUP: the worker finishes what it runs, and starts anew")
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self.task_worker.stop()


def bytes_of(text: str | None) -> int | None:
    """Return a size such as ``512M`` in bytes. Raises UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"--max-memory is {text!r}; write bytes, or for instance 512M, 2G")
    return int(match[1]) * _SIZES[match[2].upper()]


__all__ = ["worker"]
