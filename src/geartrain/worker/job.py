"""
A job as its handler sees it, and what a handler's end means to the client.

Shared by all ways of running handlers. Nothing is sent from here: progress,
data and warnings go to an `Outlet`, the end of the job is returned.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

from geartrain.errors import Fail, JobFailed
from geartrain.wire.packet import WORK_COMPLETE, WORK_EXCEPTION, WORK_FAIL
from geartrain.wire.reader import MAX_PACKET

logger = logging.getLogger("geartrain.worker")

# What a handler may return: None is the empty result, text is sent as UTF-8. With an `Ending`
# it says itself how its job ended.
Result: TypeAlias = "bytes | bytearray | memoryview | str | Ending | None"
Handler: TypeAlias = Callable[["Job"], Result]
AsyncHandler: TypeAlias = Callable[["AsyncJob"], "Result | Awaitable[Result]"]

# Servers close the connection over a larger packet, and would then give the job to the next
# worker, who would compute the same result. 64 bytes are the handle and its end.
MAX_RESULT: Final = MAX_PACKET - 64


class Outlet(Protocol):
    """
    Takes what a handler reports while its job runs.

    A ticket is whatever the outlet itself knows the job by.
    """

    def progress(self, ticket: object, numerator: int, denominator: int) -> None:
        """Send WORK_STATUS."""

    def data(self, ticket: object, data: bytes) -> None:
        """Send WORK_DATA."""

    def warn(self, ticket: object, data: bytes) -> None:
        """Send WORK_WARNING."""


class AsyncOutlet(Outlet, Protocol):
    """Takes what a handler on the event loop reports."""

    async def drain(self, ticket: object) -> None:
        """Wait until the connection takes more."""


class Job:
    """
    One job, handed to the handler of its function.

    Attributes:
        handle: The server's name of the job, such as ``b"H:host:1"``.
        function: The function that was asked for.
        unique: The client's key, or ``b""``. ``b"-"`` where the workload is the key.
        workload: The client's data.
        reducer: Where the results of a map/reduce job go, or ``b""``.
        attempt: Which attempt it is, from 1 on; 0 where the server was not asked, or does
            not say.

    """

    __slots__ = (
        "_outlet",
        "_ticket",
        "attempt",
        "function",
        "handle",
        "reducer",
        "unique",
        "workload",
    )

    def __init__(
        self,
        outlet: Outlet,
        ticket: object,
        handle: bytes,
        function: bytes,
        unique: bytes = b"",
        reducer: bytes = b"",
        workload: bytes = b"",
        attempt: int = 0,
    ) -> None:
        self.attempt = attempt
        self._outlet = outlet
        self._ticket = ticket
        self.handle = handle
        self.function = function
        self.unique = unique
        self.reducer = reducer
        self.workload = workload

    def progress(self, numerator: int, denominator: int) -> None:
        """
        Tell the client how far the job has come: ``numerator`` of ``denominator``.

        Raises:
            TypeError: One of them is no whole number; gearmand would read 0.

        """
        if not isinstance(numerator, int) or not isinstance(denominator, int):
            raise TypeError(f"progress takes two integers, not {numerator!r} and {denominator!r}")
        self._outlet.progress(self._ticket, numerator, denominator)

    def data(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send the client a part of the result now. Text is sent as UTF-8."""
        self._outlet.data(self._ticket, to_bytes(data))

    def warn(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send the client a warning; the job goes on. Text is sent as UTF-8."""
        self._outlet.warn(self._ticket, to_bytes(data))

    def __repr__(self) -> str:
        return f"<Job {self.handle!r} of {self.function!r}, {len(self.workload)} bytes>"


class AsyncJob(Job):
    """One job, handed to a handler that runs on the event loop."""

    __slots__ = ()
    _outlet: AsyncOutlet

    async def drain(self) -> None:
        """Wait while more is unsent than should pile up; for handlers that send much data."""
        await self._outlet.drain(self._ticket)


class Abort(BaseException):
    """Raised by a signal inside a handler that runs in the main thread: leave it at once."""


class Ending(NamedTuple):
    """
    How a job ended.

    Attributes:
        kind: WORK_COMPLETE, WORK_FAIL or WORK_EXCEPTION.
        data: The result, or the exception as the client gets it.
        log: Text for the worker's log, or empty.

    """

    kind: int
    data: bytes = b""
    log: str = ""


COMPLETE: Final = Ending(WORK_COMPLETE)


class Process:
    """
    Which process this is. To ask the kernel for each job takes as long as a short handler.

    Attributes:
        number: The process's own, also in a copy that a handler has forked.

    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = os.getpid()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.note_fork)

    def note_fork(self) -> None:
        """Take note that this process is a copy."""
        self.number = os.getpid()


THIS: Final = Process()


def to_bytes(value: object) -> bytes:
    """Return data as it is sent. Raises TypeError for what is neither bytes nor text."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"data must be bytes or str, not {type(value).__name__}")


def complete(function: bytes, result: object) -> Ending:
    """Return the end of a job whose handler returned ``result``."""
    if result is None:
        return COMPLETE
    if isinstance(result, Ending):
        return result
    try:
        data = to_bytes(result)
    except TypeError:
        error = TypeError(
            f"the handler of {printable(function)} returned {type(result).__name__}; "
            "return bytes, str or None"
        )
        return _exception(error, f"{error}")
    if len(data) > MAX_RESULT:
        too_large = ValueError(
            f"the result of {printable(function)} has {len(data)} bytes; the protocol's servers "
            f"take {MAX_RESULT}; send it in parts with job.data()"
        )
        return _exception(too_large, f"{too_large}")
    return Ending(WORK_COMPLETE, data)


def fail(function: bytes, error: BaseException) -> Ending:
    """
    Return the end of a job whose handler raised ``error``.

    `Fail`, and the `JobFailed` of a job that the handler itself had waited
    for, become WORK_FAIL. Anything else becomes WORK_EXCEPTION, which carries
    the exception's type and message; the traceback goes to the log only.
    """
    if isinstance(error, Fail | JobFailed):
        return Ending(WORK_FAIL, b"", f"{printable(function)} failed: {error}")
    return _exception(error, f"{printable(function)} raised:\n{_traceback(error)}")


def run(handler: Handler, job: Job) -> Ending:
    """Run a handler to its end. Whatever it raises ends the job, not the worker."""
    process = THIS.number
    try:
        result = handler(job)
    except Abort:
        raise
    except BaseException as error:
        leave_copy(process, error)
        if is_ctrl_c(error):
            raise
        return fail(job.function, error)
    if THIS.number != process:
        leave_copy(process)
    return COMPLETE if result is None else complete(job.function, result)


def leave_copy(process: int, error: BaseException | None = None) -> None:
    """
    End this process if it is a copy that a handler has forked and forgotten to end.

    The job is the original's, and so is the pipe or socket, which both of them have: what a
    copy says there would be taken for the end of another job.

    Args:
        process: ``THIS.number`` of the process that was given the job.
        error: What the handler raised; `SystemExit` says how the copy wants to end.

    """
    if THIS.number == process:
        return
    if not isinstance(error, SystemExit):
        if error is not None:
            logger.error("a process forked by a handler raised:\n%s", _traceback(error))
        os._exit(0 if error is None else 1)
    code = error.code
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


def is_ctrl_c(error: BaseException) -> bool:
    """
    Return whether an exception is somebody's Ctrl-C, which ends the program.

    Elsewhere than in the main thread, and where a worker answers SIGINT itself, only a handler
    can have raised it, and it ends the job like any other.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    answer = signal.getsignal(signal.SIGINT)
    # `asyncio.run` has a handler that raises too, which is a partial.
    return answer is signal.default_int_handler or isinstance(answer, functools.partial)


def unknown(function: bytes) -> Ending:
    """Return the end of a job for a function this worker has no handler for."""
    return _exception(LookupError(f"this worker has no handler for {printable(function)}"))


def printable(name: bytes) -> str:
    """Return a name for messages: text where it is text."""
    return repr(name.decode("utf-8", "backslashreplace"))


def _exception(error: BaseException, log: str = "") -> Ending:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        # An exception that can't say what it is.
        text = type(error).__name__
    return Ending(WORK_EXCEPTION, text.encode("utf-8", "backslashreplace"), log or text)


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()


__all__ = [
    "COMPLETE",
    "MAX_RESULT",
    "THIS",
    "Abort",
    "AsyncHandler",
    "AsyncJob",
    "AsyncOutlet",
    "Ending",
    "Handler",
    "Job",
    "Outlet",
    "Process",
    "Result",
    "complete",
    "fail",
    "is_ctrl_c",
    "leave_copy",
    "printable",
    "run",
    "to_bytes",
    "unknown",
]
