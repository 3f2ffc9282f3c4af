"""
The blocking worker: what programs see of it.

Which words go over the wire is decided in ``session``, the connections are
kept by ``keeper``, handlers run in an ``execution``. Here are the options, the
signals, and the ways to start and stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar, get_args

from geartrain.client.address import ServersLike, parse_addresses
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.errors import UsageError
from geartrain.wire.reader import MAX_PACKET
from geartrain.worker.abilities import Abilities
from geartrain.worker.execution import Execution, InlineExecution
from geartrain.worker.job import Handler
from geartrain.worker.keeper import Keeper
from geartrain.worker.links import LinkGroup
from geartrain.worker.processes import ProcessExecution
from geartrain.worker.rules import NO_RULES, WorkerRules
from geartrain.worker.session import Slots, WorkerSession
from geartrain.worker.settings import (
    ANSWER_TIMEOUT,
    DEFAULT_GRACE,
    check_client_id,
    check_count,
    check_seconds,
)
from geartrain.worker.stopping import StopWatch
from geartrain.worker.team import TeamExecution

AnyHandler = TypeVar("AnyHandler", bound=Handler)
ExecutionName: TypeAlias = Literal["thread", "process", "inline"]


class Worker:
    """
    Grabs jobs from every server and runs their handlers.

    ::

        worker = Worker("localhost:4730", concurrency=4)

        @worker.function("reverse")
        def reverse(job: Job) -> bytes:
            return job.workload[::-1]

        worker.run()

    A handler's return value goes to the client with WORK_COMPLETE; `Fail`
    becomes WORK_FAIL, any other exception WORK_EXCEPTION.

    Args:
        servers: Addresses; the worker connects to all of them. None means those of
            ``GEARMAN_SERVERS``, or ``127.0.0.1:4730``.
        concurrency: How many jobs run at once, all servers together. With
            ``execution="inline"`` they are held at once and run one after the other.
        execution: ``"thread"``: handlers run in threads. ``"process"``: in child processes,
            which are replaced when they die; handlers have to be importable. ``"inline"``:
            in the thread that keeps the connections, the fastest way for short handlers.
        prefetch: Jobs to hold beyond those that can start now. It saves waiting for the
            server between short jobs; but a job that is held waits behind a long one
            although another worker may be idle. No job is lost by it: what a dead worker
            held, the server gives to others, and counts as an attempt.
        client_id: Name of this worker in the server's lists.
        grace: Seconds that held jobs get to end when the worker is asked to stop.
        connect_timeout: Seconds for one attempt to connect.
        keepalive: When the kernel probes quiet connections; None for never.
        answer_timeout: Seconds after which a server that owes an answer, and sends nothing,
            is given up; its connection is made anew.
        max_packet: Largest packet taken from a server, in bytes.
        options: Sent to each server by OPTION_REQ; one that a server refuses is logged.
        rules: Time limits of handlers, with threads and processes, and what holds for
            child processes.

    Raises:
        UsageError: An argument can't be used; the message says which.

    """

    def __init__(
        self,
        servers: ServersLike = None,
        *,
        concurrency: int = 1,
        execution: ExecutionName = "thread",
        prefetch: int = 0,
        client_id: str | bytes = b"",
        grace: float = DEFAULT_GRACE,
        connect_timeout: float = CONNECT_TIMEOUT,
        keepalive: Keepalive | None = DEFAULT_KEEPALIVE,
        answer_timeout: float = ANSWER_TIMEOUT,
        max_packet: int = MAX_PACKET,
        options: Sequence[bytes] = (),
        rules: WorkerRules = NO_RULES,
    ) -> None:
        if hasattr(servers, "tasks"):
            raise UsageError("the tasks of an app are run by TaskWorker(app), not by a Worker")
        if execution not in get_args(ExecutionName):
            names = ", ".join(repr(name) for name in get_args(ExecutionName))
            raise UsageError(f"execution is {execution!r}; it is one of {names}")
        self._concurrency = check_count("concurrency", concurrency, 1)
        self._prefetch = check_count("prefetch", prefetch, 0)
        if execution == "process" and prefetch:
            raise UsageError(
                "prefetch goes with threads or inline; a child process that died would take "
                "the jobs held for it along"
            )
        self._execution_name = execution
        self._client_id = check_client_id(client_id)
        self._max_packet = max_packet
        self._options = [b"exceptions", *options]
        self._rules = rules
        self._abilities: Abilities[Handler] = Abilities(allow_async=False)
        self._keeper = Keeper(
            parse_addresses(servers),
            self._new_execution,
            check_seconds("connect_timeout", connect_timeout),
            keepalive,
            check_seconds("answer_timeout", answer_timeout),
        )
        self._stop_watch = StopWatch(self._keeper, check_seconds("grace", grace))
        self._started = False
        self._thread: threading.Thread | None = None

    # Functions.

    def register(
        self, function: str | bytes, handler: Handler, timeout: float | None = None
    ) -> None:
        """
        Announce a function, before or while the worker runs.

        Args:
            function: Its name; text is sent as UTF-8.
            handler: Called with each `Job`; returns bytes, str or None.
            timeout: Seconds after which the server gives a job of it to another worker.

        Raises:
            UsageError: The name is taken, or an argument can't be used.

        """
        if self._started and self._execution_name == "process":
            raise UsageError(
                f"function {function!r} comes too late: child processes know the functions "
                "that were registered before the start"
            )
        name = self._abilities.register(function, handler, timeout)
        self._keeper.post(lambda: self._keeper.announce(name, self._abilities.timeouts[name]))

    def function(
        self, name: str | bytes, timeout: float | None = None
    ) -> Callable[[AnyHandler], AnyHandler]:
        """Decorate the handler of a function; the arguments are those of `register`."""

        def decorate(handler: AnyHandler) -> AnyHandler:
            self.register(name, handler, timeout)
            return handler

        return decorate

    # Running.

    def run(self) -> bool:
        """
        Work until asked to stop.

        In the main thread, SIGTERM and SIGINT are answered meanwhile: the
        first one asks the worker to stop, as `stop` does; a second one makes
        it leave at once.

        Returns:
            True if every job it held was seen to its end, False if some went
            back to their server.

        Raises:
            UsageError: No function is registered, or the worker has run already.

        """
        self._start()
        return self._run(threading.current_thread() is threading.main_thread())

    def start(self) -> None:
        """Run in a thread of its own, and return at once. Raises what `run` raises."""
        self._start()
        self._thread = threading.Thread(
            target=self._run, args=(False,), name="geartrain", daemon=True
        )
        self._thread.start()

    def stop(self, grace: float | None = None) -> None:
        """
        Ask for no more jobs, and leave when those held have ended. From any thread.

        Args:
            grace: Seconds they get, instead of the worker's ``grace``; 0 to leave at once.

        """
        self._stop_watch.ask(grace)

    @property
    def was_signalled(self) -> bool:
        """Whether SIGTERM or SIGINT has asked it to stop."""
        return self._stop_watch.was_signalled

    def join(self, timeout: float | None = None) -> bool:
        """Wait for a worker that was started with `start`; return whether it has ended."""
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """
        Wait until every connected server, at least one, knows all functions.

        From another thread than the one in `run`.

        Args:
            timeout: Seconds to wait, or None for no limit.

        Returns:
            Whether they do. False too when the worker has ended.

        """
        return self._keeper.wait_until_ready(timeout)

    def __enter__(self) -> Worker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self.join()

    # How it is put together.

    def _start(self) -> None:
        if self._started:
            raise UsageError("a worker runs once; make another one")
        if not self._abilities.handlers:
            raise UsageError("the worker has no function; register one before it runs")
        self._started = True
        self._keeper.open()
        self._stop_watch.start()

    def _run(self, takes_signals: bool) -> bool:
        before = self._stop_watch.take_signals() if takes_signals else None
        try:
            return self._keeper.run()
        finally:
            if before is not None:
                self._stop_watch.leave_signals(before)
            self._stop_watch.close()
            self._keeper.close()

    def _new_execution(self, keeper: Keeper) -> Execution:
        handlers = self._abilities.handlers
        if self._execution_name == "process":
            groups = [self._new_group(keeper, 1) for _ in range(self._concurrency)]
            return ProcessExecution(
                groups, handlers, keeper.set_enabled, keeper.note_end, self._rules
            )
        group = self._new_group(keeper, self._concurrency + self._prefetch)
        if self._execution_name == "thread":
            return TeamExecution(group, handlers, self._concurrency, keeper.note_end, self._rules)
        # One after the other, short jobs end faster than a network takes a packet for each.
        group.gathers = True
        return InlineExecution(group, handlers)

    def _new_group(self, keeper: Keeper, capacity: int) -> LinkGroup:
        return LinkGroup(Slots(capacity), self._new_session, keeper.ask_to_write)

    def _new_session(self, slots: Slots) -> WorkerSession:
        return WorkerSession(
            slots, self._client_id, self._abilities.timeouts, self._options, self._max_packet
        )


__all__ = ["ExecutionName", "Worker"]
