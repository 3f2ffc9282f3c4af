"""
Where the handlers of a blocking worker run, and the simplest way: in its own thread.

Threads are in ``team``, child processes in ``processes``. An execution is handed
assignments by the keeper, and ends each of them on the group it came by.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from geartrain.worker.job import Ending, Handler, Job, run, unknown
from geartrain.worker.links import LinkGroup
from geartrain.worker.session import Assignment

# Inline, the sockets are looked at again after this many seconds of handlers.
_INLINE_STRETCH: Final = 0.05


class Execution(Protocol):
    """
    Runs handlers.

    Attributes:
        groups: Connections that the worker keeps for it.
        running: Whether a handler runs in the thread that called `drive`.

    """

    groups: list[LinkGroup]
    running: bool

    def start(self) -> None:
        """Start processes. Called once, before anything is connected."""

    def take(self, group: LinkGroup, assignments: list[Assignment]) -> None:
        """Run these jobs, which came by ``group``, as soon as there is room."""

    def drive(self, keeper: Driver) -> None:
        """Have the keeper take its turns until it may leave."""

    def close(self) -> None:
        """Let go of threads and processes, also of those that are still busy."""


class Driver(Protocol):
    """The keeper as an execution sees it; one thread at a time calls these, but for `wake`."""

    def may_leave(self) -> bool:
        """Return whether there is nothing more to do."""

    def turn(self, at_once: bool) -> None:
        """Wait until something is due or arrives, unless ``at_once``, and see to it."""

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Call ``action`` in a turn, at a time of the monotonic clock."""

    def wake(self) -> None:
        """Have a turn end. From any thread."""


def end_assignment(
    group: LinkGroup, handlers: Mapping[bytes, Handler], assignment: Assignment
) -> Ending | None:
    """Run one job to its end in the calling thread; None if its connection is gone already."""
    if not assignment.session.open:
        return None
    function = assignment.function
    handler = handlers.get(function)
    if handler is None:
        return unknown(function)
    job = Job(
        group,
        assignment,
        assignment.handle,
        function,
        assignment.unique,
        assignment.reducer,
        assignment.workload,
        assignment.attempt,
    )
    return run(handler, job)


def run_assignment(
    group: LinkGroup, handlers: Mapping[bytes, Handler], assignment: Assignment
) -> None:
    """Run one job to its end in the calling thread, and send how it ended."""
    ending = end_assignment(group, handlers, assignment)
    if ending is None:
        group.drop(assignment)
    else:
        group.end(assignment, ending)


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

    def drive(self, keeper: Driver) -> None:
        """Take turns with the keeper, in the same thread."""
        while not keeper.may_leave():
            keeper.turn(bool(self.waiting))
            self.run_waiting()

    def run_waiting(self) -> None:
        """Run the jobs in line, but return after a while so that sockets are looked at."""
        waiting = self.waiting
        if not waiting:
            return
        group, handlers = self.group, self.handlers
        enough = time.monotonic() + _INLINE_STRETCH
        self.running = True
        while waiting:
            run_assignment(group, handlers, waiting.popleft())
            if time.monotonic() > enough:
                break
        self.running = False

    def close(self) -> None:
        """Forget the jobs that did not start."""
        self.running = False
        self.waiting.clear()


__all__ = [
    "Driver",
    "Execution",
    "InlineExecution",
    "end_assignment",
    "run_assignment",
]
