"""
Runs handlers in child processes that are replaced when they die.

Each child has connections of its own, kept by the parent: a child holds one
job, so its connections hold one. When the child dies, the parent cuts them,
and the server gives that job, and no other, to the next worker.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

from geartrain.client.backoff import Backoff
from geartrain.errors import UsageError
from geartrain.worker.bell import Bell
from geartrain.worker.child import DATA, ENDED, PROGRESS, serve
from geartrain.worker.execution import Driver
from geartrain.worker.job import Ending, Handler, printable, unknown
from geartrain.worker.links import LinkGroup
from geartrain.worker.log import logger, printable_handle
from geartrain.worker.rules import NO_RULES, Age, WorkerRules
from geartrain.worker.session import Assignment

# Seconds that an idle child gets to end by itself.
_LAST_WORDS: Final = 2.0
# Seconds that the worker waits for the threads that end the children.
_LAST_THREADS: Final = 5.0
# multiprocessing looks after its children from whichever thread comes along; one at a time.
_PROCESS_TABLE: Final = threading.Lock()


class ChildDied(Exception):
    """A child process ended without being asked to."""


class ChildProcess:
    """
    One child and the pipe to it.

    A child is started afresh, not forked, because a worker has threads; so
    handlers have to be importable.
    """

    def __init__(
        self, handlers: Mapping[bytes, Handler], name: str, rules: WorkerRules = NO_RULES
    ) -> None:
        # Spawned children are ours alone: their exit status can be told.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=serve,
            args=(theirs, dict(handlers), rules.on_start, rules.on_stop),
            name=name,
        )
        try:
            with _PROCESS_TABLE:
                self.process.start()
        finally:
            theirs.close()
        # Readable once the child is dead, even if a process it started lives on.
        self.death = _open_death(self.process)
        self.age = Age(rules.lifetime, self.process.pid or 0)

    def receive(self) -> tuple[Any, ...]:
        """Return what the child sent. Raises ChildDied where there is nothing left to read."""
        try:
            message: tuple[Any, ...] = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise ChildDied from error
        return message

    def send(self, assignment: Assignment) -> None:
        """Hand a job to the child."""
        try:
            self.pipe.send(
                (
                    assignment.handle,
                    assignment.function,
                    assignment.unique,
                    assignment.reducer,
                    assignment.workload,
                    assignment.attempt,
                )
            )
        except OSError as error:
            raise ChildDied from error

    def close(self) -> str:
        """End the child, kindly if it is idle, and return how it ended."""
        self.pipe.close()
        if not _is_readable(self.death, _LAST_WORDS):
            self.process.kill()
            _is_readable(self.death, None)
        os.close(self.death)
        with _PROCESS_TABLE:
            self.process.join()
            ended = _describe_exit(self.process.exitcode)
            self.process.close()
        return ended

    def kill(self) -> None:
        """End the child in the middle of whatever it does."""
        self.process.kill()


class ChildRunner:
    """
    A thread that keeps one child alive and hands it jobs.

    Args:
        group: The connections that belong to this child.
        handlers: Function -> handler.
        name: Name of the child.
        set_enabled: Connects the group or disconnects it, in the keeper's thread.
        on_end: Called after each job.
        rules: How long a handler may run and a child may live.

    """

    def __init__(
        self,
        group: LinkGroup,
        handlers: Mapping[bytes, Handler],
        name: str,
        set_enabled: Callable[[LinkGroup, bool], None],
        on_end: Callable[[], None],
        rules: WorkerRules = NO_RULES,
    ) -> None:
        self.group = group
        self.handlers = handlers
        self.name = name
        self.set_enabled = set_enabled
        self.on_end = on_end
        self.rules = rules
        self.waiting: deque[Assignment] = deque()
        # The job that the child runs.
        self.current: Assignment | None = None
        self.closing = False
        self.backoff = Backoff(random.random)
        self.bell = Bell()
        self.thread = threading.Thread(target=self.work, name=name, daemon=True)

    # From the worker's thread.

    def take(self, assignment: Assignment) -> None:
        """Have the child run a job."""
        self.waiting.append(assignment)
        self.bell.ring()

    def close(self) -> None:
        """Have the child and the thread end, whatever they do."""
        self.closing = True
        self.bell.ring()
        if self.thread.ident is None:
            # It was never started, and can't close what it waits for.
            self.bell.close()

    # In the runner's own thread.

    def work(self) -> None:
        """Keep a child running until the worker closes."""
        while not self.closing:
            child = ChildProcess(self.handlers, self.name, self.rules)
            job = ""
            died = False
            try:
                self.serve(child)
            except ChildDied:
                died = True
                job = self.give_back()
            finally:
                if self.closing and self.current is not None:
                    child.kill()
                ended = child.close()
            if died and not self.closing:
                delay = self.backoff.next_delay()
                logger.error("%s %s%s; another starts in %.1f s", self.name, ended, job, delay)
                self.wait(delay)
        self.bell.close()

    def serve(self, child: ChildProcess) -> None:
        """Feed a child until the worker closes or the child's time is over. Raises ChildDied."""
        # The first thing it sends is that it is ready.
        if self.receive(child) is None:
            return
        # Its age counts from here, so that a slow start does not eat it up.
        child.age = Age(self.rules.lifetime, child.process.pid or 0)
        self.group.enabled = True
        self.set_enabled(self.group, True)
        while not self.closing:
            if reason := child.age.reason_to_end():
                # A job that arrives meanwhile waits for the next child.
                logger.info("%s %s; another takes its place", self.name, reason)
                return
            if self.waiting:
                if not self.run(child, self.waiting.popleft()):
                    return
            elif child.death in self.wait(child.age.seconds_left(), child.death):
                raise ChildDied

    def run(self, child: ChildProcess, assignment: Assignment) -> bool:
        """
        Have the child run a job, and pass on what it reports. Raises ChildDied.

        Returns:
            Whether the child can go on. It can't where it was killed, its time being over.

        """
        if not assignment.session.open:
            self.group.drop(assignment)
            return True
        if assignment.function not in self.handlers:
            self.group.end(assignment, unknown(assignment.function))
            return True
        self.current = assignment
        limit = self.rules.time_limits.get(assignment.function)
        deadline = None if limit is None else time.monotonic() + limit
        child.send(assignment)
        try:
            while (message := self.receive(child, deadline)) is not None:
                kind, *rest = message
                if kind == ENDED:
                    self.end(child, assignment, Ending(*rest))
                    break
                self.report(assignment, kind, rest)
        except TimeoutError:
            # Killed first, so that it does nothing more once the client hears of it.
            child.kill()
            _is_readable(child.death, None)
            self.end(child, assignment, self.rules.timed_out(assignment.function))
            return False
        return True

    def end(self, child: ChildProcess, assignment: Assignment, ending: Ending) -> None:
        """End the child's job."""
        self.current = None
        child.age.note_job()
        self.group.end(assignment, ending)
        self.backoff.reset()
        self.on_end()

    def report(self, assignment: Assignment, kind: int, rest: list[Any]) -> None:
        if kind == PROGRESS:
            self.group.progress(assignment, *rest)
        elif kind == DATA:
            self.group.data(assignment, *rest)
        else:
            self.group.warn(assignment, *rest)

    def receive(self, child: ChildProcess, deadline: float | None = None) -> tuple[Any, ...] | None:
        """
        Return the child's next message, or None when the worker closes.

        Raises:
            ChildDied: There is none to come.
            TimeoutError: It did not come before ``deadline``, by the monotonic clock.

        """
        while not self.closing:
            seconds = None if deadline is None else max(0.0, deadline - time.monotonic())
            readable = self.wait(seconds, child.pipe.fileno(), child.death)
            # What it said before it died counts.
            if child.pipe.fileno() in readable:
                return child.receive()
            if child.death in readable:
                raise ChildDied
            if seconds == 0.0:
                raise TimeoutError
        return None

    def give_back(self) -> str:
        """Have the server give the child's job to another worker; return words for the log."""
        self.group.enabled = False
        self.group.sever()
        self.set_enabled(self.group, False)
        words = ""
        if self.current is not None:
            words = (
                f" while it ran {printable(self.current.function)}"
                f" ({printable_handle(self.current)}), which the server gives to another worker"
            )
            self.group.drop(self.current)
            self.current = None
        while self.waiting:
            self.group.drop(self.waiting.popleft())
        self.on_end()
        return words

    def wait(self, seconds: float | None, *others: int) -> set[int]:
        """Wait for the bell or one of ``others`` to be readable; return those that are."""
        poller = select.poll()
        bell = self.bell.fileno()
        for descriptor in (bell, *others):
            poller.register(descriptor, select.POLLIN)
        readable = {found for found, _ in poller.poll(None if seconds is None else seconds * 1000)}
        if bell in readable:
            self.bell.silence()
        return readable


class ProcessExecution:
    """
    Several jobs at a time, each in a child process of its own.

    Args:
        groups: One for each child.
        handlers: Function -> handler; every handler can be imported.
        set_enabled: Connects a group or disconnects it.
        on_end: Called after each job.
        rules: How long a handler may run and a child may live.

    """

    def __init__(
        self,
        groups: list[LinkGroup],
        handlers: Mapping[bytes, Handler],
        set_enabled: Callable[[LinkGroup, bool], None],
        on_end: Callable[[], None],
        rules: WorkerRules = NO_RULES,
    ) -> None:
        self.groups = groups
        self.handlers = handlers
        self.running = False
        self.runners: dict[LinkGroup, ChildRunner] = {}
        for number, group in enumerate(groups, 1):
            # Not before the child is ready: a job would only wait for it.
            group.enabled = False
            name = f"worker child {number}"
            self.runners[group] = ChildRunner(group, handlers, name, set_enabled, on_end, rules)

    def start(self) -> None:
        """Start the children. Raises UsageError for a handler they could not import."""
        for function, handler in self.handlers.items():
            _check_importable(function, handler)
        for runner in self.runners.values():
            runner.thread.start()

    def take(self, group: LinkGroup, assignments: list[Assignment]) -> None:
        """Have the group's child run these jobs."""
        for assignment in assignments:
            self.runners[group].take(assignment)

    def drive(self, keeper: Driver) -> None:
        """Have the keeper take its turns; the jobs run elsewhere."""
        while not keeper.may_leave():
            keeper.turn(False)

    def close(self) -> None:
        """End the children, also those that are busy."""
        deadline = time.monotonic() + _LAST_THREADS
        for runner in self.runners.values():
            runner.close()
        for runner in self.runners.values():
            if runner.thread.ident is not None:
                runner.thread.join(max(0.0, deadline - time.monotonic()))


def _check_importable(function: bytes, handler: Handler) -> None:
    try:
        ForkingPickler.dumps(handler)
    except Exception as error:
        raise UsageError(
            f"the handler of {printable(function)} can't be sent to a child process ({error}); "
            "define it at the top level of a module, or use execution='thread'"
        ) from error


def _open_death(process: SpawnProcess) -> int:
    """Return a descriptor that becomes readable when the process is dead."""
    try:
        return os.pidfd_open(process.ident or 0)
    except (AttributeError, OSError):
        # Not Linux, or an old kernel.
        return os.dup(process.sentinel)


def _is_readable(descriptor: int, seconds: float | None) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(None if seconds is None else seconds * 1000))


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "ended"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


__all__ = ["ProcessExecution"]
