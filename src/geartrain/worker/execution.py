"""
Where the handlers of a blocking worker run: in its own thread, or in several.

Child processes are in ``processes``. An execution is handed assignments by the
worker's thread, and ends each of them on the group it came by.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Final, Protocol

from geartrain.worker.job import Handler, run, unknown
from geartrain.worker.links import LinkGroup, new_job
from geartrain.worker.session import Assignment

# Inline, the sockets are looked at again after this many seconds of handlers.
_INLINE_STRETCH: Final = 0.05


class Execution(Protocol):
    """
    Runs handlers.

    Attributes:
        groups: Connections that the worker's thread keeps for it.
        running: Whether a handler runs in the worker's own thread.

    """

    groups: list[LinkGroup]
    running: bool

    def start(self) -> None:
        """Start threads or processes. Called once, before anything is connected."""

    def take(self, group: LinkGroup, assignments: list[Assignment]) -> None:
        """Run these jobs, which came by ``group``, as soon as there is room."""

    def run_inline(self) -> bool:
        """Run jobs in the calling thread, if that is the way; return whether some are left."""

    def close(self) -> None:
        """Let go of threads and processes, also of those that are still busy."""


def run_assignment(
    group: LinkGroup, handlers: Mapping[bytes, Handler], assignment: Assignment
) -> None:
    """Run one job to its end in the calling thread, and send how it ended."""
    if not assignment.session.open:
        group.drop(assignment)
        return
    handler = handlers.get(assignment.function)
    if handler is None:
        group.end(assignment, unknown(assignment.function))
    else:
        group.end(assignment, run(handler, new_job(group, assignment)))


class InlineExecution:
    """One job at a time, in the worker's own thread: while it runs there, nothing else does."""

    def __init__(self, group: LinkGroup, handlers: Mapping[bytes, Handler]) -> None:
        self.groups = [group]
        self.group = group
        self.handlers = handlers
        self.waiting: deque[Assignment] = deque()
        self.running = False

    def start(self) -> None:
        """Nothing is to be started."""

    def take(self, group: LinkGroup, assignments: list[Assignment]) -> None:
        """Put the jobs in line."""
        self.waiting.extend(assignments)

    def run_inline(self) -> bool:
        """Run the jobs in line, but return after a while so that sockets are looked at."""
        waiting = self.waiting
        if not waiting:
            return False
        enough = time.monotonic() + _INLINE_STRETCH
        self.running = True
        while waiting:
            run_assignment(self.group, self.handlers, waiting.popleft())
            if time.monotonic() > enough:
                break
        self.running = False
        return bool(waiting)

    def close(self) -> None:
        """Forget the jobs that did not start."""
        self.running = False
        self.waiting.clear()


class ThreadExecution:
    """
    Several jobs at a time, each in a thread.

    The threads take jobs from one line, so a job waits for whichever thread
    is free first.
    """

    def __init__(
        self,
        group: LinkGroup,
        handlers: Mapping[bytes, Handler],
        concurrency: int,
        on_end: Callable[[], None],
    ) -> None:
        self.groups = [group]
        self.group = group
        self.handlers = handlers
        self.on_end = on_end
        self.running = False
        self.waiting: SimpleQueue[Assignment | None] = SimpleQueue()
        # Daemons, because a handler that never returns must not keep the process alive.
        self.threads = [
            threading.Thread(target=self.work, name=f"geartrain-{index + 1}", daemon=True)
            for index in range(concurrency)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self.threads:
            thread.start()

    def take(self, group: LinkGroup, assignments: list[Assignment]) -> None:
        """Put the jobs in line."""
        for assignment in assignments:
            self.waiting.put(assignment)

    def work(self) -> None:
        """Run one job after another, until the worker closes."""
        while (assignment := self.waiting.get()) is not None:
            run_assignment(self.group, self.handlers, assignment)
            self.on_end()

    def run_inline(self) -> bool:
        """Return False: the jobs run elsewhere."""
        return False

    def close(self) -> None:
        """Tell the threads to end once their handlers return."""
        for _ in self.threads:
            self.waiting.put(None)


__all__ = ["Execution", "InlineExecution", "ThreadExecution", "run_assignment"]
