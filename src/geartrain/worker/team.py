"""
Several jobs at a time, each in a thread: one thread leads, the others follow.

The leader waits for the servers. When a job arrives it hands the lead on and runs
the job itself, then follows. So a job is never passed from thread to thread, one
thread always listens, and with nothing to do nobody wakes.

There is one thread more than jobs may run, since somebody has to lead meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from geartrain.worker.execution import Driver, end_assignment
from geartrain.worker.job import Handler, printable
from geartrain.worker.links import LinkGroup
from geartrain.worker.log import logger, printable_handle
from geartrain.worker.rules import NO_RULES, WorkerRules
from geartrain.worker.session import Assignment


class TeamExecution:
    """
    Threads that share one group of connections.

    Args:
        group: The connections.
        handlers: Function -> handler.
        concurrency: How many jobs run at once.
        on_end: Called after each job.
        rules: How long handlers may run.

    Attributes:
        lead: Held by the thread that leads; the others wait for it.
        books: Guards the taking of jobs from ``waiting`` into ``deadlines``.
        waiting: Jobs that have arrived and not begun.
        deadlines: The jobs that run, and when each is cut off.

    """

    def __init__(
        self,
        group: LinkGroup,
        handlers: Mapping[bytes, Handler],
        concurrency: int,
        on_end: Callable[[], None],
        rules: WorkerRules = NO_RULES,
    ) -> None:
        self.groups = [group]
        self.group = group
        self.handlers = handlers
        self.concurrency = concurrency
        self.on_end = on_end
        self.rules = rules
        self.running = False
        self.lead = threading.Lock()
        self.books = threading.Lock()
        self.waiting: deque[Assignment] = deque()
        self.deadlines: dict[Assignment, float | None] = {}
        # When the keeper looks for jobs whose time is over; None while none has a limit.
        self.look_at: float | None = None
        self.is_over = False
        self.over = threading.Event()
        self.failure: BaseException | None = None
        self.thread_count = 0

    def start(self) -> None:
        """Nothing is to be started before the keeper runs."""

    def take(self, group: LinkGroup, assignments: list[Assignment]) -> None:
        """Put the jobs in line. Called by the leader, in its turn."""
        self.waiting.extend(assignments)

    def drive(self, keeper: Driver) -> None:
        """Have the team take the keeper's turns, and wait until it may leave."""
        for _ in range(self.concurrency + 1):
            self.add_thread(keeper)
        self.over.wait()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Have the threads end once their handlers return."""
        self.is_over = True
        self.over.set()

    def add_thread(self, keeper: Driver) -> None:
        self.thread_count += 1
        # Daemons, because a handler that never returns must not keep the process alive.
        threading.Thread(
            target=self.work,
            args=(keeper,),
            name=f"geartrain-{self.thread_count}",
            daemon=True,
        ).start()

    # In the team's threads.

    def work(self, keeper: Driver) -> None:
        """Lead until a job comes, run it, follow until the lead is free again."""
        assignment: Assignment | None = None
        while True:
            if assignment is None:
                assignment = self.wait_for_job(keeper)
                if assignment is None:
                    return
            ending = end_assignment(self.group, self.handlers, assignment)
            if self.deadlines.pop(assignment, 0.0) == 0.0:
                # It took too long: its job has ended, and another thread is in this one's place.
                return
            if ending is None:
                self.group.drop(assignment)
            else:
                self.group.end(assignment, ending)
            self.on_end()
            assignment = self.next_in_line(keeper)

    def next_in_line(self, keeper: Driver) -> Assignment | None:
        """Return a job that was held beyond those that may run, where there is one."""
        if not self.waiting or self.is_over:
            return None
        with self.books:
            if not self.waiting or len(self.deadlines) >= self.concurrency:
                return None
            if self.waiting[0].function not in self.rules.time_limits:
                assignment = self.waiting.popleft()
                self.deadlines[assignment] = None
                return assignment
        # The keeper's timers are the leader's.
        keeper.wake()
        return None

    def wait_for_job(self, keeper: Driver) -> Assignment | None:
        """Return the next job, having led until it came; None when the worker is to end."""
        with self.lead:
            try:
                while not self.is_over:
                    if (assignment := self.begin(keeper)) is not None:
                        return assignment
                    if keeper.may_leave():
                        self.close()
                    else:
                        keeper.turn(False)
            except BaseException as error:
                self.failure = error
                self.close()
        return None

    def begin(self, keeper: Driver) -> Assignment | None:
        """Take the next job in line, if one may run, and note when it is to be cut off."""
        with self.books:
            if not self.waiting or len(self.deadlines) >= self.concurrency:
                return None
            assignment = self.waiting.popleft()
            limit = self.rules.time_limits.get(assignment.function)
            deadline = None if limit is None else time.monotonic() + limit
            self.deadlines[assignment] = deadline
        if deadline is not None and (self.look_at is None or deadline < self.look_at):
            self.look_at = deadline
            keeper.at(deadline, lambda: self.look(keeper))
        return assignment

    def look(self, keeper: Driver) -> None:
        """Cut off the jobs whose time is over. In the leader's turn."""
        now = time.monotonic()
        for assignment, deadline in list(self.deadlines.items()):
            if deadline is not None and deadline <= now:
                self.cut_off(keeper, assignment)
        left = [deadline for deadline in list(self.deadlines.values()) if deadline is not None]
        self.look_at = min(left, default=None)
        if self.look_at is not None:
            keeper.at(self.look_at, lambda: self.look(keeper))

    def cut_off(self, keeper: Driver, assignment: Assignment) -> None:
        """End a job without its thread, which can't be ended, and put another in its place."""
        if self.deadlines.pop(assignment, 0.0) == 0.0:
            return
        logger.error(
            "%s of %s takes too long; its thread can't be ended and is left behind, "
            "child processes can",
            printable_handle(assignment),
            printable(assignment.function),
        )
        self.group.end(assignment, self.rules.timed_out(assignment.function))
        self.add_thread(keeper)


__all__ = ["TeamExecution"]
