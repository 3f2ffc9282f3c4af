"""
A function that can be called elsewhere.

A plain call of a task runs it here and now, as if it were no task; its methods
submit a job. Nothing is sent before one of them is called.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    ParamSpec,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
)

from geartrain.client.submission import Priority, Submission, Text, When
from geartrain.errors import CodecError, UsageError
from geartrain.tasks.arguments import Arguments
from geartrain.tasks.codec import Codec
from geartrain.tasks.handle import TaskHandle
from geartrain.tasks.job import AsyncTaskJob, TaskJob
from geartrain.tasks.limits import TimeLimits
from geartrain.tasks.mapping import map_async, map_blocking
from geartrain.tasks.middleware import Call
from geartrain.tasks.other_words import CALL_OPTIONS, TASK_METHODS, hints, no_attribute
from geartrain.tasks.streaming import returned_kind

if TYPE_CHECKING:
    from geartrain.tasks.app import App
    from geartrain.tasks.chain import Signature

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# A key, a rule that makes one of the arguments, or "args" for all of the arguments.
Unique: TypeAlias = "Text | Callable[..., Text] | None"


class CallOptions(TypedDict, total=False):
    """What may be said of one call beside its arguments; see `RemoteTask.options`."""

    priority: Priority
    unique: Unique
    delay: float | None
    at: When | None
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Options:
    """The same with what holds when nothing is said."""

    priority: Priority = "normal"
    unique: Unique = None
    delay: float | None = None
    at: When | None = None
    timeout: float | None = None


class RemoteTask(Generic[P, R]):
    """
    What all tasks can do. Made by `App.task`.

    Attributes:
        app: The app it belongs to.
        name: Name of the function on the wire.
        function: What it runs.
        codec: Writes its arguments and results.
        limits: How long it may run.
        policy: What it asks the server for.

    """

    streams = False

    def __init__(
        self,
        app: App,
        function: Callable[..., Any],
        name: str,
        codec: Codec,
        limits: TimeLimits,
        policy: Mapping[str, Any],
        options: Options,
    ) -> None:
        self.app = app
        self.function = function
        self.name = name
        self.codec = codec
        self.limits = limits
        self.policy = dict(policy)
        self.arguments = Arguments(name, function)
        self._options = options
        # As functions have them: tools look there, and child processes find a task by them.
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = getattr(function, "__module__", "")
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def __reduce__(self) -> str:
        # By name, as functions are pickled: the other process imports the module.
        return self.__qualname__

    def options(self, **options: Unpack[CallOptions]) -> Self:
        """
        Return the same task, called differently.

        Args:
            options: ``priority``: ``high``, ``normal`` or ``low``. ``unique``: a key that joins
                equal jobs, ``"args"`` to make it of the arguments, or a function of the
                arguments that returns it. ``delay``, ``at``: in the background, not before
                so many seconds, or not before a time. ``timeout``: seconds that callers wait.

        Raises:
            UsageError: There is no such option.

        """
        other = copy(self)
        try:
            other._options = replace(self._options, **options)
        except TypeError:
            known = ", ".join(CallOptions.__annotations__)
            words = [word for word in options if word not in CallOptions.__annotations__]
            raise UsageError(
                f"unknown options of a call: {', '.join(words)}{hints(words, CALL_OPTIONS)}; "
                f"there are {known}"
            ) from None
        return other

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(type(self), name, TASK_METHODS)

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    # In the foreground.

    def call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Have a worker run the task, wait for it, and return what it returned.

        Raises:
            TypeError: The arguments don't fit, as in a plain call.
            CodecError: They can't be written.
            GeartrainError: As `TaskJob.result` does.

        """
        job = self._submit(args, kwargs)
        return job.result(self._timeout())

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> TaskJob[R]:
        """
        Have a worker run the task, and return a future once the server has accepted it.

        Raises:
            TypeError: The arguments don't fit, as in a plain call.
            CodecError: They can't be written.
            GeartrainError: As `Client.submit` does.

        """
        return self._submit(args, kwargs)

    def _submit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskJob[R]:
        call = self._announce(args, kwargs, background=False)
        submission = self._submission(call)
        if self.app.is_eager:
            eager = self.app.run_eagerly(self, submission)
            job: TaskJob[R] = TaskJob(eager, eager, self)
        else:
            client = self.app.client
            sent = client.start([submission])[0]
            client.wait_accepted(sent, self._timeout())
            job = TaskJob(sent, sent, self)
        self._report(call, job.handle)
        return job

    def map(
        self, items: Iterable[Any], *, max_in_flight: int = 100, timeout: float | None = None
    ) -> Iterator[R]:
        """
        Call the task with each item, several at a time, and yield the results in order.

        Args:
            items: Each is the first argument of a call; taken as room allows.
            max_in_flight: Most calls whose results have not been yielded.
            timeout: Seconds to wait for each result.

        Raises:
            GeartrainError: As `call` does, in the place of the result that is missing.

        """
        return map_blocking(self, items, max_in_flight, timeout)

    # In the background.

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """
        Have a worker run the task some time; return once the server has it on disk.

        Raises:
            TypeError: The arguments don't fit, as in a plain call.
            CodecError: They can't be written.
            GeartrainError: As `Client.submit` does.

        """
        call = self._announce(args, kwargs, background=True)
        handle = self.send_background(self._submission(call))
        self._report(call, handle.handle)
        return handle

    def send_background(self, submission: Submission) -> TaskHandle[R]:
        """Submit what `delay` or a chain has made."""
        if self.app.is_eager:
            eager = self.app.run_eagerly(self, submission)
            return self.app.keep_eager(eager, self)
        client = self.app.client
        ticket = client.wait_accepted(client.start([submission])[0], self._timeout())
        return self.handle(ticket.server, ticket.handle)

    def handle(self, server: str, handle: Text) -> TaskHandle[R]:
        """Return the handle of a job that was submitted elsewhere or written down."""
        text = handle.decode() if isinstance(handle, bytes) else handle
        kind = self.arguments.annotation("return")
        if self.streams:
            kind = returned_kind(kind)
        return TaskHandle(server, text, self.name, self.codec, kind, self.streams)

    # On an event loop.

    async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call as `call` does, on an event loop."""
        job = await self._asubmit(args, kwargs)
        return await job.result(self._timeout())

    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> AsyncTaskJob[R]:
        """Submit as `submit` does, on an event loop."""
        return await self._asubmit(args, kwargs)

    async def _asubmit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncTaskJob[R]:
        call = self._announce(args, kwargs, background=False)
        submission = self._submission(call)
        if self.app.is_eager:
            record = await self.app.run_eagerly_async(self, submission)
        else:
            client = self.app.async_client()
            record = client.start(submission)
            await client.wait_accepted(record, self._timeout())
        job: AsyncTaskJob[R] = AsyncTaskJob(record, self)
        self._report(call, job.handle)
        return job

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Submit as `delay` does, on an event loop."""
        call = self._announce(args, kwargs, background=True)
        submission = self._submission(call)
        if self.app.is_eager:
            record = await self.app.run_eagerly_async(self, submission)
            handle = self.app.keep_eager(record, self)
        else:
            client = self.app.async_client()
            ticket = await client.wait_accepted(client.start(submission), self._timeout())
            handle = self.handle(ticket.server, ticket.handle)
        self._report(call, handle.handle)
        return handle

    def amap(
        self, items: Iterable[Any], *, max_in_flight: int = 100, timeout: float | None = None
    ) -> AsyncIterator[R]:
        """Map as `map` does, on an event loop."""
        return map_async(self, items, max_in_flight, timeout)

    # Parts of chains and batches.

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """Return a call that is not made yet, to be put into a chain: ``a.s(1) | b.s()``."""
        from geartrain.tasks.chain import Signature

        return Signature(self, args, kwargs)

    # What goes over the wire.

    def submission(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        background: bool,
        following: list[Any] | None = None,
    ) -> Submission:
        """
        Return a call as what the client submits.

        Raises:
            TypeError: The arguments don't fit.
            CodecError: They can't be written.
            UsageError: The options can't be sent.

        """
        options = self._options
        workload = self.arguments.encode(self.codec, args, kwargs, following or ())
        if not background and (options.delay is not None or options.at is not None):
            raise UsageError(f"{self.name!r} at a time runs in the background: use delay()")
        delay, at = options.delay, options.at
        if delay is not None and at is None and self.app.clock is not None:
            at, delay = self.app.clock() + delay, None
        return Submission(
            self.name,
            workload,
            unique=self._unique(workload, args, kwargs),
            priority=options.priority,
            background=background,
            delay=delay,
            at=at,
        )

    def _submission(self, call: Call) -> Submission:
        return self.submission(call.args, call.kwargs, call.background)

    def _unique(self, workload: bytes, args: Any, kwargs: Any) -> Text | None:
        unique = self._options.unique
        if unique == "args":
            # Servers take 64 bytes of a key; this has 32.
            return hashlib.blake2b(workload, digest_size=16).hexdigest()
        if callable(unique):
            return unique(*args, **kwargs)
        return unique

    def _timeout(self) -> float | None:
        timeout = self._options.timeout
        return self.app.default_timeout if timeout is None else timeout

    def _announce(self, args: Any, kwargs: Any, background: bool) -> Call:
        call = Call(self, args, kwargs, background)
        for middleware in self.app.middlewares:
            middleware.before_submit(call)
        return call

    def _report(self, call: Call, handle: str) -> None:
        for middleware in reversed(self.app.middlewares):
            middleware.after_submit(call, handle)

    def write_result(self, value: Any) -> bytes:
        """Return a result as bytes. Raises CodecError."""
        try:
            return self.codec.dumps(value)
        except CodecError as error:
            raise CodecError(f"the result of task {self.name!r}: {error}") from error

    def read_result(self, workload: bytes, pieces: list[bytes]) -> R:
        """Return a result of the annotated type. Raises CodecError."""
        return cast(R, self.read(workload, self.arguments.annotation("return")))

    def read_piece(self, piece: bytes) -> Any:
        """Return a piece of data in Python's values; of the type the task yields, if any."""
        return self.read(piece, returned_kind(self.arguments.annotation("return")))

    def read(self, workload: bytes, kind: Any) -> Any:
        """Return bytes as the codec and an annotation say. Raises CodecError."""
        try:
            if not workload and self.codec.name != "raw":
                # What other languages' workers send for nothing.
                return None
            return self.codec.convert(self.codec.loads(workload), kind)
        except CodecError as error:
            raise CodecError(f"the result of task {self.name!r}: {error}") from error


class Task(RemoteTask[P, R]):
    """A plain function as a task."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now."""
        return cast(R, self.function(*args, **kwargs))


class AsyncTask(RemoteTask[P, R]):
    """A coroutine function as a task."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run it here and now, once awaited."""
        return cast("Coroutine[Any, Any, R]", self.function(*args, **kwargs))


class _Streaming(RemoteTask[P, list[T]], Generic[P, T]):
    """What tasks that yield have in common: each value is sent as it comes."""

    streams = True

    def stream(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """
        Have a worker run the task, and yield what it yields as it comes.

        Raises:
            GeartrainError: As `call` does.

        """
        job = self._submit(args, kwargs)
        for event in job.events(self._timeout()):
            if event.kind == "data":
                yield event.value
            elif event.kind in ("failed", "raised"):
                raise event.value

    async def astream(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """Stream as `stream` does, on an event loop."""
        job = await self._asubmit(args, kwargs)
        async for event in job.events(self._timeout()):
            if event.kind == "data":
                yield event.value
            elif event.kind in ("failed", "raised"):
                raise event.value

    def read_result(self, workload: bytes, pieces: list[bytes]) -> list[T]:
        """Return all that was yielded and not yet taken. Raises CodecError."""
        return [self.read_piece(piece) for piece in pieces]


class StreamTask(_Streaming[P, T]):
    """A generator function as a task."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """Run it here and now."""
        return cast("Iterator[T]", self.function(*args, **kwargs))


class AsyncStreamTask(_Streaming[P, T]):
    """An asynchronous generator function as a task."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """Run it here and now."""
        return cast("AsyncIterator[T]", self.function(*args, **kwargs))


__all__ = [
    "AsyncStreamTask",
    "AsyncTask",
    "CallOptions",
    "Options",
    "RemoteTask",
    "StreamTask",
    "Task",
    "Unique",
]
