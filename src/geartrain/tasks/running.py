"""
Runs a task for a job: arguments from bytes, the task, its result to bytes.

Handlers of workers: one that blocks, for threads and child processes, and one
for the event loop. Which task runs is settled when the handler is made; nothing
that comes with a job can change it.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from geartrain.errors import Fail, JobFailed, Retry, SoftTimeout
from geartrain.tasks.chain import next_submission, read_steps
from geartrain.tasks.current import _CURRENT, CurrentJob
from geartrain.tasks.failure import ResultTooLarge, failure_ending, timeout_ending
from geartrain.tasks.limits import soft_limit
from geartrain.wire.packet import WORK_COMPLETE
from geartrain.worker.job import (
    MAX_RESULT,
    THIS,
    Abort,
    AsyncJob,
    Ending,
    Job,
    fail,
    is_ctrl_c,
    leave_copy,
)

if TYPE_CHECKING:
    from geartrain.tasks.task import RemoteTask


class TaskHandler:
    """Runs one task in the calling thread. Picklable as far as its task is."""

    def __init__(self, task: RemoteTask[Any, Any]) -> None:
        self.task = task
        self.on_loop = is_on_loop(task)

    def __call__(self, job: Job) -> Ending:
        """Run the task, whatever it raises, and return how its job ended."""
        run = Run(self.task, job)
        token = _CURRENT.set(run.current)
        process = THIS.number
        try:
            args, kwargs = run.begin()
            result = self.run(run, args, kwargs)
            leave_copy(process)
            return run.end(result)
        except Abort:
            raise
        except BaseException as error:
            leave_copy(process, error)
            if is_ctrl_c(error):
                raise
            return run.fail(error)
        finally:
            _CURRENT.reset(token)

    def run(self, run: Run, args: Any, kwargs: Any) -> Any:
        """Return what the task returns, within its soft time limit."""
        task = self.task
        if self.on_loop:
            return LOOP.run(run_on_loop(run, args, kwargs))
        if task.limits.soft is None and not task.streams:
            return task.function(*args, **kwargs)
        with soft_limit(task.limits.soft):
            result = task.function(*args, **kwargs)
            if not task.streams:
                return result
            for piece in result:
                run.send(piece)
        return None


class AsyncTaskHandler:
    """
    Runs one task on the event loop; one that is no ``async def``, in a thread.

    A time limit cancels a coroutine. One that does not answer that is left behind when its
    hard limit is over, as is a thread: its job ends all the same.
    """

    def __init__(self, task: RemoteTask[Any, Any]) -> None:
        self.task = task
        self.blocking = TaskHandler(task)
        self.on_loop = is_on_loop(task)

    async def __call__(self, job: AsyncJob) -> Ending:
        """Run the task, whatever it raises, and return how its job ended."""
        limits = self.task.limits
        if self.on_loop and limits.hard is None:
            # The usual case, without a task of its own.
            return await self.run(job)
        if self.on_loop:
            running: asyncio.Future[Ending] = asyncio.ensure_future(self.run(job))
        else:
            outlet = LoopOutlet(job, asyncio.get_running_loop())
            running = in_daemon_thread(lambda: self.blocking(outlet))
        try:
            await asyncio.wait([running], timeout=limits.hard)
        except asyncio.CancelledError:
            running.cancel()
            raise
        if running.done():
            return await running
        running.cancel()
        return timeout_ending(self.task.name, limits.hard or 0.0)

    async def run(self, job: AsyncJob) -> Ending:
        run = Run(self.task, job)
        _CURRENT.set(run.current)
        process = THIS.number
        try:
            args, kwargs = run.begin()
            result = await run_on_loop(run, args, kwargs, job)
            leave_copy(process)
            # The next step of a chain is submitted by the blocking client.
            return await asyncio.to_thread(run.end, result) if run.steps else run.end(result)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            leave_copy(process, error)
            if is_ctrl_c(error):
                raise
            return run.fail(error)


class Run:
    """
    One run of a task.

    Attributes:
        current: The job as the task sees it.
        steps: What is left of its chain.

    """

    def __init__(self, task: RemoteTask[Any, Any], job: Job) -> None:
        self.task = task
        self.job = job
        self.current = CurrentJob(task, job)
        self.steps: list[Any] = []

    def begin(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments, once the middlewares have seen the job."""
        task = self.task
        args, kwargs, following = task.arguments.decode(task.codec, self.job.workload)
        self.steps = read_steps(following) if following else []
        for middleware in task.app.middlewares:
            middleware.before_run(self.current)
        return args, kwargs

    def send(self, piece: Any) -> None:
        """Send what a generator yielded."""
        self.job.data(self.task.write_result(piece))

    def end(self, result: Any) -> Ending:
        """Return the end of a job that ran well; hand its result on where a chain says so."""
        task = self.task
        data = b"" if task.streams else task.write_result(result)
        if len(data) > MAX_RESULT:
            raise ResultTooLarge(
                f"the result of task {task.name!r} has {len(data)} bytes, and servers take "
                f"{MAX_RESULT}; yield it in parts, or store it and return where it is"
            )
        if self.steps:
            submission = next_submission(
                self.steps, result, f"{self.current.handle}>", task.app.codec_named
            )
            task.app.submit_following(submission)
        for middleware in reversed(task.app.middlewares):
            middleware.after_run(self.current, result)
        return Ending(WORK_COMPLETE, data)

    def fail(self, error: BaseException) -> Ending:
        """Return the end of a job whose task raised."""
        for middleware in reversed(self.task.app.middlewares):
            try:
                if isinstance(error, Retry):
                    middleware.on_retry(self.current, error)
                else:
                    middleware.on_failure(self.current, error)
            except Exception as another:
                another.__context__ = error
                error = another
        if isinstance(error, Fail | JobFailed):
            return fail(self.job.function, error)
        return failure_ending(self.task.name, error, self.task.app.send_tracebacks)


def is_on_loop(task: RemoteTask[Any, Any]) -> bool:
    """Return whether a task needs an event loop."""
    return inspect.iscoroutinefunction(task.function) or inspect.isasyncgenfunction(task.function)


async def run_on_loop(run: Run, args: Any, kwargs: Any, job: AsyncJob | None = None) -> Any:
    """
    Return what a coroutine function returns, within its soft time limit.

    Args:
        run: Of its task.
        args: By position.
        kwargs: By name.
        job: Where what it yields is sent, no faster than the server takes it; by the run,
            whose worker is a blocking one, if None.

    """
    function, soft = run.task.function, run.task.limits.soft
    if soft is None and not run.task.streams:
        return await function(*args, **kwargs)
    try:
        async with asyncio.timeout(soft) as limit:
            if not run.task.streams:
                return await function(*args, **kwargs)
            async for piece in function(*args, **kwargs):
                run.send(piece)
                if job is not None:
                    await job.drain()
    except TimeoutError as error:
        if limit.expired():
            raise SoftTimeout(soft or 0.0) from error
        raise
    return None


class LoopThread:
    """
    An event loop in a thread of its own, on which a blocking worker runs coroutines.

    One for the whole process, so that what tasks keep between jobs, such as connections,
    stays with its loop. Started when first needed.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop, in the caller's context, and return its result."""
        loop = self.started()
        context = contextvars.copy_context()
        ended = threading.Event()
        tasks: list[asyncio.Task[Any]] = []

        def start() -> None:
            task = context.run(loop.create_task, guarded(coroutine))
            tasks.append(task)
            task.add_done_callback(lambda _: ended.set())

        loop.call_soon_threadsafe(start)
        ended.wait()
        result, error = tasks[0].result()
        if error is not None:
            raise error
        return result

    def started(self) -> asyncio.AbstractEventLoop:
        with self.lock:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self.loop.run_forever, name="geartrain-loop", daemon=True
                ).start()
            return self.loop


async def guarded(
    coroutine: Coroutine[Any, Any, Any],
) -> tuple[Any, SystemExit | KeyboardInterrupt | None]:
    """Return a coroutine's result, and what it raised that would end the loop for all others."""
    process = THIS.number
    try:
        result = await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        leave_copy(process, error)
        return None, error
    except BaseException as error:
        leave_copy(process, error)
        raise
    leave_copy(process)
    return result, None


LOOP: Final = LoopThread()


class LoopOutlet(Job):
    """A job on the event loop as a thread may use it: what it reports is sent by the loop."""

    __slots__ = ("loop",)

    def __init__(self, job: AsyncJob, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            job._outlet,
            job._ticket,
            job.handle,
            job.function,
            job.unique,
            job.reducer,
            job.workload,
            job.attempt,
        )
        self.loop = loop

    def progress(self, numerator: int, denominator: int) -> None:
        """Tell the client how far the job has come."""
        self.loop.call_soon_threadsafe(super().progress, numerator, denominator)

    def data(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send the client a part of the result, and wait until the connection takes more."""
        asyncio.run_coroutine_threadsafe(self.data_and_drain(data), self.loop).result()

    async def data_and_drain(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send data in the loop."""
        super().data(data)
        outlet: Any = self._outlet
        await outlet.drain(self._ticket)

    def warn(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send the client a warning."""
        self.loop.call_soon_threadsafe(super().warn, data)


def in_daemon_thread(function: Callable[[], Ending]) -> asyncio.Future[Ending]:
    """Run a function in a thread that keeps no process alive; return a future of its result."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ending] = loop.create_future()
    context = contextvars.copy_context()

    def settle(ending: Ending | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        elif ending is not None:
            future.set_result(ending)

    def work() -> None:
        ending, error = None, None
        try:
            ending = context.run(function)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, ending, error)
        except RuntimeError:
            # The loop is closed: the worker has left without this job.
            return

    threading.Thread(target=work, name="geartrain-task", daemon=True).start()
    return future


__all__ = ["LOOP", "AsyncTaskHandler", "TaskHandler"]
