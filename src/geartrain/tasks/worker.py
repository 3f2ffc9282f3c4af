"""
A worker for the tasks of an app: which of them, how many at once, and where they run.

It is the worker of the room below with the tasks as handlers. Threads and the
event loop share the process; with child processes the parent keeps the
connections and runs no task, so whatever a task does to its process, the parent
can tell the server.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from geartrain.errors import UsageError
from geartrain.tasks.failure import timeout_ending
from geartrain.tasks.policy import policy_option
from geartrain.tasks.running import AsyncTaskHandler, TaskHandler
from geartrain.worker.aio import AsyncWorker
from geartrain.worker.job import AsyncJob, Ending, Job
from geartrain.worker.log import logger
from geartrain.worker.rules import Age, Lifetime, WorkerRules
from geartrain.worker.session import ATTEMPTS
from geartrain.worker.settings import DEFAULT_GRACE, check_count
from geartrain.worker.sync import Worker

if TYPE_CHECKING:
    from geartrain.tasks.app import App
    from geartrain.tasks.task import RemoteTask

Pool: TypeAlias = Literal["thread", "process", "async", "inline"]


class TaskWorker:
    """
    Runs an app's tasks.

    ::

        TaskWorker(app, concurrency=8, pool="process").run()

    Args:
        app: Whose tasks.
        concurrency: How many run at once; the number of processors by default.
        pool: ``thread``: in threads. ``process``: in child processes, which are replaced
            when they die, when their time is over, and when a task outlasts its ``timeout``;
            tasks have to be importable. ``async``: on an event loop, for ``async def``;
            others run in threads beside it. ``inline``: one after the other, in the thread
            that keeps the connections, the fastest way for short tasks; ``concurrency`` is
            how many are held, and a ``timeout`` cuts nothing off.
        queues: Names of the tasks to take, ``*`` standing for anything; all by default.
        client_id: Name of this worker in the server's lists.
        grace: Seconds that running tasks get to end when the worker is asked to stop.
        prefetch: Jobs to hold beyond those that can start now, except with processes.
        lifetime: After how many jobs or seconds, or with how much memory, a child process
            is replaced. Without children, the worker stops, and ``retired`` says so.
        on_ready: Called with the worker once the servers know all tasks.

    Attributes:
        retired: Whether it stopped because its lifetime was over.

    Raises:
        UsageError: An argument can't be used, or a policy can't be sent.

    """

    def __init__(
        self,
        app: App,
        *,
        concurrency: int | None = None,
        pool: Pool = "thread",
        queues: Iterable[str] | None = None,
        client_id: str = "",
        grace: float = DEFAULT_GRACE,
        prefetch: int = 0,
        lifetime: Lifetime | None = None,
        on_ready: Callable[[TaskWorker], object] | None = None,
    ) -> None:
        if pool not in get_args(Pool):
            names = ", ".join(get_args(Pool))
            raise UsageError(f"pool is {pool!r}; it is one of {names}")
        if concurrency is None:
            concurrency = os.cpu_count() or 1
        self.app = app
        self.pool = pool
        self.concurrency = check_count("concurrency", concurrency, 1)
        self.tasks = chosen_tasks(app, queues)
        self.retired = False
        self._on_ready = on_ready
        self._lifetime = lifetime or Lifetime()
        self._age: Age | None = None
        self._timer: threading.Timer | None = None
        self._options = [ATTEMPTS, *map(option_of, self.tasks)]
        settings: dict[str, Any] = {
            "concurrency": concurrency,
            "client_id": client_id,
            "grace": grace,
            "prefetch": prefetch,
            "options": self._options,
        }
        self._worker: Worker | AsyncWorker
        if pool == "async":
            self._worker = self._new_async_worker(settings)
        else:
            self._worker = self._new_worker(settings)

    def _new_worker(self, settings: dict[str, Any]) -> Worker:
        in_children = self.pool == "process"
        rules = WorkerRules(
            time_limits={
                task.name.encode(): task.limits.hard for task in self.tasks if task.limits.hard
            },
            timed_out=self._timed_out,
            lifetime=self._lifetime if in_children else Lifetime(),
            on_start=Hooks(self.tasks, "start_up") if in_children else None,
            on_stop=Hooks(self.tasks, "shut_down") if in_children else None,
        )
        assert self.pool != "async"
        worker = Worker(self.app.servers, execution=self.pool, rules=rules, **settings)
        for task in self.tasks:
            handler = TaskHandler(task)
            worker.register(task.name, handler if in_children else self._counted(handler))
        return worker

    def _new_async_worker(self, settings: dict[str, Any]) -> AsyncWorker:
        worker = AsyncWorker(self.app.servers, **settings)
        for task in self.tasks:
            worker.register(task.name, self._counted_async(AsyncTaskHandler(task)))
        return worker

    # Running.

    def run(self) -> bool:
        """
        Work until asked to stop; SIGTERM and SIGINT ask for it in the main thread.

        Returns:
            True if every job it held was seen to its end, False if some went back to
            their server.

        """
        if self.pool == "async":
            return asyncio.run(self.run_async())
        worker = self._worker
        assert isinstance(worker, Worker)
        self._begin()
        threading.Thread(target=self._await_ready, args=(worker,), daemon=True).start()
        try:
            return worker.run()
        finally:
            self._finish()

    async def run_async(self) -> bool:
        """Work until asked to stop, on the running event loop."""
        worker = self._worker
        if not isinstance(worker, AsyncWorker):
            raise UsageError(f"a worker with pool={self.pool!r} runs with run()")
        await asyncio.to_thread(self._begin)
        ready = asyncio.ensure_future(self._await_ready_on_loop(worker))
        try:
            return await worker.run()
        finally:
            ready.cancel()
            await self.app.aclose()
            await asyncio.to_thread(self._finish)

    def start(self) -> None:
        """Run in a thread of its own, and return at once."""
        self._thread = threading.Thread(target=self.run, name="geartrain-tasks", daemon=True)
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for a worker that was started with `start`; return whether it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def stop(self, grace: float | None = None) -> None:
        """Ask for no more jobs, and leave when those held have ended. From any thread."""
        self._worker.stop(grace)

    @property
    def was_signalled(self) -> bool:
        """Whether SIGTERM or SIGINT has asked it to stop, and not only `stop` or its age."""
        return self._worker.was_signalled

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until the servers know all tasks; from another thread than the one in `run`."""
        worker = self._worker
        if isinstance(worker, AsyncWorker):
            raise UsageError("on an event loop, await AsyncWorker.wait_until_ready")
        return worker.wait_until_ready(timeout)

    def __enter__(self) -> TaskWorker:
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

    # The process's own life, where no children have it.

    def _begin(self) -> None:
        if self.pool == "process":
            return
        self.app.start_up()
        self._age = Age(self._lifetime, os.getpid())
        if (seconds := self._age.seconds_left()) is not None:
            self._timer = threading.Timer(seconds, self._retire_if_due)
            self._timer.daemon = True
            self._timer.start()

    def _await_ready(self, worker: Worker) -> None:
        if self._on_ready is not None and worker.wait_until_ready():
            self._on_ready(self)

    async def _await_ready_on_loop(self, worker: AsyncWorker) -> None:
        if self._on_ready is not None and await worker.wait_until_ready():
            self._on_ready(self)

    def _finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.pool != "process":
            self.app.shut_down()

    def _counted(self, handler: TaskHandler) -> Callable[[Job], Ending]:
        def counted(job: Job) -> Ending:
            try:
                return handler(job)
            finally:
                self._note_job()

        return counted

    def _counted_async(self, handler: AsyncTaskHandler) -> Callable[[AsyncJob], Any]:
        async def counted(job: AsyncJob) -> Ending:
            try:
                return await handler(job)
            finally:
                self._note_job()

        return counted

    def _note_job(self) -> None:
        if self._age is not None:
            self._age.note_job()
            self._retire_if_due()

    def _retire_if_due(self) -> None:
        if self.retired or self._age is None:
            return
        if reason := self._age.reason_to_end():
            self.retired = True
            logger.info("this worker %s and stops", reason)
            self.stop()

    def _timed_out(self, function: bytes) -> Ending:
        name = function.decode()
        return timeout_ending(name, self.app.tasks[name].limits.hard or 0.0)


class Hooks:
    """An app's hooks as a child process finds them: by way of its tasks, which are importable."""

    def __init__(self, tasks: list[RemoteTask[Any, Any]], method: str) -> None:
        self.tasks = tasks
        self.method = method

    def __call__(self) -> None:
        """Call them."""
        getattr(self.tasks[0].app, self.method)()


def chosen_tasks(app: App, queues: Iterable[str] | None) -> list[RemoteTask[Any, Any]]:
    """Return the tasks whose names fit. Raises UsageError where none do."""
    patterns = ["*"] if queues is None else list(queues)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in app.tasks):
            known = ", ".join(sorted(app.tasks)) or "none at all"
            raise UsageError(f"no task is called {pattern!r}; the app has {known}")
    return [
        task
        for name, task in app.tasks.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def option_of(task: RemoteTask[Any, Any]) -> bytes:
    """Return a task's policy as an option for servers."""
    return policy_option(task.name, task.policy, task.limits.hard)


__all__ = ["Pool", "TaskWorker", "chosen_tasks"]
