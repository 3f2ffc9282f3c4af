"""
``geartrain submit``: submit one job, and wait for it if asked to.

The data are the workload as it is: text of the command line, or bytes of standard
input. The result goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geartrain.cli import exit_code
from geartrain.errors import GeartrainError, JobError, JobTimeout, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from geartrain.client.reports import JobEvent, Progress
    from geartrain.client.sync_job import Job


def submit(
    function: Annotated[str, typer.Argument(metavar="FN", help="Name of the function or task.")],
    data: Annotated[
        str, typer.Argument(metavar="[DATA]", help="The workload; - for standard input.")
    ] = "",
    servers: Annotated[
        list[str] | None,
        typer.Option("--server", "-s", help="Job server. May be repeated."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait, and print the result.")] = False,
    progress: Annotated[
        bool, typer.Option("--progress", "-p", help="Wait, and show how far it is.")
    ] = False,
    priority: Annotated[str, typer.Option(help="high, normal or low.")] = "normal",
    unique: Annotated[str | None, typer.Option(help="Key that joins equal jobs.")] = None,
    delay: Annotated[
        float | None, typer.Option(help="Seconds before which it does not run; background only.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for; for ever by default.")
    ] = None,
) -> None:
    """Submit a job: in the background, or with --wait or --progress in the foreground."""
    from geartrain.client.sync import Client

    waits = wait or progress
    if waits and delay is not None:
        raise UsageError("a job with --delay runs in the background; nobody can wait for it here")
    options: dict[str, Any] = {"unique": unique, "priority": priority}
    workload = sys.stdin.buffer.read() if data == "-" else data.encode()
    with Client(servers) as client:
        try:
            if not waits:
                ticket = client.submit(
                    function, workload, background=True, delay=delay, timeout=timeout, **options
                )
                print(ticket.handle.decode("utf-8", "backslashreplace"))
                return
            job = client.submit(function, workload, timeout=timeout, **options)
        except JobTimeout as error:
            say(f"no job server accepted the job within {error.seconds:g} s; does one run?")
            sys.exit(exit_code.UNREACHABLE)
        sys.exit(follow(job, timeout, progress))


def follow(job: Job, timeout: float | None, shows_progress: bool) -> int:
    """Print what a job reports until its end; return the exit code."""
    out = sys.stdout.buffer
    show = new_bar(job.function) if shows_progress else None
    try:
        for event in job.events(timeout):
            if event.kind in ("data", "completed"):
                out.write(event.workload)
                out.flush()
            elif event.kind == "warning":
                say(f"warning: {event.workload.decode('utf-8', 'replace')}")
            elif event.kind == "failed":
                say("the job failed")
            elif event.kind == "raised":
                say(failure_text(job, event))
            if show is not None:
                show(event.progress, event.kind)
            if event.kind in ("failed", "raised"):
                return exit_code.FAILED
    except JobError as error:
        say(str(error))
        return exit_code.FAILED
    finally:
        if show is not None:
            show(None, "")
    return 0


def failure_text(job: Job, event: JobEvent) -> str:
    """Return what the worker raised, in words."""
    from geartrain.errors import JobException
    from geartrain.tasks.failure import read_failure

    error: GeartrainError = read_failure(JobException(job.handle, event.workload))
    return str(error)


def say(text: str) -> None:
    """Say something that is no result."""
    print(f"geartrain: {text}", file=sys.stderr, flush=True)


def new_bar(function: bytes) -> Callable[[Progress | None, str], None]:
    """
    Return a progress bar on standard error, as a function.

    It is told how far the job is and what has happened; None takes the bar away.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:g}/{task.total:g}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
    )
    name = function.decode("utf-8", "backslashreplace")
    line = bar.add_task(name, total=0)
    bar.start()

    def show(progress: Any, kind: str) -> None:
        if progress is None:
            bar.stop()
            return
        if progress.denominator:
            bar.update(line, completed=progress.numerator, total=progress.denominator)
        if kind == "restarted":
            bar.update(line, description=f"{name} (again)")

    return show


__all__ = ["submit"]
