"""
What runs in a child process: handlers, one job at a time, fed through a pipe.

A child speaks to its parent only. It knows no server and opens no socket, so
whatever becomes of it, the parent can tell the servers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Final

from geartrain.worker.job import Ending, Handler, Job, run

# First item of what a child sends; the rest is in the order of the Outlet's methods.
READY: Final = 0
PROGRESS: Final = 1
DATA: Final = 2
WARN: Final = 3
ENDED: Final = 4


class Pipe:
    """
    Sends what a handler reports to the parent.

    A handler's own threads may report as well, so it takes a lock, and lets
    nothing through for a job that has ended.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.Lock()
        # Number of the job that runs; the ticket of its reports.
        self.current = 0

    def progress(self, ticket: object, numerator: int, denominator: int) -> None:
        """Report progress."""
        self.send(ticket, (PROGRESS, numerator, denominator))

    def data(self, ticket: object, data: bytes) -> None:
        """Report a part of the result."""
        self.send(ticket, (DATA, data))

    def warn(self, ticket: object, data: bytes) -> None:
        """Report a warning."""
        self.send(ticket, (WARN, data))

    def send(self, ticket: object, message: tuple[object, ...]) -> None:
        """Send a message about the job that ``ticket`` names, if it still runs."""
        with self.lock:
            if ticket == self.current:
                self.connection.send(message)

    def end(self, ending: Ending) -> None:
        """Report the end of the current job."""
        with self.lock:
            self.current += 1
            self.connection.send((ENDED, *ending))


def serve(
    connection: Connection,
    handlers: Mapping[bytes, Handler],
    on_start: Callable[[], object] | None = None,
    on_stop: Callable[[], object] | None = None,
) -> None:
    """
    Run the jobs that the parent sends, until it closes the pipe or is gone.

    Args:
        connection: The pipe.
        handlers: Function -> handler.
        on_start: Called before this process says that it is ready.
        on_stop: Called after its last job.

    """
    # A signal to the whole group or service is the parent's to answer. Not SIG_IGN:
    # programs that a handler starts would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave_to_parent)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe = Pipe(connection)
    if on_start is not None:
        on_start()
    connection.send((READY,))
    while True:
        try:
            handle, function, unique, reducer, workload, attempt = connection.recv()
        except EOFError:
            if on_stop is not None:
                on_stop()
            return
        job = Job(pipe, pipe.current, handle, function, unique, reducer, workload, attempt)
        pipe.end(run(handlers[function], job))


def _leave_to_parent(number: int, frame: FrameType | None) -> None:
    return


def _end_with_parent() -> None:
    """End this process, in the middle of whatever it does, when the parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


__all__ = ["DATA", "ENDED", "PROGRESS", "READY", "WARN", "Pipe", "serve"]
