"""
The tasks of one program, and how they reach job servers.

An app is a value like any other: there is no current one, and a program may have
several. Making it and declaring tasks opens no connection; calling one does.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import contextmanager
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, Unpack, overload

from geartrain.client.address import ServersLike
from geartrain.client.aio import AsyncClient
from geartrain.client.aio_job import AsyncJob
from geartrain.client.job import JobRecord
from geartrain.client.reports import UNKNOWN_STATUS, Status
from geartrain.client.submission import Priority, Submission
from geartrain.client.sync import Client
from geartrain.errors import ServerError, UsageError
from geartrain.tasks.batch import Batch
from geartrain.tasks.codec import Codec, CodecLike, find_codec
from geartrain.tasks.eager import SERVER, EagerJob, new_async_record, run_eagerly
from geartrain.tasks.handle import TaskHandle
from geartrain.tasks.job import TaskJob
from geartrain.tasks.limits import Duration, TimeLimits, seconds_of
from geartrain.tasks.middleware import Middleware
from geartrain.tasks.other_words import TASK_OPTIONS, hints
from geartrain.tasks.policy import PolicyOptions
from geartrain.tasks.running import LOOP, AsyncTaskHandler, TaskHandler
from geartrain.tasks.streaming import is_stream
from geartrain.tasks.task import (
    AsyncStreamTask,
    AsyncTask,
    Options,
    RemoteTask,
    StreamTask,
    Task,
    Unique,
)
from geartrain.worker.job import AsyncJob as WorkerAsyncJob

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Hook = TypeVar("Hook", bound=Callable[[], Any])
M = TypeVar("M", bound=Middleware)


class TaskDecorator(Protocol):
    """Makes a task of a function, of the kind that fits it."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, AsyncGenerator[T, Any]], /
    ) -> AsyncStreamTask[P, T]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, AsyncIterator[T]], /
    ) -> AsyncStreamTask[P, T]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Generator[T, Any, Any]], /
    ) -> StreamTask[P, T]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Iterator[T]], /
    ) -> StreamTask[P, T]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class App:
    """
    Tasks that share servers, a codec, middlewares and hooks.

    ::

        app = App()

        @app.task(retries=5)
        def thumbs(url: str, size: int = 128) -> str: ...

        thumbs("u")                 # a plain call, here
        thumbs.call("u")            # run by a worker; waits for the result
        thumbs.delay("u", size=64)  # run by a worker some time

    Close it, or use it in a ``with`` or ``async with`` block, to close its connections.

    Args:
        servers: Job servers, as `Client` takes them. None means those of
            ``GEARMAN_SERVERS``, or ``127.0.0.1:4730``.
        codec: How arguments and results are written: ``json``, ``msgpack``, ``raw``, or an
            object as `geartrain.tasks.codec.Codec` describes. ``pickle`` needs
            ``allow_pickle``, which lets whoever can submit jobs run code in the workers.
        namespace: Put before the names of all tasks, with a dot.
        default_timeout: Seconds that callers wait for a result where they don't say.
        send_tracebacks: Whether callers get the traceback of a task that raised.
        client_options: What `Client` and `AsyncClient` take beside the servers.

    Raises:
        UsageError: An argument can't be used.

    """

    def __init__(
        self,
        servers: ServersLike = None,
        *,
        codec: CodecLike = "json",
        namespace: str = "",
        default_timeout: float | None = None,
        allow_pickle: bool = False,
        send_tracebacks: bool = False,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._servers = servers
        self.allow_pickle = allow_pickle
        self.codec = find_codec(codec, allow_pickle)
        self.namespace = namespace
        self.default_timeout = default_timeout
        self.send_tracebacks = send_tracebacks
        self.client_options = dict(client_options or {})
        self.tasks: dict[str, RemoteTask[Any, Any]] = {}
        self.middlewares: list[Middleware] = []
        self.startup_hooks: list[Callable[[], Any]] = []
        self.shutdown_hooks: list[Callable[[], Any]] = []
        # What delays are counted from where it was replaced, as tests do; else the client's own.
        self.clock: Callable[[], float] | None = None
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._async_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = (
            weakref.WeakKeyDictionary()
        )
        self.is_eager = False
        self._eager_count = itertools.count(1)
        self._eager_jobs: dict[str, JobRecord] = {}

    def __repr__(self) -> str:
        return f"<App with {len(self.tasks)} tasks>"

    # Tasks.

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, AsyncGenerator[T, Any]], /
    ) -> AsyncStreamTask[P, T]: ...

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, AsyncIterator[T]], /
    ) -> AsyncStreamTask[P, T]: ...

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, Generator[T, Any, Any]], /
    ) -> StreamTask[P, T]: ...

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, Iterator[T]], /
    ) -> StreamTask[P, T]: ...

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...

    @overload
    def task(
        self,
        *,
        name: str | None = None,
        codec: CodecLike | None = None,
        priority: Priority = "normal",
        unique: Unique = None,
        timeout: Duration | None = None,
        soft_timeout: Duration | None = None,
        **policy: Unpack[PolicyOptions],
    ) -> TaskDecorator: ...

    def task(  # type: ignore[misc] # mypy loses the keywords of **policy in an overload
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        codec: CodecLike | None = None,
        priority: Priority = "normal",
        unique: Unique = None,
        timeout: Duration | None = None,
        soft_timeout: Duration | None = None,
        **policy: Unpack[PolicyOptions],
    ) -> Any:
        """
        Make a task of a function; decorate with it, with options or without.

        Args:
            function: ``def``, ``async def``, or a generator of either kind, whose yielded
                values are sent as they come.
            name: Its name on the wire; the function's own by default.
            codec: In the place of the app's.
            priority: Of its jobs, where the call does not say.
            unique: As in `RemoteTask.options`.
            timeout: Seconds, or text such as ``"10m"``, after which its job ends as a failure:
                a child process is killed, a coroutine cancelled, a thread left behind.
            soft_timeout: The same, after which `SoftTimeout` is raised inside it: at once in a
                child process, where a coroutine awaits, and in a thread when it next runs
                Python code, so that a call that blocks there is not broken.
            policy: What the server is asked for: see `PolicyOptions`.

        Raises:
            UsageError: The name is taken, or an option can't be used.

        """
        unknown = set(policy) - set(PolicyOptions.__annotations__)
        if unknown:
            known = ", ".join(sorted(PolicyOptions.__annotations__))
            raise UsageError(
                f"unknown options of a task: {', '.join(sorted(unknown))}"
                f"{hints(sorted(unknown), TASK_OPTIONS)}; there are {known}, and name, codec, "
                "priority, unique, timeout, soft_timeout"
            )
        limits = TimeLimits(
            seconds_of("soft_timeout", soft_timeout), seconds_of("timeout", timeout)
        )

        def decorate(decorated: Callable[..., Any]) -> RemoteTask[Any, Any]:
            if not callable(decorated) or isinstance(decorated, RemoteTask):
                raise UsageError(f"{decorated!r} can't be a task; a task is made of a function")
            own = str(name or getattr(decorated, "__name__", ""))
            task = _kind_of(decorated)(
                self,
                decorated,
                f"{self.namespace}.{own}" if self.namespace else own,
                self.codec if codec is None else find_codec(codec, self.allow_pickle),
                limits,
                {**policy},
                Options(priority=priority, unique=unique),
            )
            return self.add(task)

        return decorate if function is None else decorate(function)

    def add(self, task: RemoteTask[P, R]) -> RemoteTask[P, R]:
        """Take a task in. Raises UsageError where its name is taken or is none."""
        if not task.name or "\0" in task.name or task.name.startswith("geartrain:"):
            raise UsageError(f"a task can't be called {task.name!r}")
        other = self.tasks.get(task.name)
        if other is not None:
            raise UsageError(
                f"task {task.name!r} is declared already, in {other.__module__}; give one of "
                "them a name: @app.task(name=...)"
            )
        self.tasks[task.name] = task
        return task

    def codec_named(self, name: str) -> Codec:
        """Return a codec by its name. Raises UsageError."""
        for codec in [self.codec, *(task.codec for task in self.tasks.values())]:
            if codec.name == name:
                return codec
        return find_codec(name, self.allow_pickle)

    # Around tasks.

    def add_middleware(self, middleware: M) -> M:
        """Have a middleware called around every task, and return it."""
        self.middlewares.append(middleware)
        return middleware

    def on_startup(self, hook: Hook) -> Hook:
        """Have ``hook`` called in every process that runs tasks, before the first."""
        self.startup_hooks.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Have ``hook`` called in every process that ran tasks, after the last."""
        self.shutdown_hooks.append(hook)
        return hook

    def start_up(self) -> None:
        """Call the start-up hooks, in a process that is about to run tasks."""
        for hook in self.startup_hooks:
            call_hook(hook)

    def shut_down(self) -> None:
        """Call the shut-down hooks, the latest first, and close the connections."""
        try:
            for hook in reversed(self.shutdown_hooks):
                call_hook(hook)
        finally:
            self.close()

    # Connections.

    @property
    def servers(self) -> ServersLike:
        """The job servers; setting them closes the connections to those before."""
        return self._servers

    @servers.setter
    def servers(self, servers: ServersLike) -> None:
        self.close()
        self._servers = servers
        self._async_clients = weakref.WeakKeyDictionary()

    @property
    def client(self) -> Client:
        """The blocking client, shared by all threads; connects when first used."""
        client = self._client
        if client is not None:
            return client
        with self._lock:
            if self._client is None:
                self._client = Client(self._servers, **self.client_options)
            return self._client

    def async_client(self) -> AsyncClient:
        """Return the client of the running event loop; connects when first used."""
        loop = asyncio.get_running_loop()
        with self._lock:
            client = self._async_clients.get(loop)
            if client is None:
                client = AsyncClient(self._servers, **self.client_options)
                self._async_clients[loop] = client
            return client

    def close(self) -> None:
        """Close the blocking client's connections; the next call opens others."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking client's."""
        with self._lock:
            client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # Many calls.

    def batch(self, max_in_flight: int = 1000) -> Batch:
        """Return an empty `Batch` of background calls."""
        return Batch(self, max_in_flight)

    def gather(
        self,
        *jobs: TaskJob[Any],
        timeout: float | None = None,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """
        Wait for jobs that ``submit`` returned, and return their results in order.

        Args:
            jobs: The jobs.
            timeout: Seconds to wait for each.
            return_exceptions: Whether failures take their place among the results, in the
                place of the first being raised.

        """
        results: list[Any] = []
        for job in jobs:
            try:
                results.append(job.result(timeout))
            except Exception as error:
                if not return_exceptions:
                    raise
                results.append(error)
        return results

    def map(
        self,
        task: RemoteTask[Any, R],
        items: Iterable[Any],
        *,
        max_in_flight: int = 100,
        timeout: float | None = None,
    ) -> Iterator[R]:
        """Map a task as `RemoteTask.map` does."""
        return task.map(items, max_in_flight=max_in_flight, timeout=timeout)

    def submit_following(self, submission: Submission) -> None:
        """Submit the next step of a chain, for the worker that ran the step before."""
        if self.is_eager:
            task = self.tasks[submission.function.decode()]
            task.send_background(submission)
            return
        client = self.client
        client.wait_accepted(client.start([submission])[0], client_timeout(self))

    # Eager mode.

    @contextmanager
    def eager(self) -> Iterator[Self]:
        """
        Run tasks where they are called, for the time of a ``with`` block; for tests.

        No server is needed. Arguments and results are written and read as on the wire.
        Background jobs run at once, whatever their time, and their handles have results.
        """
        before, self.is_eager = self.is_eager, True
        try:
            yield self
        finally:
            self.is_eager = before
            self._eager_jobs.clear()

    def run_eagerly(self, task: RemoteTask[Any, Any], submission: Submission) -> EagerJob:
        """Run a task for a submission, here."""
        return run_eagerly(TaskHandler(task), submission, next(self._eager_count))

    async def run_eagerly_async(
        self, task: RemoteTask[Any, Any], submission: Submission
    ) -> AsyncJob:
        """Run a task for a submission, on the running loop."""
        record, desk = new_async_record(submission, next(self._eager_count))
        job = WorkerAsyncJob(
            desk,
            None,
            record.handle,
            submission.function,
            submission.unique,
            submission.reducer,
            submission.workload,
        )
        desk.end(await AsyncTaskHandler(task)(job))
        return record

    def keep_eager(self, record: JobRecord, task: RemoteTask[Any, R]) -> TaskHandle[R]:
        """Keep a background job that has run, so that its handle has a result."""
        self._eager_jobs[record.handle.decode()] = record
        return EagerHandle.of(self._eager_jobs, task.handle(SERVER, record.handle))


class EagerHandle(TaskHandle[R]):
    """The handle of a job that ran in eager mode."""

    __slots__ = ("jobs",)
    jobs: Mapping[str, JobRecord]

    @classmethod
    def of(cls, jobs: Mapping[str, JobRecord], handle: TaskHandle[R]) -> EagerHandle[R]:
        """Return the same handle, with the jobs to look it up in."""
        made = cls(
            handle.server, handle.handle, handle.function, handle.codec, handle.kind, handle.streams
        )
        object.__setattr__(made, "jobs", jobs)
        return made

    def result(self, timeout: float | None = None) -> R:
        """Return what the task returned, or raise as a kept result does."""
        return self._outcome(self.jobs.get(self.handle))

    async def aresult(self, timeout: float | None = None) -> R:  # noqa: ASYNC109
        """Return as `result` does."""
        return self.result()

    def status(self, timeout: float | None = None) -> Status:
        """Return what a server says of a job that has ended: that it has none such."""
        return UNKNOWN_STATUS

    async def astatus(self, timeout: float | None = None) -> Status:  # noqa: ASYNC109
        """Return as `status` does."""
        return UNKNOWN_STATUS

    def cancel(self) -> None:
        """Raise as a server does where the job has ended."""
        raise ServerError("UNKNOWN_JOB", "")


def call_hook(hook: Callable[[], Any]) -> None:
    """Call a hook; one that is ``async def`` runs on the loop of the process's tasks."""
    if iscoroutinefunction(hook):
        LOOP.run(hook())
    else:
        hook()


def client_timeout(app: App) -> float | None:
    """Return how long a worker waits for the server to accept a chain's next step."""
    return 30.0 if app.default_timeout is None else app.default_timeout


def _kind_of(function: Callable[..., Any]) -> type[RemoteTask[Any, Any]]:
    import inspect

    if inspect.isasyncgenfunction(function):
        return AsyncStreamTask
    if is_stream(function):
        return StreamTask
    return AsyncTask if iscoroutinefunction(function) else Task


__all__ = ["App", "TaskDecorator"]
