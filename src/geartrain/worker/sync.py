"""
The blocking worker: what programs see of it.

Which words go over the wire is decided in ``session``, the connections are
kept by ``keeper``, handlers run in an ``execution``. Here are the options, the
signals, and the ways to start and stop.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final, Literal, TypeAlias, TypeVar, get_args

from geartrain.client.address import ServersLike, parse_addresses
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.errors import UsageError
from geartrain.wire.reader import MAX_PACKET
from geartrain.worker.abilities import Abilities
from geartrain.worker.execution import Execution, InlineExecution, ThreadExecution
from geartrain.worker.job import Abort, Handler
from geartrain.worker.keeper import Keeper
from geartrain.worker.links import LinkGroup
from geartrain.worker.processes import ProcessExecution
from geartrain.worker.session import Slots, WorkerSession
from geartrain.worker.settings import (
    ANSWER_TIMEOUT,
    DEFAULT_GRACE,
    check_client_id,
    check_count,
    check_seconds,
)

AnyHandler = TypeVar("AnyHandler", bound=Handler)
ExecutionName: TypeAlias = Literal["thread", "process", "inline"]

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


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
    ) -> None:
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
        self._abilities: Abilities[Handler] = Abilities(allow_async=False)
        self._keeper = Keeper(
            parse_addresses(servers),
            self._new_execution,
            check_seconds("grace", grace),
            check_seconds("connect_timeout", connect_timeout),
            keepalive,
            check_seconds("answer_timeout", answer_timeout),
        )
        self._started = False
        self._takes_signals = False
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
        with self._signals():
            return self._keeper.run()

    def start(self) -> None:
        """Run in a thread of its own, and return at once. Raises what `run` raises."""
        self._start()
        self._thread = threading.Thread(target=self._keeper.run, name="geartrain", daemon=True)
        self._thread.start()

    def stop(self, grace: float | None = None) -> None:
        """
        Ask for no more jobs, and leave when those held have ended. From any thread.

        Args:
            grace: Seconds they get, instead of the worker's ``grace``; 0 to leave at once.

        """
        if grace is not None and grace <= 0:
            self._keeper.ask_abort()
        else:
            self._keeper.ask_stop(grace)

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

    def _new_execution(self, keeper: Keeper) -> Execution:
        handlers = self._abilities.handlers
        if self._execution_name == "process":
            groups = [self._new_group(keeper, 1) for _ in range(self._concurrency)]
            return ProcessExecution(groups, handlers, keeper.set_enabled, keeper.note_end)
        group = self._new_group(keeper, self._concurrency + self._prefetch)
        if self._execution_name == "thread":
            return ThreadExecution(group, handlers, self._concurrency, keeper.note_end)
        return InlineExecution(group, handlers, lambda: keeper.grace, self._overrun)

    def _new_group(self, keeper: Keeper, capacity: int) -> LinkGroup:
        return LinkGroup(Slots(capacity), self._new_session, keeper.ask_to_write)

    def _new_session(self, slots: Slots) -> WorkerSession:
        options = [b"exceptions"]
        return WorkerSession(
            slots, self._client_id, self._abilities.timeouts, options, self._max_packet
        )

    # Signals.

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Answer signals while the worker runs in the main thread, and only there."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._receive_signal) for number in _SIGNALS}
        self._takes_signals = True
        try:
            yield
        finally:
            self._takes_signals = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def _overrun(self) -> None:
        """Leave a handler in the main thread that outlasts the grace time; from another thread."""
        self._keeper.abandon()
        if self._takes_signals:
            # A real signal, which also wakes a handler that sleeps in a system call.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _receive_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._keeper.stop_asked:
            self._keeper.ask_stop()
            return
        self._keeper.ask_abort()
        if self._keeper.execution.running:
            # A handler keeps this thread busy: leave through it.
            raise Abort


__all__ = ["ExecutionName", "Worker"]
